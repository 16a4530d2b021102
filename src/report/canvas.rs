//! Drawing in the figure's own pixels, 900 by 560 or higher, on any plotters backend.
//!
//! Backends take whole device pixels and set text by different metrics; both end here, so that the
//! picture above is one and the same in every format.

use std::sync::LazyLock;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor, ShapeStyle, TextStyle, register_font,
};

use crate::error::{Error, Result};

/// The font, and what a browser without it takes instead. Registered under the whole list, which
/// plotters copies into the SVG as it stands.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// A place on the picture: from the left, from the top.
pub(super) type Point = (f64, f64);

/// How a line is drawn.
#[derive(Clone, Copy)]
pub(super) struct Pen {
    pub color: RGBColor,
    pub width: f64,
    /// Lengths of dash and gap.
    pub dash: Option<[f64; 2]>,
}

/// How text is set.
#[derive(Clone, Copy)]
pub(super) struct Font {
    pub size: f64,
    pub color: RGBColor,
    pub style: FontStyle,
}

/// Which point of a text is given: on the baseline, left, in the middle or right.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Left,
    Middle,
    Right,
    /// In the middle, the text running upwards.
    Upwards,
    /// In the middle, the text running downwards.
    Downwards,
}

/// The surface drawn on.
pub(super) struct Canvas<DB: DrawingBackend> {
    area: DrawingArea<DB, Shift>,
    /// Device pixels per pixel of the figure.
    unit: f64,
    /// Plotters' font size of one em.
    size_of_em: f64,
    /// From the top of plotters' text box down to the baseline, in em.
    ascent: f64,
}

impl<'a> Canvas<SVGBackend<'a>> {
    /// Draws into SVG text; a tenth of a pixel is its grid.
    pub fn svg(text: &'a mut String, (width, height): (u32, u32)) -> Result<Self> {
        register()?;
        let area = SVGBackend::with_string(text, (width * 10, height * 10)).into_drawing_area();
        Ok(Canvas { area, unit: 10.0, size_of_em: 1.24, ascent: 0.76 })
    }
}

impl<'a> Canvas<BitMapBackend<'a>> {
    /// Draws into an RGB buffer of `unit` times the size.
    pub fn bitmap(buffer: &'a mut [u8], (width, height): (u32, u32), unit: u32) -> Result<Self> {
        register()?;
        let area = BitMapBackend::with_buffer(buffer, (width * unit, height * unit)).into_drawing_area();
        // For the bitmap a size is ascent + descent of DejaVu Sans, 1.164 em, and the baseline is at half of it.
        Ok(Canvas { area, unit: f64::from(unit), size_of_em: 1.164, ascent: 0.582 })
    }
}

impl<DB: DrawingBackend> Canvas<DB> {
    /// Fills everything.
    pub fn clear(&self, color: RGBColor) -> Result<()> {
        self.area.fill(&color).map_err(failed)
    }

    /// Hands the picture over to its buffer.
    pub fn finish(&self) -> Result<()> {
        self.area.present().map_err(failed)
    }

    /// An open line through `points`.
    pub fn line(&self, points: &[Point], pen: Pen) -> Result<()> {
        match pen.dash {
            None => self.solid(points, pen),
            Some(pattern) => dashes(points, pattern).iter().try_for_each(|dash| self.solid(dash, pen)),
        }
    }

    fn solid(&self, points: &[Point], pen: Pen) -> Result<()> {
        let mut device: Vec<_> = points.iter().map(|&point| self.device(point)).collect();
        device.dedup();
        let style = ShapeStyle {
            color: pen.color.to_rgba(),
            filled: false,
            stroke_width: (pen.width * self.unit).round().max(1.0) as u32,
        };
        // The bitmap backend turns a thick line into one polygon, which breaks where it folds back on
        // itself: cut it at sharp corners and cap the cut.
        let mut from = 0;
        for corner in 1..device.len().saturating_sub(1) {
            if is_sharp(device[corner - 1], device[corner], device[corner + 1]) {
                self.area.draw(&PathElement::new(&device[from..=corner], style)).map_err(failed)?;
                let cap = Circle::new(device[corner], style.stroke_width / 2, style.filled());
                self.area.draw(&cap).map_err(failed)?;
                from = corner;
            }
        }
        if device.len() - from < 2 {
            return Ok(());
        }
        self.area.draw(&PathElement::new(&device[from..], style)).map_err(failed)
    }

    /// A filled polygon.
    pub fn fill(&self, corners: &[Point], color: RGBColor, opacity: f64) -> Result<()> {
        let corners: Vec<_> = corners.iter().map(|&corner| self.device(corner)).collect();
        if corners.len() < 3 {
            return Ok(());
        }
        self.area.draw(&Polygon::new(corners, color.mix(opacity).filled())).map_err(failed)
    }

