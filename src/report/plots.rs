//! A figure as a picture: one layout, drawn once for SVG and once for PNG.

use plotters::backend::DrawingBackend;
use plotters::style::{FontStyle, RGBColor};

use super::axes::{LABEL, border, fitting_ticks, grid, right_y_axis, shrunk, widest, x_axis, y_axis};
use super::canvas::{Align, Canvas, Font, Pen};
use super::clip::Frame;
use super::curve::{Curve, Look};
use super::insets::Insets;
use super::legend::{Entry, Legend};
use super::scale::Scale;
use crate::error::{Error, Result};
use crate::store::{Figure, Series, Style};

/// Width and height of every plot, in its own pixels; what stands below it comes on top of that.
const SIZE: (u32, u32) = (900, 560);
/// Left and right of what is not part of the plot.
const MARGIN: f64 = 14.0;
/// Pixels of the PNG per pixel of the picture.
const PNG_SCALE: u32 = 2;
/// From more lines than this, threads to their names would be a fan of grey.
const MOST_THREADS: usize = 12;
/// The bitmap is drawn this much larger still and averaged down, for smooth edges.
const OVERSAMPLING: u32 = 2;

pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
pub(super) const LIGHT: RGBColor = RGBColor(150, 150, 150);
const WHITE: RGBColor = RGBColor(255, 255, 255);
const MUTED: RGBColor = RGBColor(95, 95, 95);

const TITLE: Font = Font { size: 20.0, color: INK, style: FontStyle::Normal };
const LETTER: Font = Font { size: 20.0, color: INK, style: FontStyle::Bold };
const MARK: Font = Font { size: 14.0, color: MUTED, style: FontStyle::Normal };
const NOTE: Font = Font { size: 13.0, color: MUTED, style: FontStyle::Normal };

/// The figure as a complete SVG document.
pub(super) fn svg(figure: &Figure) -> Result<String> {
    let inline = inline_svg(figure)?;
    Ok(inline.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1))
}

/// The figure as an `<svg>` element for a page: no namespace, no ids, a title for those who cannot see it.
pub(super) fn inline_svg(figure: &Figure) -> Result<String> {
    let mut text = String::new();
    let (width, height) = size(figure);
    draw(&Canvas::svg(&mut text, (width, height))?, figure)?;
    let title = super::html::escape(&format!("{} {}", figure.id, figure.title));
    let body = text.split_once('>').map_or("", |(_, body)| body);
    Ok(format!(
        "<svg viewBox=\"0 0 {} {}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         stroke-linejoin=\"round\" stroke-linecap=\"butt\">\n<title>{}</title>{body}",
        width * 10,
        height * 10,
        title.trim()
    ))
}

/// The figure as a PNG file, 1800 by 1120 pixels, or higher with small plots and pictures below.
pub(super) fn png(figure: &Figure) -> Result<Vec<u8>> {
    let size = size(figure);
    let (width, height) = (size.0 * PNG_SCALE, size.1 * PNG_SCALE);
    let drawn = (width * OVERSAMPLING) as usize;
    let mut buffer = vec![255; drawn * (height * OVERSAMPLING) as usize * 3];
    draw(&Canvas::bitmap(&mut buffer, size, PNG_SCALE * OVERSAMPLING)?, figure)?;

    let over = OVERSAMPLING as usize;
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for rows in buffer.chunks_exact(drawn * 3 * over) {
        for x in 0..width as usize {
            for channel in 0..3 {
                let sample = |i: usize| rows[(i / over) * drawn * 3 + (x * over + i % over) * 3 + channel];
                let sum: usize = (0..over * over).map(|i| usize::from(sample(i))).sum();
                pixels.push((sum / (over * over)) as u8);
            }
        }
    }

    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_adaptive_filter(png::AdaptiveFilterType::Adaptive);
    let failed = |why| Error::Failed(format!("figure {} cannot be encoded as PNG: {why}", figure.id));
    encoder.write_header().and_then(|mut out| out.write_image_data(&pixels)).map_err(failed)?;
    Ok(file)
}

/// Width and height of the figure's picture.
fn size(figure: &Figure) -> (u32, u32) {
    (SIZE.0, SIZE.1 + insets(figure).height().ceil() as u32)
}

fn insets(figure: &Figure) -> Insets<'_> {
    Insets::new(figure, f64::from(SIZE.0) - 2.0 * MARGIN)
}

/// How many values of the figure have no place on its axes: not finite, or not positive on a log axis.
pub(super) fn dropped(figure: &Figure) -> usize {
    let (x, y, y_right) = scales(figure);
    let anywhere = Frame { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };
    let count = |series: &Series| {
        let y = if series.right { &y_right } else { &y };
        Curve::new(Look::of(&figure.series, series), series, anywhere, &x, y).dropped
    };
    figure.series.iter().map(count).sum()
}

