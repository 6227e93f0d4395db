//! Fetches the pages of a site, following the links: several at once, each with a time limit, and again
//! if that may help. Run it: cargo run --release --example crawl http://127.0.0.1:8025/

use clap::Parser;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa_examples::crawl::{Backoff, Crawl, Progress, Settings, chance};
use tulipa_examples::http_client::{Url, get};
use tulipa_examples::program::run_program;
use tulipa_examples::serving::start_logging;

/// Fetches the pages of a site, following the links, and says what came of each. Ctrl-C ends it with
/// what there is so far. The exit code is 1 if a page could not be fetched.
#[derive(Parser)]
struct Arguments {
    /// Where to begin: http://HOST[:PORT]/PATH
    #[arg(required = true)]
    urls: Vec<Url>,
    /// How many pages to fetch at the same time.
    #[arg(long, short, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// How many pages to fetch in all.
    #[arg(long, default_value_t = 1000)]
    pages: usize,
    /// How many attempts are begun in a second, at most; by default as many as come.
    #[arg(long, value_name = "ATTEMPTS")]
    rate: Option<NonZeroU32>,
    /// How large an answer may be, in KiB.
    #[arg(long, default_value_t = 8 * 1024, value_name = "KIB")]
    largest: usize,
    /// How many seconds an attempt may take.
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    timeout: f64,
    /// How often to try again what failed.
    #[arg(long, default_value_t = 2)]
    retries: u32,
    /// How many seconds to wait before that; each further wait is twice as long, up to a minute.
    #[arg(long, default_value_t = 0.5, value_parser = seconds, value_name = "SECONDS")]
    backoff: f64,
    /// Fetches only what is named here, and follows no links.
    #[arg(long)]
    no_follow: bool,
    /// Follows links to other hosts too.
    #[arg(long)]
    follow_hosts: bool,
    /// Prints JSON in place of a table.
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=1e9).contains(&seconds) => Ok(seconds),
        _ => Err("not a number of seconds".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    run_program(crawl(arguments))
}

async fn crawl(arguments: Arguments) -> Result<ExitCode, Exception> {
    let settings = Settings {
        workers: arguments.jobs.into(),
        pages: arguments.pages,
        rate: arguments.rate,
        limit: Duration::from_secs_f64(arguments.timeout),
        retries: arguments.retries,
        backoff: Backoff {
            first: Duration::from_secs_f64(arguments.backoff),
            longest: Duration::from_secs(60),
        },
        follow: !arguments.no_follow,
        follow_hosts: arguments.follow_hosts,
    };
    let largest = arguments.largest.saturating_mul(1024);
    let fetch = async move |url: &Url| get(url, "text/html, */*;q=0.5", largest).await;
    let bars = Bars::new(settings.workers)?;
    let all_bars = bars.all.clone();
    let crawl = Crawl::new(settings, fetch, chance, move |progress| bars.show(progress));

    let outcome = crawl.run(&arguments.urls).await;
    all_bars.clear()?;
    let summary = crawl.summary();
    let mut stdout = io::stdout().lock();
    match arguments.json {
        true => writeln!(stdout, "{}", serde_json::to_string_pretty(&summary)?)?,
        false => writeln!(stdout, "{summary}")?,
    }
    stdout.flush()?;
    outcome?; // it was cancelled
    Ok(if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One bar for all pages, and a line for each worker. Nothing is drawn where stderr is no terminal.
struct Bars {
    all: MultiProgress,
    pages: ProgressBar,
    workers: Vec<ProgressBar>,
}

impl Bars {
    fn new(workers: usize) -> Result<Self, Exception> {
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} pages, {elapsed}")?;
        let pages = all.add(ProgressBar::new(0).with_style(style));
        let style = ProgressStyle::with_template("  {wide_msg}")?;
        let line = |_| all.add(ProgressBar::new_spinner().with_style(style.clone()));
        let workers = (0..workers).map(line).collect();
        Ok(Self { all, pages, workers })
    }

    fn show(&self, progress: Progress<'_>) {
        match progress {
            Progress::Found(count) => self.pages.set_length(count as u64),
            Progress::Begun(worker, url) => self.workers[worker].set_message(url.to_string()),
            Progress::Ended(worker, _) => {
                self.workers[worker].set_message("");
                self.pages.inc(1);
            }
        }
    }
}
