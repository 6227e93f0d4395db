//! [`Summary`]: what came of a crawl, for people and for programs.

use crate::http_client::{Response, Url};
use serde::Serialize;
use std::fmt;
use tulipa::Exception;

/// What came of a crawl.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// The pages that were fetched, or not, in the order of their ends.
    pub pages: Vec<PageReport>,
    /// How many pages had still to be fetched.
    pub unfetched: usize,
    /// How many links to further pages were left out because there were too many.
    pub beyond_limit: usize,
    /// How many links were left out because they lead to other hosts.
    pub elsewhere: usize,
}

/// What came of one page.
#[derive(Clone, Debug, Serialize)]
pub struct PageReport {
    /// Its address.
    pub url: String,
    /// The code of the answer, if there was one.
    pub code: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
    /// The bytes of its body.
    pub bytes: usize,
    /// The links on it.
    pub links: usize,
    /// How many attempts it took.
    pub tries: u32,
    /// How long all of them took.
    pub seconds: f64,
}

impl PageReport {
    pub(super) fn new(url: &Url, tries: u32, outcome: &Result<Response, Exception>) -> Self {
        Self {
            url: url.to_string(),
            code: outcome.as_ref().ok().map(|response| response.code),
            // With its causes.
            error: outcome.as_ref().err().map(|error| format!("{error:?}")),
            bytes: outcome.as_ref().map_or(0, |response| response.body.len()),
            links: 0,
            tries,
            seconds: 0.0,
        }
    }

    /// Whether the page is there, or somewhere else.
    pub fn is_good(&self) -> bool {
        self.code.is_some_and(|code| (200..400).contains(&code))
    }
}

impl Summary {
    /// Whether every page was fetched that was to be.
    pub fn is_good(&self) -> bool {
        self.unfetched == 0 && self.pages.iter().all(PageReport::is_good)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>5} {:>10} {:>6} {:>5} {:>8}  PAGE",
            "CODE", "BYTES", "LINKS", "TRIES", "SECONDS"
        )?;
        for page in &self.pages {
            let PageReport { url, code, error, bytes, links, tries, seconds } = page;
            let code = code.map_or("-".to_owned(), |code| code.to_string());
            write!(f, "{code:>5} {bytes:>10} {links:>6} {tries:>5} {seconds:>8.3}  {url}")?;
            match error {
                Some(error) => writeln!(f, "  ({error})")?,
                None => writeln!(f)?,
            }
        }
        let good = self.pages.iter().filter(|page| page.is_good()).count();
        let bytes: usize = self.pages.iter().map(|page| page.bytes).sum();
        write!(f, "{good} of {} pages are there, {bytes} bytes", self.pages.len())?;
        for (count, what) in [
            (self.unfetched, "not fetched"),
            (self.beyond_limit, "beyond the limit of pages"),
            (self.elsewhere, "on other hosts"),
        ] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        Ok(())
    }
}