/// The note under the picture: what the scale of the run left out, and what could not be drawn.
fn note(figure: &Figure, dropped: usize) -> String {
    let scale = match (figure.scale.as_str(), figure.scaled_down.as_str()) {
        ("", down) => down.to_owned(),
        (scale, "") => format!("{scale} scale"),
        (scale, down) => format!("{scale} scale: {down}"),
    };
    let lost = match dropped {
        0 => String::new(),
        1 => "1 value that is not finite or not positive on a log axis is not drawn".into(),
        n => format!("{n} values that are not finite or not positive on a log axis are not drawn"),
    };
    [scale, lost].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

fn scales(figure: &Figure) -> (Scale, Scale, Scale) {
    let xs = figure.series.iter().flat_map(|series| series.x.iter().copied());
    let marks = figure.marks.iter().map(|mark| mark.x);
    let against = |right: bool| ordinates(figure.series.iter().filter(move |series| series.right == right));
    let right = figure.y_right.as_ref().unwrap_or(&figure.y);
    (
        Scale::new(&figure.x, xs.chain(marks), 0.02),
        Scale::new(&figure.y, against(false), 0.06),
        Scale::new(right, against(true), 0.06),
    )
}

/// The values of some series, and the ends of their error bars.
pub(super) fn ordinates<'a>(series: impl IntoIterator<Item = &'a Series>) -> impl Iterator<Item = f64> {
    series.into_iter().flat_map(|series| {
        series.y.iter().enumerate().flat_map(|(i, &y)| {
            let error = series.error.as_ref().and_then(|error| error.get(i).copied().flatten());
            let y = y.unwrap_or(f64::NAN);
            let error = error.unwrap_or(0.0);
            [y, y - error, y + error]
        })
    })
}

/// The one drawing: text and margins first, then everything in the room that is left.
fn draw<DB: DrawingBackend>(canvas: &Canvas<DB>, figure: &Figure) -> Result<()> {
    let (width, height) = size(figure);
    let (width, height) = (f64::from(width), f64::from(height));
    let insets = insets(figure);
    let (x, y, y_right) = scales(figure);
    let has_right = figure.series.iter().any(|series| series.right);
    let note = note(figure, dropped(figure));
    let notes = if note.is_empty() { vec![] } else { NOTE.wrap(&note, width - 2.0 * MARGIN, 2) };

    let bottom = height - 64.0 - 17.0 * notes.len() as f64 - insets.height();
    let (y_ticks, right_ticks) = (y.ticks(6), y_right.ticks(6));
    let left = 52.0 + widest(&y_ticks);
    let right_axis = if has_right { 48.0 + widest(&right_ticks) } else { 0.0 };
    let top = 52.0;
    let entries: Vec<Entry> = figure.series.iter().filter_map(|series| entry(figure, series)).collect();
    let legend = Legend::new(&entries, 280.0, bottom - top - 20.0);
    let legend_room = if legend.width > 0.0 { legend.width + 30.0 } else { 24.0 };
    let wide = Frame { left, top, right: width - right_axis - legend_room, bottom };
    let marks = place_marks(figure, &x, wide);
    let rows = marks.iter().map(|mark| mark.row + 1).max().unwrap_or(0);
    let frame = Frame { top: top + 19.0 * rows as f64, ..wide };

    canvas.clear(WHITE)?;
    let x_ticks = fitting_ticks(&x, frame.width(), most_ticks(figure, &x));
    grid(canvas, frame, &x_ticks, &y_ticks)?;
    for mark in &marks {
        let pen = Pen { color: LIGHT, width: 1.4, dash: Some([4.0, 4.0]) };
        let line = frame.point(mark.across, 0.0).0;
        let baseline = frame.top - 8.0 - 19.0 * mark.row as f64;
        canvas.line(&[(line, baseline + 4.0), (line, frame.bottom)], pen)?;
        canvas.text(mark.label, (mark.left, baseline), MARK, Align::Left)?;
    }
    let curves: Vec<Curve> = figure
        .series
        .iter()
        .map(|series| {
            let y = if series.right { &y_right } else { &y };
            Curve::new(Look::of(&figure.series, series), series, frame, &x, y)
        })
        .collect();
    for curve in &curves {
        curve.draw_below(canvas, frame)?;
    }
    for (turn, curve) in curves.iter().enumerate() {
        curve.draw(canvas, frame, turn)?;
    }
    border(canvas, frame, &x_ticks, &y_ticks)?;
    x_axis(canvas, frame, &x_ticks, &figure.x, &x)?;
    y_axis(canvas, frame, &y_ticks, &figure.y, &y)?;
    if has_right {
        let axis = figure.y_right.as_ref().unwrap_or(&figure.y);
        right_y_axis(canvas, frame, &right_ticks, axis, &y_right)?;
    }

    let names = (frame.right + right_axis + 22.0, frame.top);
    let named = curves.iter().zip(&figure.series).filter(|(_, series)| is_named(figure, series));
    let ends: Vec<_> = named.map(|(curve, _)| curve.end()).collect();
    let lines_only = figure.series.iter().all(|series| series.style != Style::Points);
    if lines_only && !has_right && ends.len() <= MOST_THREADS {
        legend.draw_at_ends(canvas, frame, names.0, &ends)?;
    } else {
        legend.draw_list(canvas, names)?;
    }

    if curves.iter().all(|curve| curve.end().is_none()) {
        let middle = frame.point(0.5, 0.5);
        canvas.text("no data to draw", middle, Font { color: MUTED, ..LABEL }, Align::Middle)?;
    }
    insets.draw(canvas, (MARGIN, bottom + 62.0))?;
    heading(canvas, figure)?;
    for (i, line) in notes.iter().enumerate() {
        let baseline = height - 10.0 - 17.0 * (notes.len() - 1 - i) as f64;
        canvas.text(line, (MARGIN, baseline), NOTE, Align::Left)?;
    }
    canvas.finish()
}

