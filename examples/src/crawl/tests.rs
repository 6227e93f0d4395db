//! Whole crawls through sites that are made up, on a clock that steps by itself.

use super::*;
use tulipa::TestLoop;

fn settings() -> Settings {
    Settings {
        workers: 4,
        pages: 100,
        rate: None,
        limit: Duration::from_secs(10),
        retries: 2,
        backoff: Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) },
        follow: true,
        follow_hosts: false,
    }
}

fn page(links: &[&str]) -> Response {
    let body = links.iter().map(|link| format!("<a href={link}>")).collect::<String>();
    Response { code: 200, body: body.into_bytes(), ..Response::default() }
}

fn urls(texts: &[&str]) -> Vec<Url> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Crawls from `start` with all waits at their longest.
fn crawl<F: AsyncFn(&Url) -> Result<Response, Exception> + 'static>(
    event_loop: &TestLoop,
    settings: Settings,
    start: &str,
    fetch: F,
) -> Summary {
    let crawl = Crawl::new(settings, fetch, || 1.0, |_| ());
    let (running, start) = (crawl.clone(), urls(&[start]));
    event_loop.run_coroutine(async move { running.run(&start).await }).unwrap();
    crawl.summary()
}

fn fetched(summary: &Summary) -> Vec<&str> {
    let mut fetched: Vec<_> = summary.pages.iter().map(|page| &*page.url).collect();
    fetched.sort_unstable();
    fetched
}

#[test]
fn every_page_of_the_host_is_fetched_once() {
    let site = async |url: &Url| match url.as_str() {
        "http://a/" => Ok(page(&["b", "/c", "http://elsewhere/", "b#end", "mailto:x"])),
        "http://a/b" => Ok(page(&["/", "c", "d"])),
        "http://a/d" => Ok(Response { code: 404, ..page(&["no"]) }),
        _ => Ok(page(&[])),
    };
    let event_loop = TestLoop::new();
    let summary = crawl(&event_loop, settings(), "http://A", site);
    assert_eq!(fetched(&summary), ["http://a/", "http://a/b", "http://a/c", "http://a/d"]);
    assert_eq!((summary.elsewhere, summary.beyond_limit, summary.unfetched), (1, 0, 0));
    assert!(!summary.is_good(), "one is not there");

    let everywhere = Settings { follow_hosts: true, ..settings() };
    let summary = crawl(&event_loop, everywhere, "http://a/", site);
    assert_eq!((summary.pages.len(), summary.elsewhere), (5, 0));
    let nowhere = Settings { follow: false, ..settings() };
    assert_eq!(fetched(&crawl(&event_loop, nowhere, "http://a/", site)), ["http://a/"]);
}

#[test]
fn an_endless_site_ends_at_the_limit_of_pages() {
    let site = async |url: &Url| Ok(page(&[&format!("{url}x"), &format!("{url}y")]));
    let few = Settings { pages: 7, ..settings() };
    let summary = crawl(&TestLoop::new(), few, "http://a/", site);
    assert_eq!((summary.pages.len(), summary.unfetched), (7, 0));
    assert_eq!(summary.beyond_limit, 8);
    assert!(summary.is_good());
}

#[test]
fn no_more_pages_are_fetched_at_once_than_there_are_workers() {
    let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (current, highest) = (now.clone(), most.clone());
    let site = async move |url: &Url| {
        current.set(current.get() + 1);
        highest.set(highest.get().max(current.get()));
        sleep(Duration::from_secs(1)).await?;
        current.set(current.get() - 1);
        let links: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        Ok(match url.as_str() {
            "http://a/" => page(&links.iter().map(|link| &**link).collect::<Vec<_>>()),
            _ => page(&[]),
        })
    };
    let event_loop = TestLoop::new();
    let begin = event_loop.time();
    assert_eq!(crawl(&event_loop, settings(), "http://a/", site).pages.len(), 13);
    assert_eq!((now.get(), most.get()), (0, 4));
    assert_eq!(event_loop.time() - begin, Duration::from_secs(1 + 12 / 4));
}

