//! Requests and replies. The client is in the same thread, so that nothing depends on who runs first; its two
//! system calls are counted too.

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;
use tulipa::testing::{MemoryLoop, MemoryOptions};
use tulipa::tls::{CertifiedKey, Roots, TlsClientConfig, TlsServerConfig};
use tulipa::{AbstractEventLoop, Address, ConnectOptions, Server, ServerOptions};
use tulipa::{StreamReader, StreamWriter, prelude::*};

const ANY_PORT: (&str, u16) = ("127.0.0.1", 0);
const SIZE: usize = 64;

type Outcome = Result<(), Exception>;

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        transport.write(data);
    }
}

impl DatagramProtocol for Echo {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        sender: &Address,
    ) {
        transport.sendto(data, Some(sender));
    }
}

/// Sends each request back by itself, as somebody does who has taken them apart.
struct EchoEach;

impl Protocol for EchoEach {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        for request in data.chunks(SIZE) {
            transport.write(request);
        }
    }
}

/// As `Echo`; the loop stops when the client has gone.
struct EchoToTheEnd(LoopHandle);

impl Protocol for EchoToTheEnd {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        transport.write(data);
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<Exception>) {
        self.0.stop();
    }
}

/// Asks again as long as there is something left to ask.
struct Ask(Rc<Cell<u64>>);

impl Protocol for Ask {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.0.set(self.0.get().saturating_sub(1));
        if self.0.get() > 0 {
            transport.write(data);
        }
    }
}

pub(crate) fn tcp_request(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let server = event_loop.run_until_complete(&event_loop.create_server(|| Echo, ANY_PORT))?;
    let peer = connect(&server)?;
    (0..times).try_for_each(|_| exchange(&event_loop, &peer, &[7; SIZE]))
}

pub(crate) fn tcp_served(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let handle = event_loop.handle();
    let make = move || EchoToTheEnd(handle.clone());
    let server = event_loop.run_until_complete(&event_loop.create_server(make, ANY_PORT))?;
    let mut asking = Command::new(std::env::current_exe()?);
    asking.args(["client", &times.to_string(), &port(&server).to_string()]);
    let mut client = asking.spawn()?;
    event_loop.run_forever()?;
    match client.wait()?.success() {
        true => Ok(()),
        false => Err(std::io::Error::other("the client has failed").into()),
    }
}

/// What asks `tcp_served`, in a process that valgrind does not see.
pub(crate) fn client(port: u16, times: u64) -> Outcome {
    let mut peer = TcpStream::connect((ANY_PORT.0, port))?;
    peer.set_nodelay(true)?;
    let mut message = [7; SIZE];
    for _ in 0..times {
        peer.write_all(&message)?;
        peer.read_exact(&mut message)?;
    }
    Ok(())
}

pub(crate) fn tcp_pipelined(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let server = event_loop.run_until_complete(&event_loop.create_server(|| EchoEach, ANY_PORT))?;
    let peer = connect(&server)?;
    (0..times).try_for_each(|_| exchange(&event_loop, &peer, &[7; 16 * SIZE]))
}

pub(crate) fn stream_request(times: u64) -> Outcome {
    async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Outcome {
        loop {
            let count = match reader.fill_buf().await? {
                [] => return Ok(()),
                data => {
                    writer.write(data);
                    data.len()
                }
            };
            reader.consume(count);
            writer.drain().await?;
        }
    }
    let event_loop = EventLoop::new()?;
    let starting = event_loop.create_task(tulipa::start_server(echo, ANY_PORT));
    let server = event_loop.run_until_complete(starting.as_future())?;
    let peer = connect(&server)?;
    (0..times).try_for_each(|_| exchange(&event_loop, &peer, &[7; SIZE]))
}

pub(crate) fn tcp_connection(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let server = event_loop.run_until_complete(&event_loop.create_server(|| Echo, ANY_PORT))?;
    for _ in 0..times {
        drop(connect(&server)?);
        event_loop.run_ready()?;
    }
    Ok(())
}

pub(crate) fn udp_datagram(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let opening = event_loop.create_datagram_endpoint(|| Echo, ANY_PORT);
    let endpoint = event_loop.run_until_complete(&opening)?;
    let address = endpoint.extra_info().sockname.and_then(|address| address.port());
    let peer = UdpSocket::bind(ANY_PORT)?;
    peer.connect((ANY_PORT.0, address.expect("an endpoint of UDP has a port")))?;
    (0..times).try_for_each(|_| exchange(&event_loop, &peer, &[7; SIZE]))
}

pub(crate) fn memory_request(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let left = Rc::new(Cell::new(times));
    let pair = event_loop.memory_pair(Ask(left.clone()), Echo, MemoryOptions::default());
    pair.left.write(&[7; SIZE]);
    while left.get() > 0 {
        AbstractEventLoop::run_once(&**event_loop, Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Both ends are counted. What differs from run to run is the handshake, of which there is one.
pub(crate) fn tls_request(times: u64) -> Outcome {
    let event_loop = EventLoop::new()?;
    let made = rcgen::generate_simple_self_signed([ANY_PORT.0.to_owned()])?;
    let pem = made.cert.pem();
    let certificate = CertifiedKey::from_pem(&pem, made.signing_key.serialize_pem())?;
    let accepting = ServerOptions::from(ANY_PORT).tls(TlsServerConfig::new(certificate)?);
    let server = event_loop.run_until_complete(&event_loop.create_server(|| Echo, accepting))?;
    let trusting = TlsClientConfig::builder().roots(Roots::none().pem(pem)?).build()?;
    let address = server.addresses()[0].as_ip().expect("a TCP server has an IP address");
    let left = Rc::new(Cell::new(times));
    let ask = Ask(left.clone());
    let connecting = ConnectOptions::from(address).tls(trusting);
    let opened = event_loop.create_connection(move || ask, connecting);
    event_loop.run_until_complete(&opened)?.write(&[7; SIZE]);
    while left.get() > 0 {
        AbstractEventLoop::run_once(&**event_loop, None)?;
    }
    Ok(())
}

fn connect(server: &Server) -> Result<TcpStream, Exception> {
    let peer = TcpStream::connect((ANY_PORT.0, port(server)))?;
    peer.set_nodelay(true)?;
    Ok(peer)
}

fn port(server: &Server) -> u16 {
    server.addresses()[0].port().expect("a TCP server has a port")
}

/// Sends `request`, lets the loop work, and takes as many bytes back.
fn exchange(event_loop: &EventLoop, peer: &impl AsFd, request: &[u8]) -> Outcome {
    send(peer, request, SendFlags::NOSIGNAL)?;
    let (mut reply, mut missing, mut longest) = ([0; 16 * SIZE], request.len(), None);
    while missing > 0 {
        AbstractEventLoop::run_once(&***event_loop, longest)?;
        // The request was waited for. Of the answer the loop is not told when it comes.
        longest = Some(Duration::ZERO);
        match recv(peer, &mut reply[..missing], RecvFlags::DONTWAIT) {
            Ok((_, count)) => missing -= count,
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
