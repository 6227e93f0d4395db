//! What `get_page` does, as coroutines: the part that fetches a page is two lines. With `mailcatcher`
//! running: cargo run --release --example get_page_coroutine http://127.0.0.1:8025/api/messages

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::{gather_results, timeout};
use tulipa_examples::http_client::{LARGEST, Url, get, print_pages};
use tulipa_examples::program::run_program;
use tulipa_examples::serving::start_logging;

/// Fetches pages and decodes them as JSON. Prints each, in the order of the arguments.
#[derive(Parser)]
struct Arguments {
    /// What to fetch: http://HOST[:PORT]/PATH
    #[arg(required = true)]
    urls: Vec<Url>,
    /// How many seconds each may take.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    timeout: u64,
}

/// Fetches a page and decodes it as JSON.
async fn get_page(url: &Url) -> Result<serde_json::Value, Exception> {
    let page = get(url, "application/json", LARGEST).await?.into_page()?;
    Ok(serde_json::from_slice(&page)?)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    run_program(get_pages(arguments))
}

async fn get_pages(arguments: Arguments) -> Result<ExitCode, Exception> {
    let limit = Duration::from_secs(arguments.timeout);
    let progress = ProgressBar::new(arguments.urls.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos} of {len} pages")?);
    let pages = gather_results(arguments.urls.iter().cloned().map(|url| {
        let progress = progress.clone();
        async move {
            let page = timeout(limit, get_page(&url)).await;
            progress.inc(1);
            page
        }
    }));
    let pages = pages.await?;
    progress.finish_and_clear();
    print_pages(&arguments.urls, pages)
}
