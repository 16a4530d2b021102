//! Small grey pictures in rows below the plot, each with its caption.

use plotters::backend::DrawingBackend;
use plotters::style::{FontStyle, RGBColor};

use super::canvas::{Align, Canvas, Font, Pen, Point};
use super::plots::{INK, LIGHT};
use crate::error::Result;
use crate::store::{Figure, Image};

const CAPTION: Font = Font { size: 13.0, color: INK, style: FontStyle::Normal };
/// Pixels of the figure for the longer side of a picture, for its column, and for the lines below it.
const SIDE: f64 = 96.0;
const COLUMN: f64 = 172.0;
const NARROWEST: f64 = 120.0;
const LINE: f64 = 16.0;
/// How far a pixel reaches under its neighbours, lest the paper shine through between them.
const OVERLAP: f64 = 0.4;

/// The rows of a figure's pictures.
pub(super) struct Insets<'a> {
    images: Vec<&'a Image>,
    columns: usize,
    column: f64,
    width: f64,
}

impl<'a> Insets<'a> {
    /// The pictures that have pixels, within `width`.
    pub fn new(figure: &'a Figure, width: f64) -> Insets<'a> {
        let images: Vec<&Image> =
            figure.images.iter().filter(|image| image.width > 0 && !image.pixels.is_empty()).collect();
        let columns = ((width / NARROWEST) as usize).clamp(1, images.len().max(1));
        Insets { columns, column: (width / columns as f64).min(COLUMN), width, images }
    }

    /// Their height, 0 without pictures.
    pub fn height(&self) -> f64 {
        self.images.len().div_ceil(self.columns) as f64 * row_height()
    }

    /// Draws them in the middle of their width, below `top`.
    pub fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, (left, top): Point) -> Result<()> {
        for (row, images) in self.images.chunks(self.columns).enumerate() {
            let start = left + (self.width - self.column * images.len() as f64) / 2.0;
            let top = top + row_height() * row as f64;
            for (i, image) in images.iter().enumerate() {
                let middle = start + self.column * (i as f64 + 0.5);
                picture(canvas, image, (middle, top))?;
                for (line, text) in CAPTION.wrap(&image.caption, self.column - 10.0, 2).iter().enumerate() {
                    let baseline = top + SIDE + LINE * (line as f64 + 1.0);
                    canvas.text(text, (middle, baseline), CAPTION, Align::Middle)?;
                }
            }
        }
        Ok(())
    }
}

fn row_height() -> f64 {
    SIDE + 2.0 * LINE + 12.0
}

/// One picture, its upper edge around `middle`, with equal pixels side by side drawn as one.
fn picture<DB: DrawingBackend>(canvas: &Canvas<DB>, image: &Image, (middle, top): Point) -> Result<()> {
    let rows = image.pixels.len().div_ceil(image.width);
    let longer = image.width.max(rows) as f64;
    // Whole pixels where that is possible: their edges are sharp.
    let cell = if longer <= SIDE { (SIDE / longer).floor() } else { SIDE / longer };
    let (width, height) = (cell * image.width as f64, cell * rows as f64);
    let (left, top) = ((middle - width / 2.0).round(), top + SIDE - height);
    for (row, pixels) in image.pixels.chunks(image.width).enumerate() {
        let above = top + cell * row as f64;
        let below = (above + cell + OVERLAP).min(top + height);
        let mut from = 0;
        for equal in pixels.chunk_by(|a, b| a == b) {
            let past = from + equal.len();
            let (start, end) = (left + cell * from as f64, left + cell * past as f64);
            let end = (end + OVERLAP).min(left + width);
            let corners = [(start, above), (end, above), (end, below), (start, below)];
            canvas.fill(&corners, RGBColor(equal[0], equal[0], equal[0]), 1.0)?;
            from = past;
        }
    }
    let (right, bottom) = (left + width, top + height);
    let frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    canvas.line(&frame, Pen { color: LIGHT, width: 1.0, dash: None })
}
