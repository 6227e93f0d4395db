//! Servers that answer every HTTP request with the same text.

mod httparse;
mod hyper;

use crate::listener::listener;
use clap::ValueEnum;
use tulipa::Exception;
use tulipa_bench::load::http::body;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What it is written on.
    on: On,
    /// The port; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Bytes of the answer.
    #[arg(long, default_value_t = 1024, value_name = "BYTES")]
    size: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum On {
    /// httparse, and epoll by its system calls.
    Httparse,
    /// hyper on tokio, in one thread.
    Hyper,
}

pub(crate) fn serve(arguments: &Arguments) -> Result<(), Exception> {
    let listener = listener(arguments.port)?;
    let body = body(arguments.size);
    match arguments.on {
        On::Httparse => httparse::serve(&listener, &body),
        On::Hyper => hyper::serve(listener, body),
    }
}
