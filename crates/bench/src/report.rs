//! The report: what was recorded, as tables for somebody who knows nothing about the benchmark.
//!
//! Pure: the same records give the same text, on any machine and at any time.

mod chapters;
mod growth;
mod statistics;
mod tables;
mod windows;

pub use chapters::{Better, CHAPTERS, Chapter, Chart, FigureKind, Ratio, Show, Unit, label};
pub use growth::{Curve, curves, names};
pub use statistics::{Spread, geometric_mean};
pub use tables::{grouped, number};
pub use windows::{Windows, is_ours};

use crate::record::{Machine, Record, Recording};
use tables::{Table, cell};

/// The whole report in Markdown.
pub fn markdown(recording: &Recording) -> String {
    let Recording { machine, records } = recording;
    let mut parts = vec!["# Tulipa and its peers, measured".to_owned()];
    parts.extend(place(machine));
    parts.extend(peers(records));
    parts.extend(CHAPTERS.iter().flat_map(|chapter| chapter_of(chapter, records)));
    parts.extend(unknown(records));
    parts.iter().map(|part| part.trim_end()).collect::<Vec<_>>().join("\n\n") + "\n"
}

/// Where it was measured.
fn place(machine: &Machine) -> Option<String> {
    let mut table = Table::new(["machine", ""]);
    for (name, value) in machine {
        table.row([cell(name), cell(value)]);
    }
    (!machine.is_empty()).then(|| table.to_string())
}

/// Who was measured.
fn peers(records: &[Record]) -> Option<String> {
    let mut names: Vec<&str> = records.iter().map(|record| record.peer.as_str()).collect();
    names.sort_by_key(|name| (!is_ours(name), *name));
    names.dedup();
    let known = names.iter().filter_map(|name| Some((name, chapters::introduction(name)?)));
    let lines: Vec<String> = known.map(|(name, text)| format!("- **{name}**: {text}")).collect();
    (!lines.is_empty()).then(|| format!("## Who is compared\n\n{}", lines.join("\n")))
}

fn chapter_of(chapter: &Chapter, records: &[Record]) -> Vec<String> {
    let windows = Windows::of(records, chapter.suite);
    if windows.is_empty() {
        return Vec::new();
    }
    let head = format!("## {}\n\n{} {}", chapter.title, chapter.text, rounds(&windows));
    [head]
        .into_iter()
        .chain(chapter.shows.iter().filter_map(|show| section(*show, &windows)))
        .collect()
}

/// How often it was measured.
fn rounds(windows: &Windows<'_>) -> String {
    match windows.rounds() {
        (1, 1) => "There was one round: too few to rely on.".to_owned(),
        (least, most) if least == most => format!("There were {most} rounds."),
        (least, most) => format!("There were {least} to {most} rounds."),
    }
}

/// A table and what its cells mean; nothing if none of its figures were measured.
fn section(show: Show, windows: &Windows<'_>) -> Option<String> {
    let (caption, table) = match show {
        Show::Ratio(ratio) => (ratio_caption(ratio), ratios(windows, ratio)?),
        Show::Median(figure) => {
            let caption = format!(
                "**{}**, in {}: the median over the rounds (in brackets, where their middle half lies).",
                figure.name, figure.unit.name
            );
            (caption, medians(windows, figure)?)
        }
        Show::Least(figure) => {
            let caption =
                format!("**{}**, in {}: the least over the rounds.", figure.name, figure.unit.name);
            (caption, leasts(windows, figure)?)
        }
        Show::Growth => {
            ("**CPU time each**: the least over the rounds.".to_owned(), growth::table(windows))
        }
    };
    Some(format!("{caption}\n\n{table}"))
}

fn ratio_caption(Ratio { figure, baseline, better }: Ratio) -> String {
    let good = match better {
        Better::Lower => "below 1 is cheaper",
        Better::Higher => "above 1 is faster",
    };
    format!(
        "**{}**, divided by that of `{baseline}` in the same round: {good}. The median over the rounds, and in \
         brackets where their middle half lies: a difference that is smaller than that is noise. The first column \
         is what `{baseline}` itself comes to.",
        figure.name
    )
}

