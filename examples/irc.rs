//! A chat server that any IRC client can use, and a client of its own that stays connected. Run it, then
//! in several terminals: cargo run --release --example irc -- --connect 127.0.0.1:6667 --nick ann --join '#tulips'

use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::protocols::LineReceiver;
use tulipa::{
    Backoff, PipeOptions, ReconnectOptions, ServerOptions, TokenBucket, current, select, timeout,
};
use tulipa_examples::irc::{Client, IrcServer, Keyboard, Limits, ServerSettings};
use tulipa_examples::program::{Ending, run_program};
use tulipa_examples::serving::{announce, start_logging};

/// A chat server after RFC 1459, or with --connect a client.
#[derive(Parser)]
struct Arguments {
    /// Be a client of the server there: a name or an address, and a port.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    connect: Option<(String, u16)>,
    /// Client: what to be called.
    #[arg(long, default_value = "guest")]
    nick: String,
    /// Client: the channels to be in.
    #[arg(long, value_name = "#CHANNEL", value_delimiter = ',')]
    join: Vec<String>,
    /// Client: how often to try again in a row; without, for ever.
    #[arg(long, value_name = "TIMES")]
    retries: Option<u32>,
    /// Client: the longest pause between attempts, in seconds.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds)]
    longest_pause: f64,
    /// Server: where to listen, a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Server: the port; 0 picks a free one.
    #[arg(long, default_value_t = 6667)]
    port: u16,
    /// Server: how many users there may be.
    #[arg(long, default_value_t = 1000)]
    users: usize,
    /// Server: how many of them from one address, or one network of IPv6.
    #[arg(long, default_value_t = 50)]
    users_per_address: usize,
    /// Server: how many lines of a channel are told to those who come.
    #[arg(long, default_value_t = 20, value_name = "LINES")]
    history: usize,
    /// Server: how many lines a second a user may say; twenty may come at once.
    #[arg(long, default_value_t = 2.0, value_name = "LINES", value_parser = rate)]
    pace: f64,
    /// After how many seconds of silence the other side is asked whether it is there; after twice as many
    /// it is not.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds)]
    silence: f64,
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("HOST:PORT is wanted")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), port.parse().map_err(|_| "not a port")?))
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.01..=1e6).contains(&seconds) { Ok(seconds) } else { Err("0.01 to 1000000".to_owned()) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.01..=1e6).contains(&rate) { Ok(rate) } else { Err("0.01 to 1000000".to_owned()) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    match arguments.connect.clone() {
        Some(server) => run_program(talk(arguments, server)),
        None => run_program(serve(arguments)),
    }
}

/// How long goodbyes may take.
const GOODBYE: Duration = Duration::from_secs(5);

async fn serve(arguments: Arguments) -> Result<ExitCode, Exception> {
    let pace = TokenBucket::new(1, Duration::from_secs_f64(1.0 / arguments.pace))?;
    let settings = ServerSettings {
        limits: Limits { history: arguments.history, ..Limits::default() },
        places: arguments.users,
        places_per_peer: arguments.users_per_address,
        silence: Duration::from_secs_f64(arguments.silence),
        pace: pace.burst(20),
        ..ServerSettings::default()
    };
    let factory = IrcServer::new(&*current(), settings);
    let options = ServerOptions::from((arguments.host, arguments.port)).keep_alive(true);
    let server = current().create_server(factory, options).await?;
    let ending = Ending::watch()?;
    for address in server.addresses() {
        announce(format_args!("listening on {address}"));
    }
    ending.wait().await?;
    let report = server.shutdown(GOODBYE).await?;
    log::info!("{} users took leave, {} were cut", report.drained, report.aborted);
    Ok(ExitCode::SUCCESS)
}

async fn talk(arguments: Arguments, server: (String, u16)) -> Result<ExitCode, Exception> {
    let silence = Duration::from_secs_f64(arguments.silence);
    let client = Client::new(&arguments.nick, &arguments.join, silence, |line| announce(line));
    let backoff = Backoff::default()
        .max_delay(Duration::from_secs_f64(arguments.longest_pause))
        .max_retries(arguments.retries);
    let teller = client.clone();
    let options = ReconnectOptions::from(backoff).on_event(move |_, event| teller.tell(&event));
    let maker = client.clone();
    let connection = current().create_reconnecting_client(
        move |connection| {
            let session = maker.session(connection);
            connection.get_loop().create_connection(move || session, server.clone())
        },
        options,
    );

    let ending = Ending::watch()?;
    let keyboard = Keyboard::new(client.clone());
    let keyboard = LineReceiver::new(keyboard).delimiter(b"\n");
    let input = current().connect_read_pipe(move || keyboard, PipeOptions::stdin()?).await?;
    let ended = select! {
        outcome = ending.wait() => outcome.map(|()| false),
        outcome = input.wait_closed() => outcome.map(|()| false),
        outcome = connection.wait_closed() => outcome.map(|()| true),
    };
    input.abort();
    let is_over = ended.flatten()?;
    if !is_over {
        client.quit("bye");
        if timeout(GOODBYE, connection.wait_closed()).await.is_err() {
            connection.close();
            timeout(GOODBYE, connection.wait_closed()).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
