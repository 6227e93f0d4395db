//! A suite as data: who is measured, at what, and how a window is taken.

use crate::Arguments;
use std::io::Error;
use tulipa::Exception;
use tulipa_bench::record::Metrics;
use tulipa_bench::server::{Program, Server};

/// One kind of measurement, which all its peers go through.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    /// The peer that ratios are taken to, if there is one that all others can be held against.
    pub(crate) baseline: Option<&'static str>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) method: Method,
}

/// Who is measured.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// What to start, or why it cannot be started on this machine.
    pub(crate) program: Result<Program, String>,
}

impl Peer {
    pub(crate) fn new(name: &'static str, program: Program) -> Self {
        Self { name, program: Ok(program) }
    }

    /// One that may not be there, or not work, on this machine.
    pub(crate) fn perhaps(name: &'static str, program: Result<Program, String>) -> Self {
        Self { name, program }
    }
}

/// How the peers are measured.
pub(crate) enum Method {
    /// The peers are servers. Each case has each of them measured from outside, once a round.
    Windows { servers: Servers, cases: Vec<Case> },
    /// The peers measure themselves: programs that are run once a round and print a line of JSON for each
    /// [`Figure`](tulipa_bench::figure::Figure), whose `bench` is the case.
    Programs,
}

/// How long a server lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// From its first window to the end of the suite.
    Stay,
    /// For one window: those that never sleep, or in which earlier windows would leave traces that count.
    Fresh,
}

/// What is done with a server in one window.
type Measure = Box<dyn Fn(&Server) -> Result<Metrics, Exception>>;

/// One thing to do with a server, and what comes out.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) measure: Measure,
}

impl Case {
    pub(crate) fn new(
        name: impl Into<String>,
        measure: impl Fn(&Server) -> Result<Metrics, Exception> + 'static,
    ) -> Self {
        Self { name: name.into(), measure: Box::new(measure) }
    }
}

/// The suites, peers and cases that were asked for. Tulipa and the baseline are always among the peers.
///
/// # Errors
/// If a name is not known, so that a slip of the pen does not pass for a measurement.
pub(crate) fn selected(suites: Vec<Suite>, arguments: &Arguments) -> Result<Vec<Suite>, Exception> {
    known("suite", &arguments.suites, suites.iter().map(|suite| suite.name))?;
    known(
        "peer",
        &arguments.peers,
        suites.iter().flat_map(|suite| &suite.peers).map(|peer| peer.name),
    )?;
    let wanted =
        |asked: &[String], name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    let mut suites: Vec<_> =
        suites.into_iter().filter(|suite| wanted(&arguments.suites, suite.name)).collect();
    // Programs that measure themselves do all that they do: of them, no case can be chosen.
    known("case", &arguments.cases, suites.iter().flat_map(Suite::case_names))?;
    for suite in &mut suites {
        let always = |name| name == "tulipa" || Some(name) == suite.baseline;
        suite.peers.retain(|peer| wanted(&arguments.peers, peer.name) || always(peer.name));
        if let Method::Windows { cases, .. } = &mut suite.method {
            cases.retain(|case| wanted(&arguments.cases, &case.name));
        }
    }
    suites.retain(|suite| arguments.cases.is_empty() || suite.case_names().next().is_some());
    Ok(suites)
}

impl Suite {
    /// The names of its cases, as far as they are known beforehand.
    fn case_names(&self) -> impl Iterator<Item = &str> {
        let cases = match &self.method {
            Method::Windows { cases, .. } => cases.as_slice(),
            Method::Programs => &[],
        };
        cases.iter().map(|case| case.name.as_str())
    }
}

fn known<'a>(
    what: &str,
    asked: &[String],
    names: impl Iterator<Item = &'a str>,
) -> Result<(), Exception> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    match asked.iter().find(|one| !names.contains(&one.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let message = format!("there is no {what} {unknown:?}, but: {}", names.join(", "));
            Err(Error::other(message).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn suite(name: &'static str, peers: &[&'static str]) -> Suite {
        let cases = ["1x64", "10x64"].map(|case| Case::new(case, |_| Ok(Metrics::new())));
        Suite {
            name,
            baseline: Some("epoll"),
            peers: peers.iter().map(|peer| Peer::new(peer, Program::new("true"))).collect(),
            method: Method::Windows { servers: Servers::Stay, cases: cases.into() },
        }
    }

    /// What is left of two suites by these arguments, each as its name, its peers and its cases.
    fn left(arguments: &str) -> Result<Vec<String>, Exception> {
        let all = vec![
            suite("echo", &["tulipa", "epoll", "mio", "tokio"]),
            suite("flood", &["tulipa", "epoll", "tokio"]),
        ];
        let words = ["compare"].into_iter().chain(arguments.split_whitespace());
        let suites = selected(all, &Arguments::parse_from(words))?;
        let text = |suite: &Suite| {
            let peers: Vec<_> = suite.peers.iter().map(|peer| peer.name).collect();
            let cases: Vec<_> = suite.case_names().collect();
            format!("{}: {} / {}", suite.name, peers.join(" "), cases.join(" "))
        };
        Ok(suites.iter().map(text).collect())
    }

    #[test]
    fn without_a_choice_everything_is_measured() {
        let all = left("").unwrap();
        assert_eq!(
            all,
            ["echo: tulipa epoll mio tokio / 1x64 10x64", "flood: tulipa epoll tokio / 1x64 10x64"]
        );
    }

    #[test]
    fn a_chosen_peer_is_measured_beside_tulipa_and_the_baseline() {
        let few = left("--suite echo --peer mio --case 10x64").unwrap();
        assert_eq!(few, ["echo: tulipa epoll mio / 10x64"]);
    }

    #[test]
    fn a_suite_without_the_chosen_case_is_not_run() {
        let mut programs = suite("micro", &["tulipa"]);
        programs.method = Method::Programs;
        let mut other = suite("crowd", &["tulipa"]);
        other.method = Method::Windows { servers: Servers::Stay, cases: vec![] };
        let all = vec![suite("echo", &["tulipa"]), programs, other];
        let arguments = Arguments::parse_from(["compare", "--case", "1x64"]);
        let names: Vec<_> =
            selected(all, &arguments).unwrap().iter().map(|suite| suite.name).collect();
        assert_eq!(names, ["echo"]);
    }

    #[test]
    fn a_name_that_nothing_has_is_an_error() {
        for arguments in ["--suite echos", "--peer toki", "--case 1x65"] {
            let error = left(arguments).expect_err(arguments).to_string();
            assert!(error.starts_with("there is no"), "{error}");
        }
    }
}
