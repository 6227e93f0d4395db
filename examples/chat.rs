//! A chat room for everybody who can send lines. Run it, then, in several terminals: nc 127.0.0.1 7777

use clap::Parser;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::streams::start_server;
use tulipa::{Bytes, ServerOptions, current};
use tulipa_examples::chat::{Room, talk};
use tulipa_examples::program::{Ending, run_program};
use tulipa_examples::serving::{announce, start_logging};

/// A chat room: what one says, all others hear. /help tells how.
#[derive(Parser)]
struct Arguments {
    /// Where to listen: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 7777)]
    port: u16,
    /// How many guests the room has place for.
    #[arg(long, default_value_t = 500)]
    guests: usize,
    /// How many bytes a line may have.
    #[arg(long, default_value = "1024", value_name = "BYTES")]
    longest: NonZeroUsize,
    /// How many lines a guest may be behind before some are lost.
    #[arg(long, default_value = "100", value_name = "LINES")]
    backlog: NonZeroUsize,
    /// How many seconds guests have to take the goodbye when the room closes.
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    goodbye: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    run_program(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<ExitCode, Exception> {
    let room = Room::new(arguments.guests, arguments.backlog);
    let talks = current().create_scope();
    let guests = talks.handle();
    let options = ServerOptions::from((arguments.host, arguments.port))
        .stream_limit(Bytes(arguments.longest.get()))
        .keep_alive(true);
    let come_in = move |reader, writer| {
        let room = room.clone();
        guests.spawn(async move {
            if let Err(error) = talk(&room, reader, writer).await {
                log::info!("a guest is gone: {error:?}");
            }
        });
    };
    let server = start_server(come_in, options).await?;

    let ending = Ending::watch()?;
    for address in server.addresses() {
        announce(format_args!("listening on {address}"));
    }
    ending.wait().await?;

    server.close();
    let report = talks.close_within(Duration::from_secs(arguments.goodbye)).await?;
    log::info!("{} guests took leave, {} did not", report.ended, report.aborted);
    Ok(ExitCode::SUCCESS)
}
