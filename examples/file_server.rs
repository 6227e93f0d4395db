//! Serves the files of a folder by HTTP, without ever having one in memory. Run it, then:
//! curl -O http://127.0.0.1:8081/file_server.rs

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::streams::start_server;
use tulipa::{Bytes, ServerOptions, current, listen_fds, to_thread};
use tulipa_examples::file_server::{LONGEST_HEAD, Site, talk};
use tulipa_examples::program::{Ending, run_program};
use tulipa_examples::serving::{announce, start_logging};

/// Serves the files of a folder by HTTP: at an address, or on the socket that a service manager passes.
#[derive(Parser)]
struct Arguments {
    /// The folder.
    #[arg(long, default_value = "examples")]
    dir: PathBuf,
    /// Where to listen: a name or an address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 8081)]
    port: u16,
    /// How many seconds a client may take for one file.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    patience: u64,
    /// How many seconds files that are under way have when the server is told to end.
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    goodbye: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    run_program(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<ExitCode, Exception> {
    let patience = Duration::from_secs(arguments.patience);
    let site = Rc::new(to_thread(move || Site::new(&arguments.dir, patience)).await??);
    let place = match listen_fds()?.into_iter().next() {
        Some(passed) => passed.into_server_options()?,
        None => ServerOptions::from((arguments.host, arguments.port)),
    };
    let talks = current().create_scope();
    let clients = talks.handle();
    let come_in = move |reader, writer| {
        let site = site.clone();
        clients.spawn(async move {
            if let Err(error) = talk(&site, reader, writer).await {
                log::info!("a client is gone: {error:?}");
            }
        });
    };
    let server = start_server(come_in, place.stream_limit(Bytes(LONGEST_HEAD))).await?;

    let ending = Ending::watch()?;
    for address in server.addresses() {
        announce(format_args!("listening on {address}"));
    }
    ending.wait().await?;

    server.close();
    let report = talks.close_within(Duration::from_secs(arguments.goodbye)).await?;
    log::info!("{} clients ended, {} were cut", report.ended, report.aborted);
    Ok(ExitCode::SUCCESS)
}
