use super::*;
use std::collections::BTreeMap;

fn recording(windows: &[(&str, &str, &str, u32, &str, f64)]) -> Recording {
    let record =
        |&(suite, case, peer, round, metric, value): &(&str, &str, &str, u32, &str, f64)| Record {
            suite: suite.into(),
            case: case.into(),
            peer: peer.into(),
            round,
            metrics: BTreeMap::from([(metric.into(), value)]),
        };
    Recording { machine: Machine::new(), records: windows.iter().map(record).collect() }
}

#[test]
fn a_suite_is_shown_as_ratios_with_their_mean_and_the_baselines_own_figure() {
    let text = markdown(&recording(&[
        ("echo", "1x64", "epoll", 1, "cpu_ns", 5_000.0),
        ("echo", "1x64", "tokio", 1, "cpu_ns", 10_000.0),
        ("echo", "1x64", "tulipa", 1, "cpu_ns", 5_100.0),
        ("echo", "1x64", "mio", 1, "cpu_ns", 5_000.0),
        ("echo", "10x1024", "epoll", 1, "cpu_ns", 6_000.0),
        ("echo", "10x1024", "tokio", 1, "cpu_ns", 3_000.0),
        ("echo", "10x1024", "tulipa", 1, "cpu_ns", 6_000.0),
    ]));
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    // Who was not measured everywhere has no mean, and comes last.
    let expected: [&[&str]; 4] = [
        &["epoll, µs", "tulipa", "tokio", "mio"],
        &["1 × 64 B", "5.00", "1.02", "2.00", "1.00"],
        &["10 × 1 KiB", "6.00", "1.00", "0.50", "–"],
        &["**all 2, geometric mean**", "**1.01**", "**1.00**", "–"],
    ];
    assert_eq!([&rows[0], &rows[2], &rows[3], &rows[4]], expected, "{text}");
    assert!(text.contains("one round: too few"), "{text}");
}

#[test]
fn quartiles_are_shown_as_soon_as_there_are_rounds() {
    let text = markdown(&recording(&[
        ("spin", "1x64", "tulipa", 1, "p50_ns", 12_000.0),
        ("spin", "1x64", "tulipa", 2, "p50_ns", 13_000.0),
        ("spin", "1x64", "tulipa", 3, "p50_ns", 18_000.0),
    ]));
    assert!(text.contains("| 13.0 (12.5–15.5) |"), "{text}");
    assert!(text.contains("There were 3 rounds."), "{text}");
    assert!(!text.contains("99 of 100"), "what was not measured is left out: {text}");
}

#[test]
fn micro_takes_the_least_and_leaves_cells_empty() {
    let text = markdown(&recording(&[
        ("micro", "task yield", "tulipa", 1, "ns", 30.0),
        ("micro", "task yield", "tulipa", 2, "ns", 25.0),
        ("micro", "call_soon chain", "libuv", 1, "ns", 216.4),
    ]));
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert_eq!(
        rows,
        [
            "| Callback queues the next |      – |   216 |",
            "| Task yields              |   25.0 |     – |"
        ]
    );
}

#[test]
fn a_suite_without_a_chapter_is_shown_all_the_same() {
    let text = markdown(&recording(&[("new", "a|b", "x", 1, "apples", 3.0)]));
    assert!(text.contains("## new"), "{text}");
    assert!(text.contains("| a\\|b |    x |   3.00 |"), "{text}");
}

#[test]
fn only_peers_that_were_measured_are_introduced() {
    let text = markdown(&recording(&[("echo", "1x64", "epoll", 1, "cpu_ns", 1.0)]));
    assert!(text.contains("- **epoll**:") && !text.contains("- **tokio**:"), "{text}");
}

#[test]
fn nothing_measured_is_a_report_without_chapters() {
    assert_eq!(markdown(&recording(&[])), "# Tulipa and its peers, measured\n");
}
