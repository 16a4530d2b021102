//! Ticks, grid, axes and their labels.

use plotters::backend::DrawingBackend;
use plotters::style::{FontStyle, RGBColor};

use super::canvas::{Align, Canvas, Font, Pen};
use super::clip::Frame;
use super::plots::INK;
use super::scale::{Scale, Tick, superscript};
use crate::error::Result;
use crate::store::Axis;

const GRID: RGBColor = RGBColor(222, 222, 222);
const FAINT_GRID: RGBColor = RGBColor(240, 240, 240);

pub(super) const LABEL: Font = Font { size: 18.0, color: INK, style: FontStyle::Normal };
const TICK: Font = Font { size: 16.0, color: INK, style: FontStyle::Normal };

/// Ticks of an axis of that width: at most `wanted`, as many as have room for their labels.
pub(super) fn fitting_ticks(scale: &Scale, width: f64, wanted: usize) -> Vec<Tick> {
    let room = |ticks: &Vec<Tick>| {
        let labels: Vec<&String> = ticks.iter().filter_map(|tick| tick.label.as_ref()).collect();
        let widest = labels.iter().map(|label| TICK.width(label)).fold(0.0, f64::max);
        (widest + 12.0) * labels.len().saturating_sub(1) as f64 <= width
    };
    (2..=wanted).rev().map(|wanted| scale.ticks(wanted)).find(room).unwrap_or_else(|| scale.ticks(2))
}

pub(super) fn widest(ticks: &[Tick]) -> f64 {
    ticks.iter().flat_map(|tick| &tick.label).map(|label| TICK.width(label)).fold(0.0, f64::max)
}

pub(super) fn grid<DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    frame: Frame,
    x: &[Tick],
    y: &[Tick],
) -> Result<()> {
    let pen = |tick: &Tick| Pen {
        color: if tick.label.is_some() { GRID } else { FAINT_GRID },
        width: 1.0,
        dash: None,
    };
    for tick in x {
        canvas.line(&[frame.point(tick.at, 0.0), frame.point(tick.at, 1.0)], pen(tick))?;
    }
    for tick in y {
        canvas.line(&[frame.point(0.0, tick.at), frame.point(1.0, tick.at)], pen(tick))?;
    }
    Ok(())
}

/// The frame's sides and the strokes of the ticks, over the data so that both stay sharp.
pub(super) fn border<DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    frame: Frame,
    x: &[Tick],
    y: &[Tick],
) -> Result<()> {
    let pen = Pen { color: INK, width: 1.2, dash: None };
    let length = |tick: &Tick| if tick.label.is_some() { 6.0 } else { 3.0 };
    let corners =
        [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(across, up)| frame.point(across, up));
    for side in 0..4 {
        canvas.line(&[corners[side], corners[(side + 1) % 4]], pen)?;
    }
    for tick in x {
        let (at, foot) = frame.point(tick.at, 0.0);
        canvas.line(&[(at, foot), (at, foot + length(tick))], pen)?;
    }
    for tick in y {
        let (side, at) = frame.point(0.0, tick.at);
        canvas.line(&[(side - length(tick), at), (side, at)], pen)?;
    }
    Ok(())
}

pub(super) fn x_axis<DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    frame: Frame,
    ticks: &[Tick],
    axis: &Axis,
    scale: &Scale,
) -> Result<()> {
    for tick in ticks {
        if let Some(label) = &tick.label {
            let (at, foot) = frame.point(tick.at, 0.0);
            canvas.text(label, (at, foot + 22.0), TICK, Align::Middle)?;
        }
    }
    let (label, font) = shrunk(LABEL, &axis_label(axis, scale), frame.width() + frame.left);
    let middle = frame.point(0.5, 0.0).0.max(font.width(&label) / 2.0 + 14.0);
    canvas.text(&label, (middle, frame.bottom + 47.0), font, Align::Middle)
}

pub(super) fn y_axis<DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    frame: Frame,
    ticks: &[Tick],
    axis: &Axis,
    scale: &Scale,
) -> Result<()> {
    for tick in ticks {
        if let Some(label) = &tick.label {
            let (side, at) = frame.point(0.0, tick.at);
            canvas.text(label, (side - 10.0, at + 5.8), TICK, Align::Right)?;
        }
    }
    let (label, font) = shrunk(LABEL, &axis_label(axis, scale), frame.height() + 40.0);
    canvas.text(&label, (28.0, frame.point(0.0, 0.5).1), font, Align::Upwards)
}

pub(super) fn right_y_axis<DB: DrawingBackend>(
    canvas: &Canvas<DB>,
    frame: Frame,
    ticks: &[Tick],
    axis: &Axis,
    scale: &Scale,
) -> Result<()> {
    let pen = Pen { color: INK, width: 1.2, dash: None };
    for tick in ticks {
        let (side, at) = frame.point(1.0, tick.at);
        let length = if tick.label.is_some() { 6.0 } else { 3.0 };
        canvas.line(&[(side, at), (side + length, at)], pen)?;
        if let Some(label) = &tick.label {
            canvas.text(label, (side + 10.0, at + 5.8), TICK, Align::Left)?;
        }
    }
    let (label, font) = shrunk(LABEL, &axis_label(axis, scale), frame.height() + 40.0);
    let at = (frame.right + 22.0 + widest(ticks), frame.point(0.0, 0.5).1);
    canvas.text(&label, at, font, Align::Downwards)
}

/// The axis' label, with the power of ten that its tick labels leave out.
fn axis_label(axis: &Axis, scale: &Scale) -> String {
    match scale.power() {
        0 => axis.label.clone(),
        power => format!("{} (×10{})", axis.label, superscript(power)),
    }
}

/// The text, smaller if it must be and cut if even that is not enough.
pub(super) fn shrunk(font: Font, text: &str, room: f64) -> (String, Font) {
    let size = (font.size * (room / font.width(text).max(1.0)).clamp(0.7, 1.0)).floor().min(font.size);
    let font = Font { size, ..font };
    (font.wrap(text, room, 1).concat(), font)
}
