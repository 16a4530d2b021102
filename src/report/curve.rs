//! One series inside the frame: band, line, markers; and its look, in the plot as in the legend.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::canvas::{Canvas, Pen, Point};
use super::clip::Frame;
use super::plots::INK;
use super::scale::Scale;
use crate::error::Result;
use crate::store::{Series, Style};

/// Okabe and Ito's colours (2008), strongest on white first; yellow, too pale for a line, is darkened,
/// and grey and brown are added for ten digits.
pub(super) const PALETTE: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(127, 127, 127),
    RGBColor(133, 77, 30),
    RGBColor(184, 160, 0),
];

/// Families larger than the palette, such as the layers of a deep network, are ordered: dark to light.
const RAMP: [RGBColor; 5] = [
    RGBColor(68, 1, 84),
    RGBColor(59, 82, 139),
    RGBColor(33, 145, 140),
    RGBColor(94, 201, 98),
    RGBColor(190, 200, 40),
];

/// Pixels between two markers on a line, where they only tell lines apart.
const MARKER_SPACING: f64 = 130.0;

/// How a series looks.
#[derive(Clone, Copy)]
pub(super) struct Look {
    color: RGBColor,
    shape: usize,
    style: Style,
    /// Line width, relative to that of few lines.
    weight: f64,
    /// Whether a line has a marker here and there, so that it needs no colour to be told apart.
    marked: bool,
    /// Whether it is a cloud of samples: smaller markers, and none where one stands already.
    cloud: bool,
}

impl Look {
    /// The look of one of the series that are drawn together.
    pub fn of(together: &[Series], series: &Series) -> Look {
        let clouds = together.iter().filter(|series| series.style == Style::Points);
        let all: usize = clouds.map(|series| series.x.len()).sum();
        // Parts of one cloud look alike, however few; a handful of points that stands out among them does not.
        let cloud = series.x.len() > 300 || (all > 1_000 && series.x.len() > 40);
        let shape = series.color;
        let look = Look { color: INK, shape, style: series.style, weight: 1.0, marked: true, cloud };
        if let Some(shade) = series.shade {
            return Look { color: ramp(shade.clamp(0.0, 1.0)), weight: 0.75, marked: false, ..look };
        }
        let own = together.iter().filter(|series| series.shade.is_none());
        let last = own.map(|series| series.color).max().unwrap_or(0);
        if last < PALETTE.len() {
            return Look { color: PALETTE[series.color], ..look };
        }
        // Markers would repeat every eighth line; the order of the colours has to do.
        Look { color: ramp(series.color as f64 / last as f64), weight: 0.75, marked: false, ..look }
    }

    /// The same in a small plot: markers as in a cloud.
    pub fn small(self) -> Look {
        Look { cloud: true, ..self }
    }

    fn pen(&self) -> Pen {
        let (width, dash) = match self.style {
            Style::Dashed => (2.2, Some([8.0, 5.0])),
            Style::Thin | Style::Region => (1.1, None),
            Style::Line | Style::LinePoints | Style::Points => (2.4, None),
        };
        Pen { color: self.color, width: width * self.weight, dash }
    }

    /// The sample in the legend, its middle at `at`.
    pub fn sample<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, at: Point) -> Result<()> {
        if self.style != Style::Points {
            canvas.line(&[(at.0 - 14.0, at.1), (at.0 + 14.0, at.1)], self.pen())?;
        }
        match self.style {
            Style::Thin | Style::Region => Ok(()),
            Style::Line | Style::Dashed if !self.marked => Ok(()),
            _ => self.marker(canvas, at, 4.5, 1.0),
        }
    }

    /// A filled shape, one of eight, for eyes and prints without colour.
    fn marker<DB: DrawingBackend>(
        &self,
        canvas: &Canvas<DB>,
        at: Point,
        size: f64,
        opacity: f64,
    ) -> Result<()> {
        // Polygons as (corners, turn, ratio of the inner to the outer corners' radius).
        let (corners, turn, inner) = match self.shape % 8 {
            0 => return canvas.disc(at, size, self.color, opacity),
            1 => (4, 0.125, 1.0),
            2 => (3, 0.0, 1.0),
            3 => (4, 0.0, 1.0),
            4 => (3, 0.5, 1.0),
            5 => (4, 0.0, 0.35),
            6 => (4, 0.125, 0.35),
            _ => (5, 0.0, 0.45),
        };
        let corner = |i: usize| {
            let angle = std::f64::consts::TAU * (i as f64 / (2 * corners) as f64 + turn);
            // Between two corners the side of a regular polygon is this much nearer.
            let flat = (std::f64::consts::PI / corners as f64).cos();
            let radius =
                if i.is_multiple_of(2) { 1.25 } else { 1.25 * if inner < 1.0 { inner } else { flat } };
            (at.0 + size * radius * angle.sin(), at.1 - size * radius * angle.cos())
        };
        let shape: Vec<Point> = (0..2 * corners).map(corner).collect();
        canvas.fill(&shape, self.color, opacity)
    }
}

/// A series as places on the picture.
pub(super) struct Curve {
    look: Look,
    /// Points between gaps; each with the ends of its error bar, where it has one.
    runs: Vec<Vec<(Point, Option<[f64; 2]>)>>,
    /// Values that are there but have no place on the axes.
    pub dropped: usize,
}

