use super::*;
use crate::record::{Machine, Record};
use std::collections::BTreeMap;

fn record(suite: &str, case: &str, peer: &str, metric: &str, value: f64) -> Record {
    let metrics = BTreeMap::from([(metric.to_owned(), value)]);
    Record { suite: suite.into(), case: case.into(), peer: peer.into(), round: 1, metrics }
}

fn drawn(records: Vec<Record>) -> BTreeMap<String, String> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder =
        std::env::temp_dir().join(format!("tulipa-charts-{}-{number}", std::process::id()));
    let files = draw(&Recording { machine: Machine::new(), records }, &folder).unwrap();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    let charts = files.iter().map(read).collect();
    std::fs::remove_dir_all(folder).unwrap();
    charts
}

#[test]
fn only_what_was_measured_is_drawn() {
    assert!(drawn(Vec::new()).is_empty());
    let charts = drawn(vec![
        record("echo", "1x64", "epoll", "cpu_ns", 5.0),
        record("echo", "1x64", "tulipa", "cpu_ns", 6.0),
        record("spin", "1x64", "tulipa", "p50_ns", 6.0),
    ]);
    assert_eq!(charts.keys().collect::<Vec<_>>(), ["echo.svg"], "one case needs no overview");
    assert!(charts["echo.svg"].contains("1 × 64 B"), "{}", charts["echo.svg"]);
}

#[test]
fn a_baseline_alone_is_no_chart() {
    assert!(drawn(vec![record("echo", "1x64", "epoll", "cpu_ns", 5.0)]).is_empty());
}

#[test]
fn a_cost_of_nought_has_no_place_in_powers_of_ten() {
    let records = [("1", 0.0), ("10", 5.0)]
        .map(|(case, cost)| record("connections", case, "x", "cpu_ns", cost));
    assert!(drawn(records.into())["connections.svg"].contains("</svg>"));
    assert!(
        drawn(vec![record("connections", "1", "x", "cpu_ns", 0.0)])["connections.svg"]
            .contains("</svg>")
    );
}

#[test]
fn each_kind_of_chart_is_drawn_and_is_one_picture() {
    let mut records = Vec::new();
    for (peer, cost) in [("epoll", 5.0), ("tulipa", 5.1), ("asyncio", 50.0), ("a<b>&", 6.0)] {
        for case in ["1x64", "10x64", "100x64", "1000x64", "1x1024"] {
            records.push(record("echo", case, peer, "cpu_ns", cost));
        }
        records.push(record("micro", "task yield", peer, "ns", cost));
        for size in [1, 10, 1_000_000] {
            records.push(record("growth", &format!("timer armed/{size}"), peer, "ns", cost));
        }
    }
    let charts = drawn(records);
    assert_eq!(
        charts.keys().collect::<Vec<_>>(),
        ["echo-overview.svg", "echo.svg", "growth.svg", "micro.svg"]
    );
    for (name, chart) in &charts {
        assert!(chart.starts_with("<svg ") && chart.trim_end().ends_with("</svg>"), "{name}");
        assert!(chart.contains("width=\"840\""), "{name}: shown in its own size");
        assert!(!chart.contains("a<b>"), "{name}: a name is written, not interpreted");
        assert!(!chart.contains("NaN") && !chart.contains("inf"), "{name}");
    }
}
