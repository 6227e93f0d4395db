//! Answers every HTTP request with the same text. Run it, then: curl -i http://127.0.0.1:8080/

use clap::Parser;
use std::rc::Rc;
use tulipa::ServerOptions;
use tulipa::prelude::*;
use tulipa_examples::http::{Limits, Reply, Request, Status};
use tulipa_examples::http_protocol::HttpProtocol;
use tulipa_examples::serving::{serve_until_signal, start_logging};

/// Answers every HTTP request with the same text.
#[derive(Parser)]
struct Arguments {
    /// Where to listen: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Bytes of the answer.
    #[arg(long, default_value_t = 14, value_name = "BYTES")]
    size: usize,
}

fn main() -> Result<(), Exception> {
    let arguments = Arguments::parse();
    start_logging();
    let body: Rc<[u8]> = b"Hello, world!\n".iter().copied().cycle().take(arguments.size).collect();
    let limits = Rc::new(Limits::default());
    let event_loop = EventLoop::new()?;
    let serving = event_loop.create_server(
        move || {
            let body = body.clone();
            HttpProtocol::new(limits.clone(), move |request: &Request<'_>, reply: Reply<'_>| {
                match request.method() {
                    "GET" | "HEAD" => {
                        reply.send(Status::OK, &[("Content-Type", "text/plain")], &body);
                    }
                    _ => reply.send(Status::METHOD_NOT_ALLOWED, &[("Allow", "GET, HEAD")], b""),
                }
            })
        },
        ServerOptions::from((arguments.host, arguments.port)).backlog(4096),
    );
    let server = event_loop.run_until_complete(&serving)?;
    serve_until_signal(&event_loop, &[("", server)])
}
