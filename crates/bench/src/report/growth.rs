//! Curves over a size, out of cases that are named `curve/size`, or that are the size.

use super::tables::{Table, cell, grouped, number};
use super::windows::Windows;

/// How what one thing costs grows with the number of those that are there.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve<'a> {
    /// What is done; empty where all cases are of one curve.
    pub name: &'a str,
    /// By whom.
    pub peer: &'a str,
    /// Sizes and nanoseconds, by size.
    pub points: Vec<(u64, f64)>,
}

/// All curves, by name in the order in which they were measured, then by peer. What is taken of each point is the
/// least over the rounds.
pub fn curves<'a>(windows: &Windows<'a>) -> Vec<Curve<'a>> {
    let mut curves: Vec<Curve<'a>> = Vec::new();
    for case in &windows.cases {
        let (name, size) = case.rsplit_once('/').unwrap_or(("", case));
        let Ok(size) = size.parse() else { continue };
        for peer in &windows.peers {
            let least =
                ["ns", "cpu_ns"].iter().find_map(|metric| windows.least(case, peer, metric));
            let Some(least) = least else { continue };
            match curves.iter_mut().find(|curve| curve.name == name && curve.peer == *peer) {
                Some(curve) => curve.points.push((size, least)),
                None => curves.push(Curve { name, peer, points: vec![(size, least)] }),
            }
        }
    }
    let names = names(&curves);
    let place = |curve: &Curve<'_>| {
        let name = names.iter().position(|name| *name == curve.name);
        (name, windows.peers.iter().position(|peer| *peer == curve.peer))
    };
    curves.sort_by_key(place);
    for curve in &mut curves {
        curve.points.sort_by_key(|(size, _)| *size);
    }
    curves
}

/// The names of curves, each once.
pub fn names<'a>(curves: &[Curve<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for curve in curves {
        if !names.contains(&curve.name) {
            names.push(curve.name);
        }
    }
    names
}

/// A row for each curve, a column for each size.
pub(super) fn table(windows: &Windows<'_>) -> Table {
    let curves = curves(windows);
    let mut sizes: Vec<u64> =
        curves.iter().flat_map(|curve| curve.points.iter().map(|(size, _)| *size)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let head = ["ns each".to_owned(), String::new()].into_iter();
    let mut table = Table::new(head.chain(sizes.iter().map(|size| grouped(*size))));
    for Curve { name, peer, points } in &curves {
        let figure = |wanted: &u64| {
            let point = points.iter().find(|(size, _)| size == wanted);
            point.map_or_else(|| "–".to_owned(), |(_, nanoseconds)| number(*nanoseconds))
        };
        table.row([cell(name), cell(peer)].into_iter().chain(sizes.iter().map(figure)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use std::collections::BTreeMap;

    fn record(case: &str, peer: &str, round: u32, ns: f64) -> Record {
        let metrics = BTreeMap::from([("ns".to_owned(), ns)]);
        Record { suite: "growth".into(), case: case.into(), peer: peer.into(), round, metrics }
    }

    #[test]
    fn a_curve_has_the_least_of_each_size_and_its_sizes_in_order() {
        let records = [
            record("timer armed/100", "tokio", 1, 300.0),
            record("timer armed/100", "tulipa", 1, 60.0),
            record("timer armed/10", "tulipa", 1, 50.0),
            record("timer armed/100", "tulipa", 2, 55.0),
            record("without a size", "tulipa", 1, 1.0),
        ];
        let windows = Windows::of(&records, "growth");
        let ours =
            Curve { name: "timer armed", peer: "tulipa", points: vec![(10, 50.0), (100, 55.0)] };
        let theirs = Curve { name: "timer armed", peer: "tokio", points: vec![(100, 300.0)] };
        assert_eq!(curves(&windows), [ours, theirs]);
        let table = table(&windows).to_string();
        assert!(table.lines().any(|line| line.contains("tokio") && line.contains('–')), "{table}");
    }
}
