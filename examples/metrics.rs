//! Measures hosts. Run a collector, then agents: cargo run --release --example metrics -- collect
//! and, in another terminal: cargo run --release --example metrics -- send --every 1

use clap::{Args, Parser, Subcommand};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tulipa::prelude::*;
use tulipa::wrappers::{ConnectionLimits, ProxyProtocol, Throttle, TrustedProxies};
use tulipa::{
    Backoff, Bytes, ClientEvent, ConnectOptions, FirstCall, Future, LoopingCall, OnFailure,
    ReconnectOptions, ReconnectingClient, Server, ServerOptions, current, select,
};
use tulipa_examples::metrics::{Agent, Collector, Framing, measure};
use tulipa_examples::program::{Ending, run_program};
use tulipa_examples::serving::{announce, serve_until_signal, start_logging};

/// Measures hosts: agents send load and memory to a collector, which sums them up.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Takes in what agents send, and prints a summary from time to time.
    Collect(Collect),
    /// Measures this host, and sends what it finds to a collector.
    Send(Send),
}

#[derive(Args)]
struct Collect {
    /// Where to listen: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 7979)]
    port: u16,
    /// How strings are told apart, on both sides.
    #[arg(long, value_enum, default_value = "netstring")]
    framing: Framing,
    /// How many seconds are summed up.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    report: f64,
    /// How many connections one address may have.
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    per_address: usize,
    /// How many bytes a second are read from each agent.
    #[arg(long, default_value = "65536", value_name = "BYTES")]
    rate: NonZeroUsize,
    /// After how many seconds a silent agent is disconnected.
    #[arg(long, default_value_t = 300.0, value_name = "SECONDS", value_parser = seconds)]
    silence: f64,
    /// Demands a PROXY header from everybody, with the agent's real address: for one that only proxies
    /// can reach.
    #[arg(long)]
    proxy_protocol: bool,
}

#[derive(Args)]
struct Send {
    /// The collector's host: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Its port.
    #[arg(long, default_value_t = 7979)]
    port: u16,
    /// How strings are told apart, on both sides.
    #[arg(long, value_enum, default_value = "netstring")]
    framing: Framing,
    /// What this host is called there.
    #[arg(long, default_value = "agent")]
    name: String,
    /// How many seconds lie between two measurements.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    every: f64,
    /// Ends after so many measurements, once the collector has them.
    #[arg(long)]
    count: Option<u64>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.001..=86_400.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("from 0.001 to 86400".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    match arguments.command {
        Command::Send(arguments) => run_program(send(arguments)),
        Command::Collect(arguments) => match collect(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:?}");
                ExitCode::FAILURE
            }
        },
    }
}

fn collect(arguments: &Collect) -> Result<(), Exception> {
    let event_loop = EventLoop::new()?;
    let collector = Collector::new(arguments.framing, Duration::from_secs_f64(arguments.silence));
    let server = event_loop.run_until_complete(&listen(&event_loop, arguments, &collector))?;
    let reported = collector.clone();
    let reports = LoopingCall::new(&**event_loop, OnFailure::GoOn, move |_| print(&reported));
    reports.start(Duration::from_secs_f64(arguments.report), FirstCall::AfterInterval)?;
    serve_until_signal(&event_loop, &[("", server)])?;
    print(&collector);
    Ok(())
}

fn listen(
    event_loop: &EventLoop,
    arguments: &Collect,
    collector: &Rc<Collector>,
) -> Future<Server> {
    let options = ServerOptions::from((arguments.host.as_str(), arguments.port)).keep_alive(true);
    let collector = collector.clone();
    let limits = ConnectionLimits::new().per_peer(arguments.per_address);
    let throttle = Throttle::new().read(Bytes(arguments.rate.get()));
    let agents = limits.wrap(throttle.wrap(move || collector.accept()));
    match arguments.proxy_protocol {
        false => event_loop.create_server(agents, options),
        true => {
            let proxies = ProxyProtocol::new(TrustedProxies::everybody());
            event_loop.create_server(proxies.wrap_factory(agents), options)
        }
    }
}

fn print(collector: &Collector) {
    for line in collector.report() {
        announce(line);
    }
}

async fn send(arguments: Send) -> Result<ExitCode, Exception> {
    let ending = Ending::watch()?;
    let session = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_micros() as u64);
    let agent = Agent::new(arguments.framing, &arguments.name, session);
    let client = keep_connected(&agent, &arguments);

    let (measured, mut left) = (agent.clone(), arguments.count);
    let measuring = LoopingCall::new(&*current(), OnFailure::Stop, move |calls| {
        measured.add(measure());
        left = left.map(|left| left - 1);
        if left == Some(0) {
            calls.stop()?;
        }
        Ok(())
    });
    let measured = measuring.start(Duration::from_secs_f64(arguments.every), FirstCall::Now)?;
    let outcome = select! {
        outcome = ending.wait() => outcome,
        outcome = async { measured.await?; agent.wait_idle().await } => outcome,
    };
    client.close();
    client.wait_closed().await?;
    if agent.waiting() > 0 {
        log::warn!("{} measurements did not arrive", agent.waiting());
    }
    outcome.flatten()?;
    Ok(ExitCode::SUCCESS)
}

/// Keeps the connection up, with longer pauses the longer that does not succeed.
fn keep_connected(agent: &Rc<Agent>, arguments: &Send) -> ReconnectingClient {
    let agent = agent.clone();
    let collector = (arguments.host.clone(), arguments.port);
    let connect = move |client: &ReconnectingClient| {
        let accepted = client.clone();
        let protocol = agent.connect(move || accepted.reset_delay());
        current().create_connection(move || protocol, ConnectOptions::from(collector.clone()))
    };
    let backoff = Backoff::default().max_delay(Duration::from_secs(60));
    let options = ReconnectOptions::from(backoff).on_event(|_, event| match event {
        ClientEvent::ConnectionFailed { retry_in: Some(_), .. }
        | ClientEvent::ConnectionLost { retry_in: Some(_), .. } => log::warn!("{event:?}"),
        _ => log::info!("{event:?}"),
    });
    current().create_reconnecting_client(connect, options)
}
