//! How cost grows: a panel for each thing that is done, in it a line for each peer; both axes in powers of ten.

use super::canvas::{Align, Canvas, GREY, GRID, INK, OTHERS, OURS, Point, Text, page, width};
use super::scale::{Scale, decades, powers_of_ten};
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
const COLUMNS: usize = 3;

pub(super) fn draw(windows: &Windows<'_>, title: &str) -> Result<Option<String>, Exception> {
    let curves = curves(windows);
    let panels = names(&curves);
    if panels.is_empty() {
        return Ok(None);
    }
    let rows = panels.len().div_ceil(COLUMNS);
    let each = (WIDTH - 8.0 - RIGHT - GAP * (COLUMNS - 1) as f64) / COLUMNS as f64;
    let height = TOP + (HEAD + PLOT + FOOT) * rows as f64;
    let chart = page((WIDTH, height), title, |canvas| {
        let text = "CPU time each (upwards) while so many are there (to the right); both in powers of ten.";
        canvas.text((16.0, 44.0), text, Text::new(12.0).colour(GREY))?;
        legend(canvas, &windows.peers)?;
        for (number, name) in panels.iter().enumerate() {
            let left = (each + GAP) * (number % COLUMNS) as f64 + LEFT + 8.0;
            let top = TOP + (HEAD + PLOT + FOOT) * (number / COLUMNS) as f64;
            let lines: Vec<&Curve<'_>> =
                curves.iter().filter(|curve| curve.name == *name).collect();
            panel(canvas, (left, top), each - LEFT, &lines, &windows.peers)?;
        }
        Ok(())
    })?;
    Ok(Some(chart))
}

/// We, and the others, each with a colour of its own.
fn colour(peer: &str, peers: &[&str]) -> RGBColor {
    let mut others = peers.iter().filter(|peer| !is_ours(peer));
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
        x += 24.0 + width(peer, 12.0) + 24.0;
    }
    Ok(())
}

fn panel(
    canvas: &Canvas<'_>,
    (left, top): Point,
    wide: f64,
    lines: &[&Curve<'_>],
    peers: &[&str],
) -> Result<(), Exception> {
    let points = || lines.iter().flat_map(|curve| curve.points.iter());
    let sizes = decades(points().map(|(size, _)| *size as f64));
    let costs = decades(points().map(|(_, nanoseconds)| *nanoseconds));
    let (Some(sizes), Some(costs)) = (sizes, costs) else { return Ok(()) };
    let bottom = top + HEAD + PLOT;
    let across = Scale::logarithmic(sizes, left, wide);
    let upwards = Scale::logarithmic(costs, bottom, -PLOT);
    let name = lines.first().map_or("", |curve| curve.name);
    canvas.text((left - LEFT + 8.0, top + 12.0), name, Text::new(12.0).bold())?;
    for cost in powers_of_ten(costs) {
        let y = upwards.place(cost);
        canvas.line(&[(left, y), (left + wide, y)], 1.0, GRID)?;
        let text = Text::new(10.0).colour(GREY).align(Align::Right);
        canvas.text((left - 5.0, y), &time(cost), text)?;
    }
    for size in powers_of_ten(sizes) {
        let x = across.place(size);
        canvas.line(&[(x, bottom), (x, bottom + 3.0)], 1.0, GREY)?;
        let text = Text::new(10.0).colour(GREY).align(Align::Centre);
        canvas.text((x, bottom + 12.0), &short(size), text)?;
    }
    canvas.line(&[(left, bottom), (left + wide, bottom)], 1.0, GREY)?;
    // Ours last, so that it lies above.
    for curve in lines.iter().rev() {
        let colour = colour(curve.peer, peers);
        let place = |&(size, cost): &(u64, f64)| (across.place(size as f64), upwards.place(cost));
        let points: Vec<Point> = curve.points.iter().map(place).collect();
        canvas.line(&points, if is_ours(curve.peer) { 2.5 } else { 1.75 }, colour)?;
        for point in points {
            canvas.dot(point, if is_ours(curve.peer) { 3.25 } else { 2.5 }, colour.filled())?;
        }
    }
    Ok(())
}

/// A power of ten of nanoseconds.
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
