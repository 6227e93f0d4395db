//! How cost grows: a panel for each thing that is done, in it a line for each peer; both axes in powers of ten.

use super::canvas::{Align, Canvas, GREY, GRID, INK, OTHERS, OURS, Point, Text, page, width};
use super::scale::{Scale, decades, powers_of_ten, round_steps};
use crate::report::{Curve, Windows, curves, is_ours, names};
use plotters::style::{Color, RGBColor};
use tulipa::Exception;

const WIDTH: f64 = 840.0;
const TOP: f64 = 84.0;
const HEAD: f64 = 30.0;
const PLOT: f64 = 150.0;
const FOOT: f64 = 32.0;
const LEFT: f64 = 40.0;
const GAP: f64 = 24.0;
/// Room for half of the last figure below an axis.
const RIGHT: f64 = 18.0;
/// Of several panels; a single one has the whole width.
const COLUMNS: usize = 3;

pub(super) fn draw(
    windows: &Windows<'_>,
    title: &str,
    over: &str,
) -> Result<Option<String>, Exception> {
    let curves = curves(windows);
    let panels = names(&curves);
    if panels.is_empty() {
        return Ok(None);
    }
    let columns = panels.len().min(COLUMNS);
    let rows = panels.len().div_ceil(columns);
    let each = (WIDTH - 8.0 - RIGHT - GAP * (columns - 1) as f64) / columns as f64;
    let plot = if panels.len() == 1 { 2.0 * PLOT } else { PLOT };
    let height = TOP + (HEAD + plot + FOOT) * rows as f64;
    let chart = page((WIDTH, height), title, |canvas| {
        let text = format!("CPU time each, over {over}; both axes are logarithmic.");
        canvas.text((16.0, 44.0), &text, Text::new(12.0).colour(GREY))?;
        legend(canvas, &windows.peers)?;
        for (number, name) in panels.iter().enumerate() {
            let left = (each + GAP) * (number % columns) as f64 + LEFT + 8.0;
            let top = TOP + (HEAD + plot + FOOT) * (number / columns) as f64;
            let lines = curves.iter().filter(|curve| curve.name == *name).collect();
            Panel { name, lines, peers: &windows.peers }.draw(
                canvas,
                (left, top + HEAD),
                (each - LEFT, plot),
            )?;
        }
        Ok(())
    })?;
    Ok(Some(chart))
}

/// We, and the others, each with a colour of its own.
fn colour(peer: &str, peers: &[&str]) -> RGBColor {
    let mut others = peers.iter().filter(|other| !is_ours(other));
    match others.position(|other| *other == peer) {
        Some(place) => OTHERS[place % OTHERS.len()],
        None => OURS,
    }
}

fn legend(canvas: &Canvas<'_>, peers: &[&str]) -> Result<(), Exception> {
    let mut x = 16.0;
    for peer in peers {
        let colour = colour(peer, peers);
        canvas.line(&[(x, 64.0), (x + 18.0, 64.0)], 2.5, colour)?;
        let text = Text::new(12.0).colour(INK);
        canvas.text((x + 24.0, 64.0), peer, if is_ours(peer) { text.bold() } else { text })?;
        x += 24.0 + width(peer, 12.0) + 16.0;
    }
    Ok(())
}

struct Panel<'a> {
    /// Empty if there is only this one.
    name: &'a str,
    lines: Vec<&'a Curve<'a>>,
    peers: &'a [&'a str],
}

impl Panel<'_> {
    fn draw(
        &self,
        canvas: &Canvas<'_>,
        (left, top): Point,
        (wide, high): Point,
    ) -> Result<(), Exception> {
        let points = || self.lines.iter().flat_map(|curve| curve.points.iter());
        let sizes = decades(points().map(|(size, _)| *size as f64));
        let costs = points().map(|(_, nanoseconds)| *nanoseconds);
        // Side by side, a flat line has to look flat; alone, lines that lie close together have to look apart.
        let costs = if self.name.is_empty() { closely(costs) } else { decades(costs) };
        let (Some(sizes), Some(costs)) = (sizes, costs) else { return Ok(()) };
        let across = Scale::logarithmic(sizes, left, wide);
        let upwards = Scale::logarithmic(costs, top + high, -high);
        canvas.text((left - LEFT + 8.0, top - 18.0), self.name, Text::new(12.0).bold())?;
        axes(canvas, across, upwards)?;
        // Ours last, so that it lies above.
        for curve in self.lines.iter().rev() {
            let ours = is_ours(curve.peer);
            let colour = colour(curve.peer, self.peers);
            let place =
                |&(size, cost): &(u64, f64)| (across.place(size as f64), upwards.place(cost));
            let points: Vec<Point> = curve.points.iter().map(place).collect();
            canvas.line(&points, if ours { 2.5 } else { 1.5 }, colour)?;
            for point in points {
                canvas.dot(point, if ours { 3.25 } else { 2.5 }, colour.filled())?;
            }
        }
        Ok(())
    }
}

fn axes(canvas: &Canvas<'_>, across: Scale, upwards: Scale) -> Result<(), Exception> {
    let (left, right) = (across.place(across.from), across.end());
    let bottom = upwards.place(upwards.from);
    for cost in round_steps((upwards.from, upwards.to)) {
        let y = upwards.place(cost);
        canvas.line(&[(left, y), (right, y)], 1.0, GRID)?;
        let text = Text::new(10.0).colour(GREY).align(Align::Right);
        canvas.text((left - 5.0, y), &time(cost), text)?;
    }
    for size in powers_of_ten((across.from, across.to)) {
        let x = across.place(size);
        canvas.line(&[(x, bottom), (x, bottom + 3.0)], 1.0, GREY)?;
        let text = Text::new(10.0).colour(GREY).align(Align::Centre);
        canvas.text((x, bottom + 12.0), &short(size), text)?;
    }
    canvas.line(&[(left, bottom), (right, bottom)], 1.0, GREY)
}

/// All values and a little more.
fn closely(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    // Nothing costs nothing; and powers of ten never get there.
    let (low, high) = values
        .filter(|value| *value > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    (high > 0.0).then_some((low * 0.85, high * 1.15))
}

/// A round number of nanoseconds.
fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ..999.0 => format!("{nanoseconds} ns"),
        ..999e3 => format!("{} µs", (nanoseconds / 1e3).round()),
        ..999e6 => format!("{} ms", (nanoseconds / 1e6).round()),
        _ => format!("{} s", (nanoseconds / 1e9).round()),
    }
}

/// A power of ten.
fn short(number: f64) -> String {
    match number {
        ..999.0 => format!("{number}"),
        ..999e3 => format!("{}k", (number / 1e3).round()),
        _ => format!("{}M", (number / 1e6).round()),
    }
}
