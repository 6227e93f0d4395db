//! The windows of one suite, by case, peer and round.

use super::chapters::place;
use super::statistics::{Spread, geometric_mean};
use crate::record::Record;
use std::collections::{BTreeMap, HashMap};

/// All that was measured in one suite.
#[derive(Clone, Debug, Default)]
pub struct Windows<'a> {
    /// In the order of the report; what it does not know, in the order in which it was measured first.
    pub cases: Vec<&'a str>,
    /// Tulipa, then the others by name.
    pub peers: Vec<&'a str>,
    /// By case, then by peer.
    cells: HashMap<&'a str, HashMap<&'a str, Cell<'a>>>,
}

/// What was measured of one peer in one case, by round.
type Cell<'a> = BTreeMap<u32, &'a BTreeMap<String, f64>>;

impl<'a> Windows<'a> {
    /// Those of `suite` among `records`.
    pub fn of(records: &'a [Record], suite: &str) -> Self {
        let mut windows = Self::default();
        for record in records.iter().filter(|record| record.suite == suite) {
            let (case, peer) = (record.case.as_str(), record.peer.as_str());
            if !windows.cases.contains(&case) {
                windows.cases.push(case);
            }
            if !windows.peers.contains(&peer) {
                windows.peers.push(peer);
            }
            let cell = windows.cells.entry(case).or_default().entry(peer).or_default();
            cell.insert(record.round, &record.metrics);
        }
        windows.cases.sort_by_key(|case| place(case));
        windows.peers.sort_by_key(|peer| (!is_ours(peer), *peer));
        windows
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The names of all figures.
    pub fn metrics(&self) -> Vec<&'a str> {
        let windows = self.all().flat_map(BTreeMap::values);
        let mut names: Vec<&str> =
            windows.flat_map(|metrics| metrics.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// How many windows there are of the cell with the fewest and of that with the most.
    pub fn rounds(&self) -> (usize, usize) {
        let counts = || self.all().map(BTreeMap::len);
        (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
    }

    /// A figure of a peer in a case, over the rounds; nothing if it was not measured.
    pub fn spread(&self, case: &str, peer: &str, metric: &str) -> Option<Spread> {
        Spread::of(self.values(case, peer, metric))
    }

    /// The least that was seen of a figure: that of the least disturbed round.
    pub fn least(&self, case: &str, peer: &str, metric: &str) -> Option<f64> {
        self.values(case, peer, metric).min_by(f64::total_cmp)
    }

    /// A figure of a peer divided by the baseline's, over the rounds. Both windows of a ratio are of the same round,
    /// measured within seconds of each other, so that it hardly matters how fast the machine was then.
    pub fn ratio(&self, case: &str, peer: &str, baseline: &str, metric: &str) -> Option<Spread> {
        let (cell, baselines) = (self.cell(case, peer)?, self.cell(case, baseline)?);
        Spread::of(cell.iter().filter_map(|(round, metrics)| {
            let ratio = metrics.get(metric)? / baselines.get(round)?.get(metric)?;
            (ratio.is_finite() && ratio > 0.0).then_some(ratio)
        }))
    }

    /// The geometric mean over all cases of a peer's median ratios; nothing if the peer was not measured in one of
    /// them, for then it could not be compared with the others' means.
    pub fn mean_ratio(&self, peer: &str, baseline: &str, metric: &str) -> Option<f64> {
        let ratios = self.cases.iter().map(|case| self.ratio(case, peer, baseline, metric));
        let medians: Option<Vec<f64>> = ratios.map(|ratio| Some(ratio?.median)).collect();
        geometric_mean(medians?)
    }

    fn all(&self) -> impl Iterator<Item = &Cell<'a>> {
        self.cells.values().flat_map(HashMap::values)
    }

    fn cell(&self, case: &str, peer: &str) -> Option<&Cell<'a>> {
        self.cells.get(case)?.get(peer)
    }

    fn values(&self, case: &str, peer: &str, metric: &str) -> impl Iterator<Item = f64> {
        let cell = self.cell(case, peer).into_iter().flat_map(BTreeMap::values);
        cell.filter_map(move |metrics| metrics.get(metric).copied())
    }
}

/// Whether a peer is Tulipa, in whatever setting (`tulipa --spin`).
pub fn is_ours(peer: &str) -> bool {
    peer.starts_with("tulipa")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Recording;

    fn record(case: &str, peer: &str, round: u32, cpu: f64) -> Record {
        let metrics = BTreeMap::from([("cpu_ns".to_owned(), cpu)]);
        Record { suite: "echo".into(), case: case.into(), peer: peer.into(), round, metrics }
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_so_a_slow_round_does_not_count_against_anybody() {
        let records = [
            record("1x64", "epoll", 1, 100.0),
            record("1x64", "tulipa", 1, 110.0),
            record("1x64", "tulipa", 2, 220.0),
            record("1x64", "epoll", 2, 200.0),
            record("1x64", "mio", 2, 400.0),
        ];
        let windows = Windows::of(&records, "echo");
        let ours = windows.ratio("1x64", "tulipa", "epoll", "cpu_ns").unwrap();
        assert_eq!((ours.low, ours.median, ours.high, ours.count), (1.1, 1.1, 1.1, 2));
        let mio = windows.ratio("1x64", "mio", "epoll", "cpu_ns").unwrap();
        assert_eq!((mio.median, mio.count), (2.0, 1), "only the round in which both were measured");
        assert_eq!(windows.peers, ["tulipa", "epoll", "mio"]);
        assert_eq!(windows.rounds(), (1, 2));
    }

    #[test]
    fn rounds_of_two_runs_that_were_joined_stay_apart_also_if_a_window_is_missing() {
        let record = |peer: &str, cpu: u32| {
            format!(
                r#"{{"suite":"echo","case":"1x64","peer":"{peer}","round":1,"metrics":{{"cpu_ns":{cpu}.0}}}}"#
            )
        };
        let lines = [
            r#"{"machine":{}}"#.to_owned(),
            record("epoll", 100),
            record("tulipa", 100),
            r#"{"machine":{}}"#.to_owned(),
            record("epoll", 300),
            record("tulipa", 600),
            record("mio", 300),
        ];
        let recording = Recording::parse(lines.join("\n").as_bytes()).unwrap();
        let windows = Windows::of(&recording.records, "echo");
        let ratio = windows.ratio("1x64", "tulipa", "epoll", "cpu_ns").unwrap();
        assert_eq!((ratio.median, ratio.count), (1.5, 2));
        let ratio = windows.ratio("1x64", "mio", "epoll", "cpu_ns").unwrap();
        assert_eq!((ratio.median, ratio.count), (1.0, 1), "held against its own run");
    }

    #[test]
    fn rows_have_a_fixed_order_whoever_was_measured_first() {
        let cases =
            ["new", "task yield/10", "call_soon burst", "timer armed/10", "call_soon chain"];
        let records = cases.map(|case| record(case, "x", 1, 1.0));
        assert_eq!(
            Windows::of(&records, "echo").cases,
            ["call_soon chain", "call_soon burst", "timer armed/10", "new", "task yield/10"]
        );
    }

    #[test]
    fn a_window_without_requests_makes_no_ratio() {
        let records = [record("1x64", "epoll", 1, 100.0), record("1x64", "tulipa", 1, f64::NAN)];
        assert_eq!(Windows::of(&records, "echo").ratio("1x64", "tulipa", "epoll", "cpu_ns"), None);
        let records = [record("1x64", "epoll", 1, 0.0), record("1x64", "tulipa", 1, 5.0)];
        assert_eq!(Windows::of(&records, "echo").ratio("1x64", "tulipa", "epoll", "cpu_ns"), None);
    }

    #[test]
    fn the_mean_is_over_all_cases_or_there_is_none() {
        let records = [
            record("1x64", "epoll", 1, 1.0),
            record("1x64", "tulipa", 1, 2.0),
            record("1x64", "mio", 1, 1.0),
            record("9x64", "epoll", 1, 2.0),
            record("9x64", "tulipa", 1, 1.0),
        ];
        let windows = Windows::of(&records, "echo");
        assert!((windows.mean_ratio("tulipa", "epoll", "cpu_ns").unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(windows.mean_ratio("mio", "epoll", "cpu_ns"), None);
    }

    #[test]
    fn other_suites_are_left_out() {
        let records = [record("1x64", "epoll", 1, 1.0)];
        assert!(Windows::of(&records, "http").is_empty());
    }
}
