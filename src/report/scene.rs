//! The page on which a figure's points in space can be turned: one file, with its script, that loads nothing.

use std::collections::BTreeMap;

use serde_json::json;

use super::curve::PALETTE;
use super::html::escape;
use crate::store::{Figure, Scene, Style};

const PAGE: &str = include_str!("scene.html");

/// The page of `scene`, which belongs to `figure`.
pub(super) fn page(figure: &Figure, scene: &Scene) -> String {
    let heading = format!("{} · {}", escape(&figure.id), escape(&figure.title));
    let mut parts = PAGE.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        page += &match name {
            "title" => format!("{heading} (netdyn)"),
            "heading" => heading.clone(),
            "caption" => escape(&figure.caption),
            "id" => escape(&figure.id),
            _ => data(figure, scene),
        };
        page += rest;
    }
    page
}

/// What the script draws, as JSON that no text in it can break out of.
fn data(figure: &Figure, scene: &Scene) -> String {
    let colors: Vec<String> =
        PALETTE.iter().map(|color| format!("#{:02x}{:02x}{:02x}", color.0, color.1, color.2)).collect();
    // A colour means in space what it means among the points of the picture.
    let own = figure.series.iter().filter(|series| series.style == Style::Points && series.shade.is_none());
    let names: BTreeMap<usize, &str> = own.map(|series| (series.color, series.label.as_str())).collect();
    let there = scene.points.iter().filter(|point| point.at.iter().all(|&at| (at as f32).is_finite()));
    let points: Vec<_> = there
        .map(|point| {
            // Single precision is finer than any screen, and its decimals are half as many.
            let at = point.at.map(|at| at as f32);
            json!({ "at": at, "color": point.color, "label": point.label, "large": point.large })
        })
        .collect();
    let text = json!({ "axes": scene.axes, "colors": colors, "names": names, "points": points }).to_string();
    // These occur within strings only, where JSON has another way to write them.
    text.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}
