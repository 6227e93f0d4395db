//! Ratios at a glance: a row for each peer, in it a small dot for each case and a large one for their mean.

use super::canvas::{Align, Canvas, GREY, GRID, INK, SHADE, Text, colour, page, pale, width};
use super::caption;
use super::scale::{Scale, ticks};
use crate::report::{Ratio, Windows, by_mean, is_ours, number};
use plotters::style::Color;
use tulipa::Exception;

const WIDTH: f64 = 840.0;
const TOP: f64 = 76.0;
const ROW: f64 = 26.0;
const BOTTOM: f64 = 40.0;
/// Room for the mean as a number.
const RIGHT: f64 = 64.0;

/// What is dearer than this is drawn at the edge.
const MOST: f64 = 2.0;

pub(super) fn draw(
    windows: &Windows<'_>,
    title: &str,
    what: Ratio,
) -> Result<Option<String>, Exception> {
    let metric = what.figure.metric;
    let peers = by_mean(windows, what.baseline, metric);
    let rows: Vec<Row<'_>> = peers.into_iter().map(|peer| Row::of(windows, peer, what)).collect();
    let Some(range) = range(&rows) else { return Ok(None) };
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let cases = windows.cases.len();
    let chart = page((WIDTH, height), title, |canvas| {
        let text = format!("{}.", caption(what));
        canvas.text((16.0, 44.0), &text, Text::new(12.0).colour(GREY))?;
        let text =
            format!("Small dots: {cases} cases. Large dot and number: their geometric mean.");
        canvas.text((16.0, 60.0), &text, Text::new(12.0).colour(GREY))?;
        let names = rows.iter().map(|row| width(row.peer, 13.0)).fold(0.0, f64::max);
        let start = 16.0 + names + 20.0;
        let scale = Scale::linear(range, start, WIDTH - start - RIGHT);
        axis(canvas, scale, height - BOTTOM, what.baseline)?;
        for (number, row) in rows.iter().enumerate() {
            row.draw(canvas, scale, TOP + ROW * (number as f64 + 0.5))?;
        }
        Ok(())
    })?;
    Ok(Some(chart))
}

struct Row<'a> {
    peer: &'a str,
    ratios: Vec<f64>,
    mean: Option<f64>,
}

impl<'a> Row<'a> {
    fn of(windows: &Windows<'a>, peer: &'a str, what: Ratio) -> Self {
        let metric = what.figure.metric;
        let ratio = |case: &&str| Some(windows.ratio(case, peer, what.baseline, metric)?.median);
        let ratios = windows.cases.iter().filter_map(ratio).collect();
        Self { peer, ratios, mean: windows.mean_ratio(peer, what.baseline, metric) }
    }

    fn draw(&self, canvas: &Canvas<'_>, scale: Scale, y: f64) -> Result<(), Exception> {
        let ours = is_ours(self.peer);
        let colour = colour(self.peer);
        if ours {
            let (upper, lower) = (y - ROW / 2.0 + 1.0, y + ROW / 2.0 - 1.0);
            canvas.rectangle((8.0, upper), (WIDTH - 8.0, lower), SHADE)?;
        }
        let name = Text::new(13.0).colour(if ours { colour } else { INK });
        canvas.text((16.0, y), self.peer, if ours { name.bold() } else { name })?;
        for ratio in &self.ratios {
            match *ratio > scale.to {
                true => canvas.beyond((scale.end() + 5.0, y), pale(colour))?,
                false => canvas.dot((scale.place(*ratio), y), 3.5, colour.mix(0.35).filled())?,
            }
        }
        let Some(mean) = self.mean else { return Ok(()) };
        canvas.dot((scale.place(mean), y), 6.5, colour.filled())?;
        let text = Text::new(13.0).bold().colour(colour).align(Align::Right);
        canvas.text((WIDTH - 16.0, y), &number(mean), text)
    }
}

/// All ratios and 1, and a little more.
fn range(rows: &[Row<'_>]) -> Option<(f64, f64)> {
    let ratios = || rows.iter().flat_map(|row| row.ratios.iter().copied());
    ratios().next()?;
    let low = ratios().fold(1.0, f64::min);
    let high = ratios().fold(1.0, f64::max).min(MOST);
    let room = (high - low).max(0.1) * 0.04;
    Some((low - room, high + room))
}

fn axis(canvas: &Canvas<'_>, scale: Scale, bottom: f64, baseline: &str) -> Result<(), Exception> {
    for tick in ticks((scale.from, scale.to)) {
        let x = scale.place(tick);
        canvas.line(&[(x, TOP), (x, bottom)], 1.0, GRID)?;
        let text = Text::new(11.0).colour(GREY).align(Align::Centre);
        canvas.text((x, bottom + 12.0), &format!("{tick:.2}"), text)?;
    }
    let one = scale.place(1.0);
    canvas.line(&[(one, TOP - 2.0), (one, bottom)], 1.5, INK)?;
    let text = Text::new(11.0).bold().align(Align::Centre);
    canvas.text((one, bottom + 27.0), baseline, text)
}
