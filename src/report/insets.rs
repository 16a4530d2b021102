//! Rows of what belongs to a figure and stands below its plot, each with its caption: small plots of points and
//! regions, and small grey pictures.

use plotters::backend::DrawingBackend;
use plotters::style::{FontStyle, RGBColor};

use super::canvas::{Align, Canvas, Font, Pen, Point};
use super::clip::Frame;
use super::curve::{Curve, Look};
use super::plots::{INK, LIGHT, ordinates};
use super::scale::Scale;
use crate::error::Result;
use crate::store::{Axis, Figure, Image, Plane, Series, Style};

const CAPTION: Font = Font { size: 13.0, color: INK, style: FontStyle::Normal };
const LINE: f64 = 16.0;
/// Height of the names of the points, and the sample before each.
const NAMES: f64 = 26.0;
const SAMPLE: f64 = 14.0;
/// How far a pixel reaches under its neighbours, lest the paper shine through between them.
const OVERLAP: f64 = 0.4;

/// What stands below a figure's plot.
pub(super) struct Insets<'a> {
    planes: Rows<'a, Plane>,
    images: Rows<'a, Image>,
}

impl<'a> Insets<'a> {
    /// The planes that have series and the pictures that have pixels, within `width`.
    pub fn new(figure: &'a Figure, width: f64) -> Insets<'a> {
        let planes = figure.planes.iter().filter(|plane| !plane.series.is_empty()).collect();
        let images =
            figure.images.iter().filter(|image| image.width > 0 && !image.pixels.is_empty()).collect();
        Insets {
            planes: Rows::new(planes, width, Cell { narrowest: 210.0, widest: 280.0, height: 170.0 }),
            images: Rows::new(images, width, Cell { narrowest: 120.0, widest: 172.0, height: 96.0 }),
        }
    }

    /// Their height, 0 if there are none.
    pub fn height(&self) -> f64 {
        self.planes.height() + self.names_height() + self.images.height()
    }

    /// Draws them in the middle of their width, below `top`.
    pub fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, (left, top): Point) -> Result<()> {
        if let Some(first) = self.planes.items.first() {
            names(canvas, first, (left + self.planes.width / 2.0, top + NAMES / 2.0))?;
        }
        let top = top + self.names_height();
        self.planes.draw(
            canvas,
            (left, top),
            |plane, cell| points(canvas, plane, cell),
            |plane| &plane.caption,
        )?;
        let top = top + self.planes.height();
        self.images.draw(
            canvas,
            (left, top),
            |image, cell| picture(canvas, image, cell),
            |image| &image.caption,
        )
    }

    fn names_height(&self) -> f64 {
        if self.planes.items.is_empty() { 0.0 } else { NAMES }
    }
}

/// The room of one inset: limits of its column's width, and the height without the caption.
#[derive(Clone, Copy)]
struct Cell {
    narrowest: f64,
    widest: f64,
    height: f64,
}

/// Insets of one kind in as many rows as they need.
struct Rows<'a, T> {
    items: Vec<&'a T>,
    columns: usize,
    column: f64,
    cell: Cell,
    width: f64,
}