#[test]
fn what_may_pass_is_tried_again_after_growing_waits() {
    for (failure, tries, seconds) in [
        (Ok(Response { code: 503, ..Response::default() }), 3, 1.0 + 2.0),
        (Ok(Response { code: 404, ..Response::default() }), 1, 0.0),
        (Err(Exception::msg("reset")), 3, 1.0 + 2.0),
        (Err(PageTooLarge.into()), 1, 0.0),
    ] {
        let site = async move |_: &Url| failure.clone();
        let summary = crawl(&TestLoop::new(), settings(), "http://a/", site);
        let report = &summary.pages[0];
        assert_eq!((report.tries, report.seconds), (tries, seconds), "{report:?}");
        assert!(!summary.is_good());
    }
    let attempts = Cell::new(0);
    let site = async move |_: &Url| match attempts.replace(attempts.get() + 1) {
        0 => Err(Exception::msg("reset")),
        _ => Ok(page(&[])),
    };
    let summary = crawl(&TestLoop::new(), settings(), "http://a/", site);
    assert_eq!((summary.pages[0].tries, summary.is_good()), (2, true));
}

#[test]
fn a_page_that_does_not_come_is_given_up() {
    let site = async |_: &Url| {
        sleep(Duration::from_secs(3600)).await?;
        Ok(page(&[]))
    };
    let summary = crawl(&TestLoop::new(), settings(), "http://a/", site);
    let report = &summary.pages[0];
    assert_eq!((report.tries, report.seconds), (3, 10.0 + 1.0 + 10.0 + 2.0 + 10.0));
    assert!(report.error.as_ref().is_some_and(|error| error.contains("deadline")), "{report:?}");
}

#[test]
fn a_cancelled_crawl_has_a_summary_of_what_there_is() {
    let site = async |url: &Url| {
        sleep(Duration::from_secs(5)).await?;
        Ok(page(&[&format!("{url}x"), &format!("{url}y")]))
    };
    let event_loop = TestLoop::new();
    let crawl = Crawl::new(settings(), site, || 1.0, |_| ());
    let running = crawl.clone();
    let task = event_loop.create_task(async move { running.run(&urls(&["http://a/"])).await });
    event_loop.advance(Duration::from_secs(12));
    task.cancel();
    assert!(event_loop.run_until_complete(&task).unwrap_err().is_cancelled());
    let summary = crawl.summary();
    assert_eq!((summary.pages.len(), summary.unfetched), (3, 4));
    assert!(
        summary.to_string().ends_with("3 of 3 pages are there, 118 bytes; 4 not fetched"),
        "{summary}"
    );
}

#[test]
fn no_more_attempts_are_begun_in_a_second_than_wanted() {
    let times = Rc::new(RefCell::new(Vec::new()));
    let begun = times.clone();
    let site = async move |url: &Url| {
        begun.borrow_mut().push(current().time().as_nanos() / 1_000_000);
        match url.as_str() {
            "http://a/" => Ok(page(&["b", "c", "d"])),
            "http://a/b" => Ok(Response { code: 503, ..page(&[]) }),
            _ => Ok(page(&[])),
        }
    };
    let backoff = Backoff { first: Duration::ZERO, longest: Duration::ZERO };
    let polite = Settings { rate: NonZeroU32::new(4), retries: 1, backoff, ..settings() };
    let summary = crawl(&TestLoop::new(), polite, "http://a/", site);
    assert_eq!(summary.pages.len(), 4);
    assert_eq!(times.take(), [0, 250, 500, 750, 1000]);
}

#[test]
fn a_page_with_very_many_links_holds_nobody_up() {
    let event_loop = TestLoop::new();
    let links: Vec<String> = (0..30_000).map(|number| format!("/{number}")).collect();
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    let many = page(&links);
    let site = async move |_: &Url| {
        Ok(Response { code: 200, body: many.body.clone(), ..Response::default() })
    };
    let begun = event_loop.stats().callbacks;
    let only = Settings { pages: 1, ..settings() };
    let summary = crawl(&event_loop, only, "http://a/", site);
    assert_eq!((summary.pages[0].links, summary.beyond_limit), (30_000, 30_000));
    assert!(event_loop.stats().callbacks - begun > 3, "it took several turns");
}
