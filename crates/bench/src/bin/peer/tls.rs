//! Servers that send back what they receive, over TLS.

mod tokio;

use crate::listener::listener;
use clap::ValueEnum;
use std::path::PathBuf;
use tulipa::Exception;

/// How much is read at once.
const BUFFER: usize = 64 * 1024;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What it is written on.
    on: On,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its private key, in PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum On {
    /// tokio-rustls on tokio, in one thread.
    Tokio,
}

pub(crate) fn serve(arguments: &Arguments) -> Result<(), Exception> {
    match arguments.on {
        On::Tokio => {
            tokio::serve(listener(arguments.port)?, &arguments.certificate, &arguments.key)
        }
    }
}