    /// A filled circle.
    pub fn disc(&self, centre: Point, radius: f64, color: RGBColor, opacity: f64) -> Result<()> {
        let radius = (radius * self.unit).round() as i32;
        self.area.draw(&Circle::new(self.device(centre), radius, color.mix(opacity).filled())).map_err(failed)
    }

    /// One line of text, its baseline through `at`.
    pub fn text(&self, text: &str, at: Point, font: Font, align: Align) -> Result<()> {
        // Control characters have no glyph and would make the SVG invalid.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let rise = self.ascent * font.size;
        let (turn, h_pos, at) = match align {
            Align::Left => (FontTransform::None, HPos::Left, (at.0, at.1 - rise)),
            Align::Middle => (FontTransform::None, HPos::Center, (at.0, at.1 - rise)),
            Align::Right => (FontTransform::None, HPos::Right, (at.0, at.1 - rise)),
            Align::Upwards => (FontTransform::Rotate270, HPos::Center, (at.0 - rise, at.1)),
            Align::Downwards => (FontTransform::Rotate90, HPos::Center, (at.0 + rise, at.1)),
        };
        let size = font.size * self.size_of_em * self.unit;
        let desc = FontDesc::new(FontFamily::Name(FAMILY), size, font.style).transform(turn);
        let style =
            TextStyle { font: desc, color: font.color.to_backend_color(), pos: Pos::new(h_pos, VPos::Top) };
        self.area.draw_text(&text, &style, self.device(at)).map_err(failed)
    }

    fn device(&self, (x, y): Point) -> (i32, i32) {
        ((x * self.unit).round() as i32, (y * self.unit).round() as i32)
    }
}

impl Font {
    /// The width of `text`.
    pub fn width(&self, text: &str) -> f64 {
        // Measured large, because plotters rounds to whole pixels.
        let desc = FontDesc::new(FontFamily::Name(FAMILY), 1164.0, self.style);
        let advance = desc
            .layout_box(text)
            .map_or(0.6 * text.chars().count() as f64, |(from, to)| f64::from(to.0 - from.0) / 1000.0);
        advance * self.size
    }

    /// `text` in at most `lines` lines no wider than `width`; what does not fit becomes "…".
    pub fn wrap(&self, text: &str, width: f64, lines: usize) -> Vec<String> {
        let mut done: Vec<String> = Vec::new();
        let mut line = String::new();
        for word in text.split_whitespace() {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if line.is_empty() || self.width(&longer) <= width || done.len() + 1 == lines {
                line = longer; // the last line takes everything, and is cut below
            } else {
                done.push(std::mem::replace(&mut line, word.to_owned()));
            }
        }
        done.push(line);
        done.into_iter().map(|line| self.cut(line, width)).collect()
    }

    fn cut(&self, mut line: String, width: f64) -> String {
        if self.width(&line) <= width {
            return line;
        }
        while line.pop().is_some() && self.width(&line) + self.width("…") > width {}
        line.truncate(line.trim_end().len());
        line + "…"
    }
}

fn register() -> Result<()> {
    static REGISTERED: LazyLock<bool> = LazyLock::new(|| {
        register_font(FAMILY, FontStyle::Normal, dejavu::sans::regular()).is_ok()
            && register_font(FAMILY, FontStyle::Bold, dejavu::sans::bold()).is_ok()
    });
    let broken = || Error::Failed("the built-in font cannot be read; build netdyn again".into());
    if *REGISTERED { Ok(()) } else { Err(broken()) }
}

fn failed<E: std::error::Error + Send + Sync>(source: DrawingAreaErrorKind<E>) -> Error {
    Error::Failed(format!("a figure cannot be drawn: {source}"))
}

/// Whether the path a, b, c turns by more than 60 degrees.
fn is_sharp(a: (i32, i32), b: (i32, i32), c: (i32, i32)) -> bool {
    let (u, v) = ((f64::from(b.0 - a.0), f64::from(b.1 - a.1)), (f64::from(c.0 - b.0), f64::from(c.1 - b.1)));
    u.0 * v.0 + u.1 * v.1 < 0.5 * u.0.hypot(u.1) * v.0.hypot(v.1)
}

/// Cuts a line into dashes of the pattern's first length, its second length apart.
fn dashes(points: &[Point], [on, off]: [f64; 2]) -> Vec<Vec<Point>> {
    let mut all = Vec::new();
    let mut dash = points.first().map_or(vec![], |&first| vec![first]);
    let (mut drawing, mut left) = (true, on);
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        let mut length = (to.0 - from.0).hypot(to.1 - from.1);
        while length > left {
            let part = left / length;
            from = (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1));
            length -= left;
            dash.push(from);
            if drawing {
                all.push(std::mem::take(&mut dash));
            }
            dash = vec![from];
            drawing = !drawing;
            left = if drawing { on } else { off };
        }
        left -= length;
        dash.push(to);
    }
    if drawing {
        all.push(dash);
    }
    all
}
