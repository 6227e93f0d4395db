//! Ratios in detail: a panel for each case, in it a row for each peer: the median as a dot, the quartiles as a line.

use super::canvas::{Align, Canvas, GREY, GRID, INK, Text, colour, page, width};
use super::caption;
use super::scale::{Scale, ticks};
use crate::report::{Ratio, Spread, Windows, by_mean, is_ours, label};
use plotters::style::Color;
use tulipa::Exception;

const WIDTH: f64 = 840.0;
const TOP: f64 = 62.0;
const HEAD: f64 = 24.0;
const ROW: f64 = 15.0;
const FOOT: f64 = 30.0;
const GAP: f64 = 18.0;
const COLUMNS: usize = 4;

/// What is outside is drawn at the edge.
const WIDEST: (f64, f64) = (0.6, 1.6);

pub(super) fn draw(
    windows: &Windows<'_>,
    title: &str,
    what: Ratio,
) -> Result<Option<String>, Exception> {
    let metric = what.figure.metric;
    let peers = by_mean(windows, what.baseline, metric);
    let spread = |case: &str, peer: &str| windows.ratio(case, peer, what.baseline, metric);
    let measured = |case: &&str| peers.iter().any(|peer| spread(case, peer).is_some());
    let cases: Vec<&str> = windows.cases.iter().copied().filter(measured).collect();
    let all = cases.iter().flat_map(|case| peers.iter().filter_map(move |peer| spread(case, peer)));
    let Some(range) = range(all) else { return Ok(None) };

    let columns = cases.len().min(COLUMNS);
    let rows = cases.len().div_ceil(columns);
    let panel = HEAD + ROW * peers.len() as f64 + FOOT;
    let names = peers.iter().map(|peer| width(peer, 11.0)).fold(0.0, f64::max);
    let left = 16.0 + names + 8.0;
    let each = (WIDTH - 16.0 - left - GAP * (columns - 1) as f64) / columns as f64;
    let height = TOP + panel * rows as f64 + 6.0;
    let chart = page((WIDTH, height), title, |canvas| {
        let text =
            format!("{}. Dot: median of the rounds; line: their middle half.", caption(what));
        canvas.text((16.0, 44.0), &text, Text::new(12.0).colour(GREY))?;
        for (number, case) in cases.iter().enumerate() {
            let (row, column) = (number / columns, number % columns);
            let top = TOP + panel * row as f64;
            let scale = Scale::linear(range, left + (each + GAP) * column as f64, each);
            frame(canvas, scale, top, top + HEAD + ROW * peers.len() as f64, &label(case))?;
            for (number, peer) in peers.iter().enumerate() {
                let y = top + HEAD + ROW * (number as f64 + 0.5);
                if column == 0 {
                    let text = Text::new(11.0).colour(colour(peer)).align(Align::Right);
                    let text = if is_ours(peer) { text.bold() } else { text };
                    canvas.text((left - 8.0, y), peer, text)?;
                }
                if let Some(spread) = spread(case, peer) {
                    mark(canvas, scale, y, spread, peer)?;
                }
            }
        }
        Ok(())
    })?;
    Ok(Some(chart))
}

/// All quartiles and 1, and a little more, but not all that is far out.
fn range(spreads: impl Iterator<Item = Spread>) -> Option<(f64, f64)> {
    let mut spreads = spreads.peekable();
    spreads.peek()?;
    let (low, high) = spreads.fold((1.0_f64, 1.0_f64), |(low, high), spread| {
        (low.min(spread.low), high.max(spread.high))
    });
    let (low, high) = (low.max(WIDEST.0), high.min(WIDEST.1));
    let room = (high - low).max(0.1) * 0.05;
    Some((low - room, high + room))
}

fn frame(
    canvas: &Canvas<'_>,
    scale: Scale,
    top: f64,
    bottom: f64,
    name: &str,
) -> Result<(), Exception> {
    canvas.text((scale.place(scale.from), top + 12.0), name, Text::new(12.0).bold())?;
    for tick in ticks((scale.from, scale.to)) {
        let x = scale.place(tick);
        canvas.line(&[(x, top + HEAD), (x, bottom)], 1.0, GRID)?;
        let text = Text::new(10.0).colour(GREY).align(Align::Centre);
        canvas.text((x, bottom + 10.0), &format!("{tick:.2}"), text)?;
    }
    let one = scale.place(1.0);
    canvas.line(&[(one, top + HEAD), (one, bottom)], 1.25, INK)
}

fn mark(
    canvas: &Canvas<'_>,
    scale: Scale,
    y: f64,
    spread: Spread,
    peer: &str,
) -> Result<(), Exception> {
    let colour = colour(peer);
    let radius = if is_ours(peer) { 4.0 } else { 3.25 };
    canvas.line(&[(scale.place(spread.low), y), (scale.place(spread.high), y)], 1.5, colour)?;
    match spread.median > scale.to {
        true => canvas.beyond((scale.end(), y), colour),
        false => canvas.dot((scale.place(spread.median), y), radius, colour.filled()),
    }
}
