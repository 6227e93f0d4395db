//! Figures of the scheduler: a panel for each thing that is done, in it a bar for each peer.

use super::canvas::{Canvas, GREY, INK, Text, colour, page, pale, width};
use super::scale::Scale;
use crate::report::{FigureKind, Windows, is_ours, label, number};
use tulipa::Exception;

const WIDTH: f64 = 840.0;
const TOP: f64 = 62.0;
const HEAD: f64 = 26.0;
const ROW: f64 = 16.0;
const FOOT: f64 = 14.0;
const GAP: f64 = 28.0;
const COLUMNS: usize = 3;
/// Room for a figure behind its bar.
const FIGURE: f64 = 58.0;

/// A bar that would be so many times as long as the shortest is broken off, lest the others vanish.
const LONGEST: f64 = 12.0;

pub(super) fn draw(
    windows: &Windows<'_>,
    title: &str,
    figure: FigureKind,
) -> Result<Option<String>, Exception> {
    let panels: Vec<Panel<'_>> =
        windows.cases.iter().map(|case| Panel::of(windows, case, figure)).collect();
    // What only one of all can do has nothing to be compared with.
    let panels: Vec<Panel<'_>> = panels.into_iter().filter(|panel| panel.bars.len() > 1).collect();
    if panels.is_empty() {
        return Ok(None);
    }
    let names = windows.peers.iter().map(|peer| width(peer, 11.0)).fold(0.0, f64::max);
    let each = (WIDTH - 32.0 - GAP * (COLUMNS - 1) as f64) / COLUMNS as f64;
    // The panels of a row are as high as the highest of them.
    let heights =
        panels.chunks(COLUMNS).map(|row| row.iter().map(Panel::height).fold(0.0, f64::max));
    let height = TOP + heights.clone().sum::<f64>();
    let chart = page((WIDTH, height), title, |canvas| {
        let text = format!(
            "{}, in {}: the least over the rounds; shorter is better.",
            figure.name, figure.unit.name
        );
        canvas.text((16.0, 44.0), &text, Text::new(12.0).colour(GREY))?;
        let mut top = TOP;
        for (row, height) in panels.chunks(COLUMNS).zip(heights) {
            for (column, panel) in row.iter().enumerate() {
                let left = 16.0 + (each + GAP) * column as f64;
                panel.draw(canvas, (left, top), names + 8.0, each)?;
            }
            top += height;
        }
        Ok(())
    })?;
    Ok(Some(chart))
}

struct Panel<'a> {
    name: &'a str,
    bars: Vec<(&'a str, f64)>,
}

impl<'a> Panel<'a> {
    fn of(windows: &Windows<'a>, case: &'a str, figure: FigureKind) -> Self {
        let bar = |peer: &&'a str| {
            Some((*peer, windows.least(case, peer, figure.metric)? / figure.unit.size))
        };
        let mut bars: Vec<_> = windows.peers.iter().filter_map(bar).collect();
        bars.sort_by(|a, b| is_ours(b.0).cmp(&is_ours(a.0)).then(a.1.total_cmp(&b.1)));
        Self { name: case, bars }
    }

    fn height(&self) -> f64 {
        HEAD + ROW * self.bars.len() as f64 + FOOT
    }

    fn draw(
        &self,
        canvas: &Canvas<'_>,
        (left, top): (f64, f64),
        names: f64,
        wide: f64,
    ) -> Result<(), Exception> {
        let figures = || self.bars.iter().map(|(_, figure)| *figure);
        let least = figures().fold(f64::INFINITY, f64::min);
        let most = figures().fold(0.0, f64::max).min(least * LONGEST);
        let start = left + names;
        let scale = Scale::linear((0.0, most), start, wide - names - FIGURE);
        canvas.text((left, top + 12.0), &label(self.name), Text::new(12.0).bold())?;
        for (row, (peer, figure)) in self.bars.iter().enumerate() {
            let y = top + HEAD + ROW * (row as f64 + 0.5);
            let ours = is_ours(peer);
            let text = Text::new(11.0).colour(if ours { colour(peer) } else { INK });
            canvas.text((left, y), peer, if ours { text.bold() } else { text })?;
            let (upper, lower) = (y - ROW / 2.0 + 2.0, y + ROW / 2.0 - 2.0);
            let shade = if ours { colour(peer) } else { pale(colour(peer)) };
            canvas.rectangle(
                (start, upper),
                (scale.place(*figure).max(start + 1.0), lower),
                shade,
            )?;
            let broken = *figure > scale.to;
            if broken {
                canvas.beyond((scale.end() + 6.0, y), shade)?;
            }
            let end = scale.place(*figure) + if broken { 11.0 } else { 5.0 };
            let text = Text::new(11.0).colour(if ours { colour(peer) } else { INK });
            canvas.text((end, y), &number(*figure), if ours { text.bold() } else { text })?;
        }
        Ok(())
    }
}