impl Curve {
    pub fn new(look: Look, series: &Series, frame: Frame, x: &Scale, y: &Scale) -> Curve {
        let mut runs = vec![vec![]];
        let mut dropped = 0;
        for (i, (&at_x, &at_y)) in series.x.iter().zip(&series.y).enumerate() {
            let place = at_y.and_then(|at_y| Some(frame.point(x.place(at_x)?, y.place(at_y)?)));
            let Some(place) = place else {
                dropped += usize::from(at_y.is_some());
                runs.push(vec![]);
                continue;
            };
            let error = series.error.as_ref().and_then(|error| error.get(i).copied().flatten());
            let bar = at_y.zip(error).and_then(|(at_y, error)| {
                let high = y.place(at_y + error.abs())?;
                // Below zero on a log axis the bar runs out of the plot.
                let low = y.place(at_y - error.abs()).unwrap_or(-1.0);
                Some([frame.point(0.0, low).1, frame.point(0.0, high).1])
            });
            if let Some(run) = runs.last_mut() {
                run.push((place, bar));
            }
        }
        runs.retain(|run| !run.is_empty());
        Curve { look, runs, dropped }
    }

    /// Where the curve ends on the right, if anything of it is drawn.
    pub fn end(&self) -> Option<Point> {
        self.runs.last()?.last().map(|&(point, _)| point)
    }

    /// Draws the line and the markers, cut at the frame. `turn`, its place among the series, staggers them.
    pub fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, frame: Frame, turn: usize) -> Result<()> {
        match self.look.style {
            Style::Line | Style::Dashed | Style::Thin => {
                self.lines(canvas, frame)?;
                self.sparse_markers(canvas, frame, turn)
            }
            Style::LinePoints => {
                self.lines(canvas, frame)?;
                self.all_markers(canvas, frame)
            }
            Style::Points => self.all_markers(canvas, frame),
            Style::Region => Ok(()),
        }
    }

    /// Draws what lies below all lines: regions, and errors, a band along a line, a bar through a marker.
    pub fn draw_below<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, frame: Frame) -> Result<()> {
        match self.look.style {
            Style::Line | Style::Dashed | Style::Thin => self.bands(canvas, frame),
            Style::LinePoints | Style::Points => self.bars(canvas, frame),
            Style::Region => self.region(canvas, frame),
        }
    }

    fn lines<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, frame: Frame) -> Result<()> {
        for run in &self.runs {
            let points: Vec<Point> = run.iter().map(|&(point, _)| point).collect();
            for piece in frame.clip_line(&thinned(&points)) {
                canvas.line(&piece, self.look.pen())?;
            }
        }
        Ok(())
    }

    fn region<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, frame: Frame) -> Result<()> {
        for run in &self.runs {
            let mut outline: Vec<Point> = run.iter().map(|&(point, _)| point).collect();
            outline.extend(outline.first().copied());
            canvas.fill(&frame.clip_polygon(outline.clone()), self.look.color, 0.16)?;
            for piece in frame.clip_line(&outline) {
                canvas.line(&piece, self.look.pen())?;
            }
        }
        Ok(())
    }

    fn bands<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, frame: Frame) -> Result<()> {
        for run in &self.runs {
            for part in run.split(|(_, bar)| bar.is_none()) {
                let edge =
                    |side: usize| part.iter().filter_map(move |&((x, _), bar)| bar.map(|bar| (x, bar[side])));
                let around = edge(0).chain(edge(1).collect::<Vec<_>>().into_iter().rev()).collect();
                canvas.fill(&frame.clip_polygon(around), self.look.color, 0.2)?;
            }
        }
        Ok(())
    }

    fn bars<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, frame: Frame) -> Result<()> {
        let pen = Pen { color: self.look.color, width: 1.4, dash: None };
        for &((x, _), bar) in self.runs.iter().flatten() {
            for piece in bar.map_or(vec![], |[low, high]| frame.clip_line(&[(x, low), (x, high)])) {
                canvas.line(&piece, pen)?;
            }
        }
        Ok(())
    }

    fn all_markers<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, frame: Frame) -> Result<()> {
        let visible = self.runs.iter().flatten().map(|&(at, _)| at).filter(|&at| frame.contains(at));
        let (size, opacity) = if self.look.cloud { (2.4, 0.6) } else { (4.0, 1.0) };
        let mut taken = std::collections::BTreeSet::new();
        for at in visible {
            if !self.look.cloud || taken.insert(((at.0 / 2.5) as i32, (at.1 / 2.5) as i32)) {
                self.look.marker(canvas, at, size, opacity)?;
            }
        }
        Ok(())
    }

    fn sparse_markers<DB: DrawingBackend>(
        &self,
        canvas: &Canvas<DB>,
        frame: Frame,
        turn: usize,
    ) -> Result<()> {
        let mut next = frame.left + MARKER_SPACING * ((0.2 + 0.38 * turn as f64) % 1.0);
        for run in &self.runs {
            for &(at, _) in run.iter().filter(|(at, _)| frame.contains(*at)) {
                // A lone point has no line to be seen by.
                if run.len() == 1 {
                    self.look.marker(canvas, at, 4.0, 1.0)?;
                } else if at.0 >= next && self.look.marked && self.look.style != Style::Thin {
                    self.look.marker(canvas, at, 4.5, 1.0)?;
                    next = at.0 + MARKER_SPACING;
                }
            }
        }
        Ok(())
    }
}

/// Without the points nearer than a quarter of a pixel to the last one kept.
fn thinned(points: &[Point]) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        let near = kept.last().is_some_and(|last| (x - last.0).abs() + (y - last.1).abs() < 0.25);
        if !near || i + 1 == points.len() {
            kept.push((x, y));
        }
    }
    kept
}

/// The colour at `part` (0…1) of the ramp.
fn ramp(part: f64) -> RGBColor {
    let at = part * (RAMP.len() - 1) as f64;
    let below = (at as usize).min(RAMP.len() - 2);
    let (a, b, share) = (RAMP[below], RAMP[below + 1], at - below as f64);
    let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}