/// How many ticks the horizontal axis has at most: one for each of a few numbered things, such as digits or layers.
fn most_ticks(figure: &Figure, x: &Scale) -> usize {
    let mut all = figure.series.iter().flat_map(|series| &series.x);
    let numbered = all.all(|x| x.fract() == 0.0);
    x.whole_numbers().filter(|count| numbered && (6..=12).contains(count)).unwrap_or(6)
}

/// Whether the legend names it. The points in a region do that for the region, and in a long legend a line for its
/// thin variant.
fn is_named(figure: &Figure, series: &Series) -> bool {
    let variant = |other: &Series| {
        other.color == series.color && other.style != Style::Thin && series.label.starts_with(&other.label)
    };
    let listed = series.style != Style::Thin
        || figure.series.len() <= MOST_THREADS
        || !figure.series.iter().any(|other| !other.label.is_empty() && variant(other));
    !series.label.is_empty() && series.style != Style::Region && listed
}

/// The legend's entry for a series that it names.
fn entry(figure: &Figure, series: &Series) -> Option<Entry> {
    let drawable = series.y.iter().flatten().any(|y| y.is_finite());
    let mut text = series.label.clone();
    if series.right {
        text += " (right axis)";
    }
    if !drawable {
        text += " (no data)";
    }
    let ordered = series.shade.is_some();
    is_named(figure, series).then(|| Entry { text, look: Look::of(&figure.series, series), ordered })
}

/// Panel letter and title.
fn heading<DB: DrawingBackend>(canvas: &Canvas<DB>, figure: &Figure) -> Result<()> {
    let mut left = MARGIN;
    if let Some(letter) = panel_letter(&figure.id) {
        let letter = format!("({letter})");
        canvas.text(&letter, (left, 32.0), LETTER, Align::Left)?;
        left += LETTER.width(&letter) + 10.0;
    }
    let room = f64::from(SIZE.0) - left - MARGIN;
    match shrunk(TITLE, &figure.title, room) {
        (title, font) if !title.is_empty() => canvas.text(&title, (left, 32.0), font, Align::Left),
        _ => Ok(()),
    }
}

/// `a` of `A2a`: what follows the number.
fn panel_letter(id: &str) -> Option<&str> {
    let number = id.rfind(|c: char| c.is_ascii_digit())?;
    Some(&id[number + 1..]).filter(|letter| !letter.is_empty())
}

/// A vertical line and its label, which starts at the line.
struct PlacedMark<'a> {
    label: &'a str,
    /// Of the line, 0…1.
    across: f64,
    left: f64,
    /// Rows above the plot, from 0.
    row: usize,
}

/// Labels above the plot, in as many rows as they need: none touches another or is crossed by its line.
fn place_marks<'a>(figure: &'a Figure, x: &Scale, frame: Frame) -> Vec<PlacedMark<'a>> {
    let mut marks: Vec<(f64, &str)> = figure
        .marks
        .iter()
        .filter_map(|mark| Some((x.place(mark.x)?, mark.label.as_str())))
        .filter(|(across, _)| (0.0..=1.0).contains(across))
        .collect();
    marks.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut placed: Vec<PlacedMark> = Vec::new();
    for (across, label) in marks {
        let width = MARK.width(label);
        let left = frame.point(across, 0.0).0.min(f64::from(SIZE.0) - MARGIN - width) - 2.0;
        let right = left + width + 10.0;
        // Those placed so far are further right: above all whose line or label this one would touch.
        let row =
            placed.iter().filter(|other| other.left < right).map(|other| other.row + 1).max().unwrap_or(0);
        // Beyond four rows the labels would take the plot's room; their lines would be a thicket, too.
        if row < 4 {
            placed.push(PlacedMark { label, across, left, row });
        }
    }
    placed
}
