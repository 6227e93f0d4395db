//! Crawling: pages are fetched by several workers at once, and the links on them are followed.
//!
//! A [`Crawl`] is given how to fetch a page and where to take chance from, so that a test needs neither
//! a network nor luck. What came of each page is kept as it comes, so that there is a
//! [summary](Crawl::summary) at any time, also of a crawl that was cancelled.
//!
//! Invariant: a page is in the queue at most once, and what a summary counts as unfetched is in the
//! queue or with a worker.

mod backoff;
mod links;
mod summary;
#[cfg(test)]
mod tests;

pub use backoff::{Backoff, chance};
pub use links::links;
pub use summary::{PageReport, Summary};

use crate::http_client::{PageTooLarge, Response, Url};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;
use tulipa::prelude::*;
use tulipa::{Cooperator, Queue, QueueShutDown, RateLimiter, TaskGroup, current, sleep, timeout};

/// What a crawl may do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many pages are fetched at the same time.
    pub workers: usize,
    /// How many pages are fetched in all.
    pub pages: usize,
    /// How many attempts are begun in a second, at most.
    pub rate: Option<NonZeroU32>,
    /// How long one attempt may take.
    pub limit: Duration,
    /// How often a page is tried again after a failure that may pass.
    pub retries: u32,
    /// How long to wait before.
    pub backoff: Backoff,
    /// Whether links are followed at all.
    pub follow: bool,
    /// Whether they are followed to hosts other than those of the first pages.
    pub follow_hosts: bool,
}

/// What happens, for those who watch.
#[derive(Debug)]
pub enum Progress<'a> {
    /// There are so many pages to fetch, those that were fetched included.
    Found(usize),
    /// This worker fetches this page.
    Begun(usize, &'a Url),
    /// This is what came of it.
    Ended(usize, &'a PageReport),
}

/// One crawl, which fetches pages with `F`.
pub struct Crawl<F> {
    settings: Settings,
    fetch: F,
    chance: RefCell<Box<dyn FnMut() -> f64>>,
    watch: Box<dyn Fn(Progress<'_>)>,
    pages: Queue<Url>,
    limiter: Option<RateLimiter>,
    /// The addresses that were ever met, and whether they are fetched or left out.
    met: RefCell<HashSet<String>>,
    hosts: RefCell<HashSet<(String, u16)>>,
    found: Cell<usize>,
    summary: RefCell<Summary>,
}

impl<F: AsyncFn(&Url) -> Result<Response, Exception> + 'static> Crawl<F> {
    /// A crawl that has not begun. `chance` gives numbers from 0 to 1.
    pub fn new(
        settings: Settings,
        fetch: F,
        chance: impl FnMut() -> f64 + 'static,
        watch: impl Fn(Progress<'_>) + 'static,
    ) -> Rc<Self> {
        let limiter = settings.rate.map(|rate| {
            let limiter = RateLimiter::new(rate.get(), Duration::from_secs(1));
            limiter.expect("a rate above zero").burst(1) // evenly, not all at the start of a second
        });
        Rc::new(Self {
            settings,
            limiter,
            fetch,
            chance: RefCell::new(Box::new(chance)),
            watch: Box::new(watch),
            pages: Queue::new(),
            met: RefCell::default(),
            hosts: RefCell::default(),
            found: Cell::new(0),
            summary: RefCell::default(),
        })
    }

    /// Fetches `start` and everything that can be reached from there, as far as the settings allow.
    ///
    /// # Errors
    /// If the task is cancelled. A page that cannot be fetched is no error, but a part of the summary.
    pub async fn run(self: &Rc<Self>, start: &[Url]) -> Result<(), Exception> {
        for url in start {
            let url = url.normalized();
            self.hosts.borrow_mut().insert((url.host().to_owned(), url.port()));
            self.add(url);
        }
        TaskGroup::scope(async |group| {
            for worker in 0..self.settings.workers {
                group.create_task(self.clone().work(worker))?;
            }
            self.pages.join().await?;
            self.pages.shutdown(false);
            Ok(())
        })
        .await
    }

    /// What came of the pages so far.
    pub fn summary(&self) -> Summary {
        let mut summary = self.summary.borrow().clone();
        summary.unfetched = self.found.get() - summary.pages.len();
        summary
    }

    /// Fetches one page after the other, until the queue is shut down.
    async fn work(self: Rc<Self>, worker: usize) -> Result<(), Exception> {
        loop {
            let url = match self.pages.get().await {
                Ok(url) => url,
                Err(ended) if ended.is::<QueueShutDown>() => return Ok(()),
                Err(cancelled) => return Err(cancelled),
            };
            (self.watch)(Progress::Begun(worker, &url));
            let report = self.visit(&url).await?;
            (self.watch)(Progress::Ended(worker, &report));
            self.summary.borrow_mut().pages.push(report);
            self.pages.task_done()?;
        }
    }

    /// Fetches a page and notes its links.
    async fn visit(self: &Rc<Self>, url: &Url) -> Result<PageReport, Exception> {
        let begin = current().time();
        let (tries, outcome) = self.fetch_patiently(url).await?;
        let mut report = PageReport::new(url, tries, &outcome);
        report.seconds = (current().time() - begin).as_secs_f64();
        if let Ok(response) = &outcome
            && self.settings.follow
        {
            let links = links(response);
            report.links = links.len();
            // There may be a hundred thousand: others have their turn meanwhile.
            let (this, page) = (self.clone(), url.clone());
            let adding = links.into_iter().map(move |link| {
                if let Ok(link) = page.join(&link) {
                    this.add(link);
                }
            });
            Cooperator::new(&*current()).cooperate(adding).when_done().await?;
        }
        Ok(report)
    }

    /// Fetches a page, and tries again as the settings say: how many attempts it took, and the last
    /// one's outcome. The error is a cancellation.
    async fn fetch_patiently(
        &self,
        url: &Url,
    ) -> Result<(u32, Result<Response, Exception>), Exception> {
        let mut tries = 0;
        loop {
            if let Some(limiter) = &self.limiter {
                limiter.acquire().await?;
            }
            let outcome = timeout(self.settings.limit, (self.fetch)(url)).await;
            if let Err(error) = &outcome
                && error.is_cancelled()
            {
                return Err(error.clone());
            }
            tries += 1;
            if tries > self.settings.retries || !may_pass(&outcome) {
                return Ok((tries, outcome));
            }
            let chance = (self.chance.borrow_mut())();
            sleep(self.settings.backoff.delay(tries, chance)).await?;
        }
    }

    /// Puts a page into the queue if it is new, and wanted.
    fn add(&self, url: Url) {
        if !self.met.borrow_mut().insert(url.to_string()) {
            return;
        }
        let is_here = self.hosts.borrow().contains(&(url.host().to_owned(), url.port()));
        if !is_here && !self.settings.follow_hosts {
            self.summary.borrow_mut().elsewhere += 1;
        } else if self.found.get() >= self.settings.pages {
            self.summary.borrow_mut().beyond_limit += 1;
        } else {
            self.found.set(self.found.get() + 1);
            self.pages.put_nowait(url).expect("a queue without a bound, before its end");
            (self.watch)(Progress::Found(self.found.get()));
        }
    }
}

/// Whether another attempt may end better.
fn may_pass(outcome: &Result<Response, Exception>) -> bool {
    match outcome {
        Ok(response) => matches!(response.code, 429 | 500 | 502 | 503 | 504),
        Err(error) => !error.is::<PageTooLarge>(),
    }
}
