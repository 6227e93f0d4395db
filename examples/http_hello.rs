//! Answers every HTTP request with the same text. Run it, then: curl -i http://127.0.0.1:8080/

use clap::Parser;
use std::num::NonZeroUsize;
use std::rc::Rc;
use tulipa::prelude::*;
use tulipa::wrappers::{ConnectionLimits, ProxyProtocol, Throttle, TrafficLog, TrustedProxies};
use tulipa::{Bytes, DynFactory, Factory, ServerOptions};
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
    /// Takes connections from these proxies only, by the PROXY protocol: addresses and networks, with commas
    /// between them.
    #[arg(long, value_name = "TRUSTED")]
    proxy_protocol: Option<TrustedProxies>,
    /// How many connections a client may have, told apart by their addresses.
    #[arg(long, value_name = "COUNT")]
    per_client: Option<usize>,
    /// How many bytes a second are sent on a connection.
    #[arg(long, value_name = "BYTES")]
    rate: Option<NonZeroUsize>,
    /// Logs what passes on each connection, to stderr.
    #[arg(long)]
    log_traffic: bool,
}

/// What was asked for, around what `factory` makes.
fn wrapped(factory: impl Factory, arguments: &Arguments) -> DynFactory {
    let mut factory = DynFactory::new(factory);
    if let Some(rate) = arguments.rate {
        factory = DynFactory::new(Throttle::new().write(Bytes(rate.get())).wrap(factory));
    }
    if arguments.log_traffic {
        let log = TrafficLog::new().to(|event| eprintln!("{event}"));
        factory = DynFactory::new(log.wrap(factory));
    }
    if let Some(most) = arguments.per_client {
        factory = DynFactory::new(ConnectionLimits::new().per_peer(most).wrap(factory));
    }
    if let Some(trusted) = &arguments.proxy_protocol {
        factory = DynFactory::new(ProxyProtocol::new(trusted.clone()).wrap_factory(factory));
    }
    factory
}

fn main() -> Result<(), Exception> {
    let arguments = Arguments::parse();
    start_logging();
    let body: Rc<[u8]> = b"Hello, world!\n".iter().copied().cycle().take(arguments.size).collect();
    let limits = Rc::new(Limits::default());
    let event_loop = EventLoop::new()?;
    let hello = move || {
        let body = body.clone();
        HttpProtocol::new(limits.clone(), move |request: &Request<'_>, reply: Reply<'_>| {
            match request.method() {
                "GET" | "HEAD" => {
                    reply.send(Status::OK, &[("Content-Type", "text/plain")], &body);
                }
                _ => reply.send(Status::METHOD_NOT_ALLOWED, &[("Allow", "GET, HEAD")], b""),
            }
        })
    };
    let factory = wrapped(hello, &arguments);
    let options = ServerOptions::from((arguments.host, arguments.port)).backlog(4096);
    let serving = event_loop.create_server(factory, options);
    let server = event_loop.run_until_complete(&serving)?;
    serve_until_signal(&event_loop, &[("", server)])
}
