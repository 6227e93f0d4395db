//! Passes TCP connections on to another address. Try it with `http_hello`:
//! cargo run --release --example proxy 127.0.0.1:8080, then: curl http://127.0.0.1:9000/

use clap::Parser;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::streams::{StreamListener, listen};
use tulipa::{
    PeriodicCallback, Semaphore, ServerOptions, TaskGroup, Timeout, TimeoutError, current, select,
    signal,
};
use tulipa_examples::program::{Ending, run_program};
use tulipa_examples::proxy::{Proxy, SendProxy, Traffic};
use tulipa_examples::serving::{announce, start_logging};

/// Passes TCP connections on to another address. SIGUSR1 prints what was passed on; SIGINT and SIGTERM
/// end it when the connections have ended.
#[derive(Parser)]
struct Arguments {
    /// Where to pass them on to.
    #[arg(value_name = "HOST:PORT", value_parser = host_and_port)]
    target: (String, u16),
    /// Where to listen: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// How many connections may be open; further ones wait.
    #[arg(long, default_value_t = 1000)]
    connections: usize,
    /// How many seconds connecting to the target may take.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    connect_timeout: u64,
    /// After how many seconds of silence a connection is cut; 0 for never.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    idle_timeout: u64,
    /// Prints what was passed on, each time after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    report: Option<u64>,
    /// Tells the target first from whom a connection comes, by the PROXY protocol.
    #[arg(long, value_enum, value_name = "VERSION")]
    send_proxy: Option<SendProxy>,
    /// How many seconds connections have to end after the first signal.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    drain: u64,
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("there is no port")?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match port.parse() {
        Ok(port) if !host.is_empty() && port > 0 => Ok((host.to_owned(), port)),
        _ => Err("not a host and a port".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    run_program(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<ExitCode, Exception> {
    let idle_limit = Duration::from_secs(arguments.idle_timeout);
    let proxy = Rc::new(Proxy {
        target: arguments.target,
        connect_limit: Duration::from_secs(arguments.connect_timeout),
        idle_limit: Some(idle_limit).filter(|limit| !limit.is_zero()),
        send_proxy: arguments.send_proxy,
        traffic: Traffic::default(),
    });
    let places = Semaphore::new(arguments.connections);
    let mut listener = listen(ServerOptions::from((arguments.host, arguments.port))).await?;

    let ending = Ending::watch()?;
    let counted = proxy.clone();
    current().add_signal_handler(signal::SIGUSR1, move || announce(&counted.traffic))?;
    if let Some(seconds) = arguments.report {
        let counted = proxy.clone();
        let interval = Duration::from_secs(seconds);
        PeriodicCallback::new(&*current(), interval, move || announce(&counted.traffic))?.start();
    }
    for address in listener.server().addresses() {
        announce(format_args!("listening on {address}"));
    }

    let patience = Timeout::new(None);
    let connections = TaskGroup::scope(async |group| {
        select! {
            _ = ending.wait() => {}
            failed = accept(&mut listener, &places, group, &proxy) => failed?,
        }?;
        drop(listener);
        // The group waits for those that are open, but not for ever.
        patience.reschedule(current().time() + Duration::from_secs(arguments.drain))?;
        Ok(())
    });
    match patience.run(connections).await {
        Err(error) if error.is::<TimeoutError>() => log::warn!("connections were cut: {error}"),
        outcome => outcome?,
    }
    announce(&proxy.traffic);
    Ok(ExitCode::SUCCESS)
}

/// Serves clients, each in a task of its own, as long as there are places.
async fn accept(
    listener: &mut StreamListener,
    places: &Semaphore,
    group: &TaskGroup,
    proxy: &Rc<Proxy>,
) -> Result<(), Exception> {
    loop {
        let place = places.acquire().await?;
        let client = listener.accept().await?;
        let proxy = proxy.clone();
        group.spawn(async move {
            proxy.serve(client).await;
            drop(place);
        })?;
    }
}
