//! The names of the series, right of the plot: at the ends of their lines where that is possible.

use plotters::backend::DrawingBackend;
use plotters::style::FontStyle;

use super::canvas::{Align, Canvas, Font, Pen, Point};
use super::clip::Frame;
use super::curve::Look;
use super::plots::{INK, LIGHT};
use crate::error::Result;

/// From the left edge of an entry to its text: the sample and a gap.
const SAMPLE: f64 = 38.0;
const GAP: f64 = 6.0;

/// One series' name.
pub(super) struct Entry {
    pub text: String,
    pub look: Look,
    /// Where its line ends on the picture.
    pub end: Option<Point>,
}

/// The entries, broken into lines.
pub(super) struct Legend {
    font: Font,
    entries: Vec<(Entry, Vec<String>)>,
    /// Its width with everything.
    pub width: f64,
}

impl Legend {
    /// Sets the entries at the largest text size at which they fit `height`; past the smallest, the last
    /// ones are only counted.
    pub fn new(entries: Vec<Entry>, width: f64, height: f64) -> Legend {
        let size = (10..=16).rev().find(|&size| fits(&entries, f64::from(size), width, height)).unwrap_or(10);
        let font = font(f64::from(size));
        let mut room = height;
        let mut kept = Vec::new();
        let total = entries.len();
        for (i, entry) in entries.into_iter().enumerate() {
            let mut lines = font.wrap(&entry.text, width - SAMPLE, 2);
            room -= entry_height(font, lines.len());
            if room < entry_height(font, 1) && i + 1 < total {
                lines = vec![format!("… and {} more", total - i)];
                kept.push((entry, lines));
                break;
            }
            kept.push((entry, lines));
        }
        let widest = kept.iter().flat_map(|(_, lines)| lines).map(|line| font.width(line)).fold(0.0, f64::max);
        let width = if kept.is_empty() { 0.0 } else { SAMPLE + widest };
        Legend { font, entries: kept, width }
    }

    /// Where the lines of the entries end, in their order: known only once the frame is.
    pub fn set_ends(&mut self, ends: &[Option<Point>]) {
        for ((entry, _), end) in self.entries.iter_mut().zip(ends) {
            entry.end = *end;
        }
    }

    /// Each name as near as can be to the end of its line, with a thread to it; `left` is where they start.
    pub fn draw_at_ends<DB: DrawingBackend>(&mut self, canvas: &Canvas<DB>, frame: Frame, left: f64) -> Result<()> {
        let height = |end: Option<Point>| end.map_or(frame.bottom, |(_, y)| y.clamp(frame.top, frame.bottom));
        self.entries.sort_by(|(a, _), (b, _)| height(a.end).total_cmp(&height(b.end)));
        let sizes: Vec<f64> = self.entries.iter().map(|(_, lines)| entry_height(self.font, lines.len())).collect();
        let wanted: Vec<f64> =
            self.entries.iter().zip(&sizes).map(|((entry, _), size)| height(entry.end) - size / 2.0).collect();
        for ((entry, lines), top) in self.entries.iter().zip(spread(&wanted, &sizes, frame.top, frame.bottom)) {
            let middle = self.draw_entry(canvas, entry, lines, (left, top))?;
            if let Some(end) = entry.end.filter(|end| frame.contains(*end) && frame.right - end.0 < 40.0) {
                let pen = Pen { color: LIGHT, width: 1.0, dash: None };
                canvas.line(&[(end.0.max(frame.right) + 2.0, end.1), (left, middle)], pen)?;
            }
        }
        Ok(())
    }

    /// A plain list in the order of the series.
    pub fn draw_list<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, (left, mut top): Point) -> Result<()> {
        for (entry, lines) in &self.entries {
            self.draw_entry(canvas, entry, lines, (left, top))?;
            top += entry_height(self.font, lines.len());
        }
        Ok(())
    }

    /// Draws one and returns the height of the middle of its sample.
    fn draw_entry<DB: DrawingBackend>(
        &self,
        canvas: &Canvas<DB>,
        entry: &Entry,
        lines: &[String],
        (left, top): Point,
    ) -> Result<f64> {
        let middle = top + entry_height(self.font, lines.len()) / 2.0;
        entry.look.sample(canvas, (left + 16.0, middle))?;
        for (i, line) in lines.iter().enumerate() {
            let row = i as f64 - (lines.len() - 1) as f64 / 2.0;
            let baseline = middle + (row * 1.2 + 0.36) * self.font.size;
            canvas.text(line, (left + SAMPLE, baseline), self.font, Align::Left)?;
        }
        Ok(middle)
    }
}

fn font(size: f64) -> Font {
    Font { size, color: INK, style: FontStyle::Normal }
}

fn entry_height(font: Font, lines: usize) -> f64 {
    1.2 * font.size * lines as f64 + GAP * font.size / 16.0
}

fn fits(entries: &[Entry], size: f64, width: f64, height: f64) -> bool {
    let lines = |entry: &Entry| font(size).wrap(&entry.text, width - SAMPLE, 2).len();
    entries.iter().map(|entry| entry_height(font(size), lines(entry))).sum::<f64>() <= height
}

/// Tops of boxes of these heights, in order and without overlap, near the wanted tops.
fn spread(wanted: &[f64], heights: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut tops = wanted.to_vec();
    // Neighbours that overlap form a block that sits at the mean of what its members want.
    let mut blocks: Vec<(usize, f64, f64)> = Vec::new(); // first member, top, height
    for (i, (&want, &height)) in wanted.iter().zip(heights).enumerate() {
        let mut block = (i, want.clamp(top, (bottom - height).max(top)), height);
        while let Some(&(first, above, size)) = blocks.last()
            && above + size > block.1
        {
            let (n, m) = ((block.0 - first) as f64, (i + 1 - block.0) as f64);
            let joined = (n * above + m * (block.1 - size)) / (n + m);
            let size = size + block.2;
            block = (first, joined.clamp(top, (bottom - size).max(top)), size);
            blocks.pop();
        }
        blocks.push(block);
    }
    for (k, &(first, mut at, _)) in blocks.iter().enumerate() {
        let past = blocks.get(k + 1).map_or(tops.len(), |next| next.0);
        for i in first..past {
            tops[i] = at;
            at += heights[i];
        }
    }
    tops
}