impl<'a, T> Rows<'a, T> {
    fn new(items: Vec<&'a T>, width: f64, cell: Cell) -> Rows<'a, T> {
        let columns = ((width / cell.narrowest) as usize).clamp(1, items.len().max(1));
        Rows { columns, column: (width / columns as f64).min(cell.widest), cell, width, items }
    }

    fn row(&self) -> f64 {
        self.cell.height + 2.0 * LINE + 12.0
    }

    fn height(&self) -> f64 {
        self.items.len().div_ceil(self.columns) as f64 * self.row()
    }

    /// Each by `inset`, in its frame, with its caption below.
    fn draw<DB: DrawingBackend>(
        &self,
        canvas: &Canvas<DB>,
        (left, top): Point,
        inset: impl Fn(&T, Frame) -> Result<()>,
        caption: impl Fn(&'a T) -> &'a str,
    ) -> Result<()> {
        for (row, items) in self.items.chunks(self.columns).enumerate() {
            let start = left + (self.width - self.column * items.len() as f64) / 2.0;
            let top = top + self.row() * row as f64;
            for (i, &item) in items.iter().enumerate() {
                let left = start + self.column * i as f64;
                let bottom = top + self.cell.height;
                inset(item, Frame { left: left + 5.0, top, right: left + self.column - 5.0, bottom })?;
                let middle = left + self.column / 2.0;
                for (line, text) in CAPTION.wrap(caption(item), self.column - 10.0, 2).iter().enumerate() {
                    let baseline = bottom + LINE * (line as f64 + 1.0);
                    canvas.text(text, (middle, baseline), CAPTION, Align::Middle)?;
                }
            }
        }
        Ok(())
    }
}

/// The names of a plane's points in one line around `middle`.
fn names<DB: DrawingBackend>(canvas: &Canvas<DB>, plane: &Plane, middle: Point) -> Result<()> {
    let named = || plane.series.iter().filter(|series| series.style == Style::Points);
    let widths = named().map(|series| SAMPLE + CAPTION.width(&series.label) + 24.0);
    let mut left = middle.0 - (widths.sum::<f64>() - 24.0) / 2.0;
    for series in named() {
        Look::of(&plane.series, series).sample(canvas, (left, middle.1 - 4.5))?;
        canvas.text(&series.label, (left + SAMPLE, middle.1), CAPTION, Align::Left)?;
        left += SAMPLE + CAPTION.width(&series.label) + 24.0;
    }
    Ok(())
}

/// A plane in its frame, each axis to its own scale: only what lies where in relation to the rest can be read off.
fn points<DB: DrawingBackend>(canvas: &Canvas<DB>, plane: &Plane, frame: Frame) -> Result<()> {
    let xs = plane.series.iter().flat_map(|series| series.x.iter().copied());
    let (x, y) = (
        Scale::new(&Axis::linear(""), xs, 0.04),
        Scale::new(&Axis::linear(""), ordinates(&plane.series), 0.04),
    );
    let curve = |series: &Series| Curve::new(Look::of(&plane.series, series).small(), series, frame, &x, &y);
    let curves: Vec<Curve> = plane.series.iter().map(curve).collect();
    for curve in &curves {
        curve.draw_below(canvas, frame)?;
    }
    for (turn, curve) in curves.iter().enumerate() {
        curve.draw(canvas, frame, turn)?;
    }
    outline(canvas, frame)
}

/// A picture at the lower edge of its frame, with equal pixels side by side drawn as one.
fn picture<DB: DrawingBackend>(canvas: &Canvas<DB>, image: &Image, frame: Frame) -> Result<()> {
    let (side, bottom) = (frame.height(), frame.bottom);
    let rows = image.pixels.len().div_ceil(image.width);
    let longer = image.width.max(rows) as f64;
    // Whole pixels where that is possible: their edges are sharp.
    let cell = if longer <= side { (side / longer).floor() } else { side / longer };
    let (width, height) = (cell * image.width as f64, cell * rows as f64);
    let (left, top) = ((frame.point(0.5, 0.0).0 - width / 2.0).round(), bottom - height);
    let right = left + width;
    for (row, pixels) in image.pixels.chunks(image.width).enumerate() {
        let above = top + cell * row as f64;
        let below = (above + cell + OVERLAP).min(bottom);
        let mut from = 0;
        for equal in pixels.chunk_by(|a, b| a == b) {
            let past = from + equal.len();
            let (start, end) = (left + cell * from as f64, left + cell * past as f64);
            let end = (end + OVERLAP).min(right);
            let corners = [(start, above), (end, above), (end, below), (start, below)];
            canvas.fill(&corners, RGBColor(equal[0], equal[0], equal[0]), 1.0)?;
            from = past;
        }
    }
    outline(canvas, Frame { left, top, right, bottom })
}

fn outline<DB: DrawingBackend>(canvas: &Canvas<DB>, frame: Frame) -> Result<()> {
    let Frame { left, top, right, bottom } = frame;
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    canvas.line(&corners, Pen { color: LIGHT, width: 1.0, dash: None })
}