/// A row for each case, a column for each peer; the last row is the mean over the cases.
fn ratios(windows: &Windows<'_>, ratio: Ratio) -> Option<Table> {
    let Ratio { baseline, figure: FigureKind { metric, unit, .. }, .. } = ratio;
    let peers = by_mean(windows, baseline, metric);
    let head = [String::new(), format!("{baseline}, {}", unit.name)];
    let mut table = Table::new(head.into_iter().chain(peers.iter().map(|peer| cell(peer))));
    let mut measured = 0;
    for case in &windows.cases {
        let Some(base) = windows.spread(case, baseline, metric) else { continue };
        measured += 1;
        let ratios = peers.iter().map(|peer| {
            let ratio = windows.ratio(case, peer, baseline, metric);
            ratio.map_or_else(none, |ratio| with_quartiles(ratio, 1.0))
        });
        let first = [cell(&label(case)), number(base.median / unit.size)];
        table.row(first.into_iter().chain(ratios));
    }
    if measured > 1 {
        let means = peers.iter().map(|peer| {
            let mean = windows.mean_ratio(peer, baseline, metric);
            mean.map_or_else(none, |mean| format!("**{}**", number(mean)))
        });
        let first = [format!("**all {measured}, geometric mean**"), String::new()];
        table.row(first.into_iter().chain(means));
    }
    (measured > 0).then_some(table)
}

/// The peers that can be held against a baseline: Tulipa, then the others, the one with the lowest mean first.
pub fn by_mean<'a>(windows: &Windows<'a>, baseline: &str, metric: &str) -> Vec<&'a str> {
    let compared = |peer: &&str| {
        let ratio = |case: &&str| windows.ratio(case, peer, baseline, metric).is_some();
        *peer != baseline && windows.cases.iter().any(ratio)
    };
    let mut peers: Vec<&str> = windows.peers.iter().copied().filter(compared).collect();
    let mean = |peer: &str| windows.mean_ratio(peer, baseline, metric).unwrap_or(f64::INFINITY);
    peers.sort_by(|a, b| is_ours(b).cmp(&is_ours(a)).then(mean(a).total_cmp(&mean(b))));
    peers
}

/// A row for each case, a column for each peer.
fn medians(windows: &Windows<'_>, figure: FigureKind) -> Option<Table> {
    absolute(windows, figure, |case, peer| {
        let spread = windows.spread(case, peer, figure.metric)?;
        Some(with_quartiles(spread, figure.unit.size))
    })
}

/// A row for each case, a column for each peer.
fn leasts(windows: &Windows<'_>, figure: FigureKind) -> Option<Table> {
    absolute(windows, figure, |case, peer| {
        Some(number(windows.least(case, peer, figure.metric)? / figure.unit.size))
    })
}

fn absolute(
    windows: &Windows<'_>,
    figure: FigureKind,
    shown: impl Fn(&str, &str) -> Option<String>,
) -> Option<Table> {
    let mut table = Table::new([""].into_iter().chain(windows.peers.iter().copied()).map(cell));
    let known = windows.metrics().contains(&figure.metric);
    for case in &windows.cases {
        let cells: Vec<Option<String>> =
            windows.peers.iter().map(|peer| shown(case, peer)).collect();
        if cells.iter().any(Option::is_some) {
            let first = [cell(&label(case))].into_iter();
            table.row(first.chain(cells.into_iter().map(|shown| shown.unwrap_or_else(none))));
        }
    }
    known.then_some(table)
}

fn with_quartiles(spread: Spread, unit: f64) -> String {
    let [low, median, high] =
        [spread.low, spread.median, spread.high].map(|value| number(value / unit));
    match spread.count {
        1 => median,
        _ => format!("{median} ({low}–{high})"),
    }
}

fn none() -> String {
    "–".to_owned()
}

/// Suites that have no chapter, so that nothing that was measured stays unseen.
fn unknown(records: &[Record]) -> Vec<String> {
    let mut suites: Vec<&str> = records.iter().map(|record| record.suite.as_str()).collect();
    suites.sort_unstable();
    suites.dedup();
    suites.retain(|suite| CHAPTERS.iter().all(|chapter| chapter.suite != *suite));
    let section = |suite: &&str| {
        let windows = Windows::of(records, suite);
        let metrics = windows.metrics();
        let head = ["", "peer"].into_iter().chain(metrics.iter().copied());
        let mut table = Table::new(head.map(cell));
        for case in &windows.cases {
            for peer in &windows.peers {
                let shown = |metric: &&str| {
                    let spread = windows.spread(case, peer, metric);
                    spread.map_or_else(none, |spread| number(spread.median))
                };
                let names = [cell(&label(case)), cell(peer)].into_iter();
                table.row(names.chain(metrics.iter().map(shown)));
            }
        }
        format!("## {suite}\n\nMedians over the rounds. {}\n\n{table}", rounds(&windows))
    };
    suites.iter().map(section).collect()
}

#[cfg(test)]
mod tests;
