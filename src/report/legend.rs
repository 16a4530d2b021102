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
/// The smallest text size that is readable.
const SMALLEST: u32 = 11;

/// One series' name.
pub(super) struct Entry {
    pub text: String,
    pub look: Look,
    /// One of an ordered family, which is told by its colour and need not be named each time.
    pub ordered: bool,
}

/// The entries, broken into lines.
pub(super) struct Legend {
    font: Font,
    entries: Vec<(Look, Vec<String>)>,
    /// What is left unsaid, below the entries.
    remark: String,
    /// Its width with everything.
    pub width: f64,
}

impl Legend {
    /// Sets the entries at the largest text size at which they fit `height`. Past the smallest only every
    /// second, third … one of the ordered family is named, or of all if there is none: families that large are
    /// ordered, and so are their colours.
    pub fn new(entries: &[Entry], width: f64, height: f64) -> Legend {
        let fits = |size: f64, every: usize| {
            let lines = |entry: &Entry| font(size).wrap(&entry.text, width - SAMPLE, 2).len();
            let heights = named(entries, every).map(|entry| entry_height(font(size), lines(entry)));
            heights.sum::<f64>() <= height
        };
        let size = (SMALLEST..=16).rev().map(f64::from).find(|&size| fits(size, 1));
        let font = font(size.unwrap_or(f64::from(SMALLEST)));
        let every = (1..=entries.len()).find(|&every| fits(font.size, every)).unwrap_or(1);
        let remark = if every > 1 { format!("(one in {every} is named)") } else { String::new() };
        let kept: Vec<_> = named(entries, every)
            .map(|entry| (entry.look, font.wrap(&entry.text, width - SAMPLE, 2)))
            .collect();
        let lines = kept.iter().flat_map(|(_, lines)| lines).map(|line| SAMPLE + font.width(line));
        let width = lines.chain([font.width(&remark)]).fold(0.0, f64::max);
        Legend { font, entries: kept, remark, width }
    }

    /// Each name as near as can be to the end of its line, with a thread to it; `left` is where they start,
    /// `ends` has an end for each entry whose line has one.
    pub fn draw_at_ends<DB: DrawingBackend>(
        &self,
        canvas: &Canvas<DB>,
        frame: Frame,
        left: f64,
        ends: &[Option<Point>],
    ) -> Result<()> {
        let height =
            |end: &Option<Point>| end.map_or(frame.bottom, |(_, y)| y.clamp(frame.top, frame.bottom));
        let mut sorted: Vec<_> = self.entries.iter().zip(ends).collect();
        sorted.sort_by(|(_, a), (_, b)| height(a).total_cmp(&height(b)));
        let sizes: Vec<f64> =
            sorted.iter().map(|((_, lines), _)| entry_height(self.font, lines.len())).collect();
        let wanted: Vec<f64> =
            sorted.iter().zip(&sizes).map(|((_, end), size)| height(end) - size / 2.0).collect();
        let tops = spread(&wanted, &sizes, frame.top, frame.bottom);
        for (((look, lines), end), top) in sorted.into_iter().zip(tops) {
            let middle = self.draw_entry(canvas, *look, lines, (left, top))?;
            if let Some(end) = end.filter(|end| frame.contains(*end) && frame.right - end.0 < 40.0) {
                let pen = Pen { color: LIGHT, width: 1.0, dash: None };
                canvas.line(&[(frame.right + 2.0, end.1), (left, middle)], pen)?;
            }
        }
        Ok(())
    }

    /// A plain list in the order of the series.
    pub fn draw_list<DB: DrawingBackend>(&self, canvas: &Canvas<DB>, (left, mut top): Point) -> Result<()> {
        for (look, lines) in &self.entries {
            self.draw_entry(canvas, *look, lines, (left, top))?;
            top += entry_height(self.font, lines.len());
        }
        canvas.text(&self.remark, (left, top + 1.2 * self.font.size), self.font, Align::Left)
    }

    /// Draws one and returns the height of the middle of its sample.
    fn draw_entry<DB: DrawingBackend>(
        &self,
        canvas: &Canvas<DB>,
        look: Look,
        lines: &[String],
        (left, top): Point,
    ) -> Result<f64> {
        let middle = top + entry_height(self.font, lines.len()) / 2.0;
        look.sample(canvas, (left + 16.0, middle))?;
        for (i, line) in lines.iter().enumerate() {
            let row = i as f64 - (lines.len() - 1) as f64 / 2.0;
            let baseline = middle + (row * 1.2 + 0.36) * self.font.size;
            canvas.text(line, (left + SAMPLE, baseline), self.font, Align::Left)?;
        }
        Ok(middle)
    }
}

/// All entries but those left out when only one in `every` of the ordered ones is named.
fn named(entries: &[Entry], every: usize) -> impl Iterator<Item = &Entry> {
    let family = entries.iter().any(|entry| entry.ordered);
    let mut members = 0;
    entries.iter().filter(move |entry| {
        let member = entry.ordered || !family;
        members += usize::from(member);
        !member || (members - 1) % every == 0
    })
}

fn font(size: f64) -> Font {
    Font { size, color: INK, style: FontStyle::Normal }
}

fn entry_height(font: Font, lines: usize) -> f64 {
    1.2 * font.size * lines as f64 + GAP * font.size / 16.0
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
