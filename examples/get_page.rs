//! Fetches pages and decodes them as JSON: several at the same time, on one thread. With `mailcatcher`
//! running: cargo run --release --example get_page http://127.0.0.1:8025/api/messages

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::{AbstractEventLoop, Future};
use tulipa_examples::http_client::{Url, fetch_json, print_pages};
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
    /// How often to try again, after a second, where nobody listens.
    #[arg(long, default_value_t = 0)]
    retries: u32,
}

fn main() -> Result<ExitCode, Exception> {
    let arguments = Arguments::parse();
    start_logging();
    let limit = Duration::from_secs(arguments.timeout);
    let owner = EventLoop::new()?;
    let event_loop: Rc<dyn AbstractEventLoop> = owner.handle().into();

    let progress = ProgressBar::new(arguments.urls.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos} of {len} pages")?);
    let pages: Vec<Future<serde_json::Value>> = arguments
        .urls
        .iter()
        .map(|url| {
            let page = fetch_json(&event_loop, url, limit, arguments.retries);
            let progress = progress.clone();
            page.add_done_callback(move |_| progress.inc(1));
            page
        })
        .collect();
    event_loop.run_until_complete(&all_done(&*event_loop, &pages))?;
    progress.finish_and_clear();
    print_pages(&arguments.urls, pages.iter().map(Future::result))
}

/// A future that is done when all of `futures` are, however they end.
fn all_done<T: 'static>(event_loop: &dyn AbstractEventLoop, futures: &[Future<T>]) -> Future<()> {
    let done = event_loop.create_future();
    let left = Rc::new(std::cell::Cell::new(futures.len()));
    for future in futures {
        let (left, done) = (left.clone(), done.clone());
        future.add_done_callback(move |_| {
            left.set(left.get() - 1);
            if left.get() == 0 {
                done.set_result(()).expect("the last future is done once");
            }
        });
    }
    done
}
