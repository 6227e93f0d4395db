//! Small workloads whose instructions the script `instructions` counts. Each does the same thing as often as it is
//! told, on one thread and in a fixed order: what two runs of different length differ by is the cost of once
//! more, whatever else the machine does.

mod connections;
mod scheduling;

use clap::{Parser, ValueEnum};
use std::io;
use tulipa::prelude::*;

/// Does one workload so many times.
#[derive(Parser)]
struct Arguments {
    workload: Workload,
    times: u64,
    /// Where the server is, for a client in a process of its own.
    #[arg(hide = true)]
    port: Option<u16>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Workload {
    /// A callback that schedules the next.
    CallbackChain,
    /// Callbacks that are scheduled a hundred at a time, then run.
    CallbackBurst,
    /// A callback that is scheduled and called off.
    CallbackCancelled,
    /// A call that is posted as other threads do it, and run.
    CallPosted,
    /// A timer that is armed a minute ahead, and called off.
    TimerCancelled,
    /// Timers armed at random within a second, all pending at once, and fired by a stepping clock.
    TimerFired,
    /// A timer that is put off.
    TimerMoved,
    /// A future that is made, given a done-callback and resolved; the callback.
    FutureCallback,
    /// A future that one task awaits and a callback resolves.
    FutureAwaited,
    /// A task that is spawned, run and awaited.
    TaskSpawned,
    /// A task that lets the others go first.
    TaskYield,
    /// A request of 64 bytes and its reply over TCP, what the client does included.
    TcpRequest,
    /// The same in one run of the loop, for a client that is not counted: what a server pays.
    TcpServed,
    /// Sixteen of them that arrive together.
    TcpPipelined,
    /// The same as `tcp-request`, answered by a coroutine with a reader and a writer.
    StreamRequest,
    /// A connection that is accepted, made and lost.
    TcpConnection,
    /// A datagram of 64 bytes and its answer.
    UdpDatagram,
    /// A message of 64 bytes and its reply between two transports in memory.
    MemoryRequest,
    /// A request of 64 bytes and its reply over TLS, both ends.
    TlsRequest,
    /// The client of `tcp-served`.
    #[value(hide = true)]
    Client,
}

fn main() -> Result<(), Exception> {
    let Arguments { workload, times, port } = Arguments::parse();
    match workload {
        Workload::CallbackChain => scheduling::callback_chain(times),
        Workload::CallbackBurst => scheduling::callback_burst(times),
        Workload::CallbackCancelled => scheduling::callback_cancelled(times),
        Workload::CallPosted => scheduling::call_posted(times),
        Workload::TimerCancelled => scheduling::timer_cancelled(times),
        Workload::TimerFired => scheduling::timer_fired(times),
        Workload::TimerMoved => scheduling::timer_moved(times),
        Workload::FutureCallback => scheduling::future_callback(times),
        Workload::FutureAwaited => scheduling::future_awaited(times),
        Workload::TaskSpawned => scheduling::task_spawned(times),
        Workload::TaskYield => scheduling::task_yield(times),
        Workload::TcpRequest => connections::tcp_request(times),
        Workload::TcpServed => connections::tcp_served(times),
        Workload::TcpPipelined => connections::tcp_pipelined(times),
        Workload::StreamRequest => connections::stream_request(times),
        Workload::TcpConnection => connections::tcp_connection(times),
        Workload::UdpDatagram => connections::udp_datagram(times),
        Workload::MemoryRequest => connections::memory_request(times),
        Workload::TlsRequest => connections::tls_request(times),
        Workload::Client => connections::client(port.ok_or_else(no_port)?, times),
    }
}

fn no_port() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the client needs the server's port")
}
