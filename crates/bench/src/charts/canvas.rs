//! Ink: a white page, and the few kinds of marks that the charts are made of.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, RGBColor, ShapeStyle, TextStyle};
use tulipa::Exception;

/// Tulipa's own marks.
pub(super) const OURS: RGBColor = RGBColor(200, 30, 90);
/// What is written.
pub(super) const INK: RGBColor = RGBColor(36, 41, 47);
/// What is written small, and the marks of all others.
pub(super) const GREY: RGBColor = RGBColor(101, 109, 118);
/// Lines to read values by.
pub(super) const GRID: RGBColor = RGBColor(224, 228, 232);
/// Behind marks that belong together.
pub(super) const SHADE: RGBColor = RGBColor(246, 248, 250);
/// Lines of others, which have to be told apart (after Okabe and Ito).
pub(super) const OTHERS: [RGBColor; 10] = [
    RGBColor(230, 159, 0),
    RGBColor(120, 80, 30),
    RGBColor(36, 41, 47),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(150, 150, 150),
    RGBColor(140, 86, 160),
    RGBColor(0, 158, 115),
    RGBColor(150, 170, 60),
    RGBColor(90, 110, 200),
];

/// A place on the page, from its upper left.
pub(super) type Point = (f64, f64);

/// Plotters takes whole numbers for places; drawn in units this small, nobody sees that.
const FINE: f64 = 4.0;

/// Which end of a text is at its place; it is always centred from top to bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// A page that is drawn on.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// A chart of that size, as the text of an SVG file.
pub(super) fn page(
    (width, height): Point,
    title: &str,
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), Exception>,
) -> Result<String, Exception> {
    let mut svg = String::new();
    {
        let size = (fine(width) as u32, fine(height) as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&RGBColor(255, 255, 255)).map_err(failed)?;
        let canvas = Canvas { area };
        canvas.text((16.0, 24.0), title, Text::new(16.0).bold())?;
        draw(&canvas)?;
        canvas.area.present().map_err(failed)?;
    }
    // The units on paper are fine, but the picture is shown in its own size.
    let units = format!("width=\"{}\" height=\"{}\"", fine(width), fine(height));
    let shown = format!("width=\"{width}\" height=\"{height}\"");
    Ok(svg.replacen(&units, &shown, 1).replace("\"sans-serif\"", FONTS))
}

/// What is there on most systems, so that the text is as wide as it was thought.
const FONTS: &str = "\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\"";

/// How something is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    size: f64,
    colour: RGBColor,
    bold: bool,
    align: Align,
}

impl Text {
    pub(super) fn new(size: f64) -> Self {
        Self { size, colour: INK, bold: false, align: Align::Left }
    }

    pub(super) fn colour(self, colour: RGBColor) -> Self {
        Self { colour, ..self }
    }

    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) fn align(self, align: Align) -> Self {
        Self { align, ..self }
    }
}

impl Canvas<'_> {
    pub(super) fn text(&self, at: Point, text: &str, style: Text) -> Result<(), Exception> {
        // Plotters' size of a font includes the space between lines.
        let size = style.size * FINE * 1.24;
        let weight = if style.bold { FontStyle::Bold } else { FontStyle::Normal };
        let side = match style.align {
            Align::Left => HPos::Left,
            Align::Centre => HPos::Center,
            Align::Right => HPos::Right,
        };
        let font = TextStyle::from(("sans-serif", size, weight)).color(&style.colour);
        let font = font.pos(Pos::new(side, VPos::Center));
        self.area.draw_text(text, &font, place(at)).map_err(failed)
    }

    pub(super) fn line(
        &self,
        points: &[Point],
        width: f64,
        colour: RGBColor,
    ) -> Result<(), Exception> {
        let points: Vec<_> = points.iter().copied().map(place).collect();
        let style = colour.stroke_width(fine(width) as u32);
        self.area.draw(&PathElement::new(points, style)).map_err(failed)
    }

    pub(super) fn rectangle(
        &self,
        from: Point,
        to: Point,
        colour: RGBColor,
    ) -> Result<(), Exception> {
        self.area.draw(&Rectangle::new([place(from), place(to)], colour.filled())).map_err(failed)
    }

    pub(super) fn dot(
        &self,
        at: Point,
        radius: f64,
        style: impl Into<ShapeStyle>,
    ) -> Result<(), Exception> {
        self.area.draw(&Circle::new(place(at), fine(radius), style)).map_err(failed)
    }

    /// An arrow head that says: it goes on to the right.
    pub(super) fn beyond(&self, (x, y): Point, colour: RGBColor) -> Result<(), Exception> {
        let corners = [(x - 5.0, y - 4.0), (x - 5.0, y + 4.0), (x + 1.0, y)].map(place);
        self.area.draw(&Polygon::new(corners.to_vec(), colour.filled())).map_err(failed)
    }
}

fn fine(length: f64) -> i32 {
    (length * FINE).round() as i32
}

fn place((x, y): Point) -> (i32, i32) {
    (fine(x), fine(y))
}

fn failed(error: impl std::fmt::Display) -> Exception {
    std::io::Error::other(format!("a chart cannot be drawn: {error}")).into()
}

/// About how wide a text is.
pub(super) fn width(text: &str, size: f64) -> f64 {
    0.56 * size * text.chars().count() as f64
}

/// The colour of a peer that is one of two kinds: we, and others.
pub(super) fn colour(peer: &str) -> RGBColor {
    if crate::report::is_ours(peer) { OURS } else { GREY }
}

/// A paler colour, as if it were mixed with white.
pub(super) fn pale(RGBColor(r, g, b): RGBColor) -> RGBColor {
    let mix = |part: u8| 255 - (255 - part) / 5 * 2;
    RGBColor(mix(r), mix(g), mix(b))
}
