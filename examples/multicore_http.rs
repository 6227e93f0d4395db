//! Answers every HTTP request with the same text, on several cores: a thread and a loop each, which share
//! nothing. Run it, then: curl -i http://127.0.0.1:8080/ and, for who answered how often, …8080/core

use clap::Parser;
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::{
    Accepting, BudgetPolicy, Bytes, ConnectionBudget, CoresOptions, ServerOptions, serve_on_cores,
    wrap_future,
};
use tulipa_examples::http::{Limits, Reply, Request, Status};
use tulipa_examples::http_protocol::HttpProtocol;
use tulipa_examples::serving::{serve_cores_until_signal, start_logging};

/// Answers every HTTP request with the same text, on several cores.
#[derive(Parser)]
struct Arguments {
    /// Where to listen: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// How many cores; by default all that the program may use.
    #[arg(long)]
    cores: Option<NonZeroUsize>,
    /// One thread accepts, and hands each connection to the core that has fewest.
    #[arg(long)]
    hand_over: bool,
    /// Keeps each thread on one processor.
    #[arg(long)]
    pin: bool,
    /// Bytes of the answer.
    #[arg(long, default_value_t = 14, value_name = "BYTES")]
    size: usize,
    /// How many KiB one connection may hold before it is cut.
    #[arg(long, default_value_t = 20 * 1024, value_name = "KIB")]
    most_held: usize,
}

fn main() -> Result<(), Exception> {
    let arguments = Arguments::parse();
    start_logging();
    let budget = ConnectionBudget::new()
        .held(Bytes::kib(arguments.most_held))
        .longest_call(Duration::from_secs(1))
        .policy(BudgetPolicy::Abort);
    let place = ServerOptions::from((arguments.host, arguments.port)).backlog(4096).budget(budget);
    let mut options = CoresOptions::from(place).pin(arguments.pin);
    if let Some(count) = arguments.cores {
        options = options.cores(count);
    }
    if arguments.hand_over {
        options = options.accepting(Accepting::HandedOver);
    }

    let size = arguments.size;
    let starting = serve_on_cores(options, move |core| {
        // All of this is the core's own: no lock, no atomic.
        let body: Rc<[u8]> = b"Hello, world!\n".iter().copied().cycle().take(size).collect();
        let limits = Rc::new(Limits::default());
        let answered = Rc::new(Cell::new(0_u64));
        let core = core.index();
        Ok(move || {
            let (body, answered) = (body.clone(), answered.clone());
            HttpProtocol::new(limits.clone(), move |request: &Request<'_>, reply: Reply<'_>| {
                answered.set(answered.get() + 1);
                const TEXT: &[(&str, &str)] = &[("Content-Type", "text/plain")];
                match (request.method(), request.path()) {
                    ("GET" | "HEAD", "/core") => {
                        let text = format!("core {core} answered {} requests\n", answered.get());
                        reply.send(Status::OK, TEXT, text.as_bytes());
                    }
                    ("GET" | "HEAD", _) => reply.send(Status::OK, TEXT, &body),
                    _ => reply.send(Status::METHOD_NOT_ALLOWED, &[("Allow", "GET, HEAD")], b""),
                }
            })
        })
    });

    // The loop of this thread is for the signals.
    let event_loop = EventLoop::new()?;
    let cores = event_loop.run_until_complete(&wrap_future(&starting, &**event_loop))?;
    serve_cores_until_signal(&event_loop, &cores)
}
