//! Tables, pictures and the page, drawn from stored figures. It computes no result and reads no network.

mod axes;
mod canvas;
mod clip;
mod curve;
mod html;
mod insets;
mod legend;
mod plots;
mod scale;
mod scene;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::store::{Figure, read_all, write_atomic};

/// Draws every figure stored in `dir` and writes `dir/report.html`, whose path it returns.
///
/// `<id>.csv`, `<id>.svg` and `<id>.png`, and `<id>.html` for points in space, are written where they are missing
/// or older than `<id>.json`.
/// Fails with [`Error::File`] at a damaged figure file and with [`Error::Failed`] where there is none.
pub fn build(dir: &Path) -> Result<PathBuf> {
    let figures = read_all(dir)?;
    if figures.is_empty() {
        let dir = dir.display();
        return Err(Error::Failed(format!(
            "{dir} holds no figures; make some with `netdyn reproduce --out {dir}`"
        )));
    }
    for figure in &figures {
        let source = dir.join(format!("{}.json", figure.id));
        refresh(&source, "csv", || table::csv(figure))?;
        refresh(&source, "svg", || Ok(plots::svg(figure)?.into_bytes()))?;
        refresh(&source, "png", || plots::png(figure))?;
        if let Some(scene) = &figure.scene {
            refresh(&source, "html", || Ok(scene::page(figure, scene).into_bytes()))?;
        }
    }
    let page = html::page(&figures)?;
    let path = dir.join("report.html");
    write_atomic(&path, |out| out.write_all(page.as_bytes()))?;
    Ok(path)
}

/// Draws one figure into a file; its extension, `svg` or `png`, chooses the format.
pub fn plot(path: &Path, figure: &Figure) -> Result<()> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    let picture = match extension.as_deref() {
        Some("svg") => plots::svg(figure)?.into_bytes(),
        Some("png") => plots::png(figure)?,
        _ => {
            let path = path.display();
            return Err(Error::Usage(format!("cannot plot to {path}: name the file .svg or .png")));
        }
    };
    write_atomic(path, |out| out.write_all(&picture))
}

/// Writes the neighbour of `source` with this extension unless it is there and newer.
fn refresh(source: &Path, extension: &str, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<()> {
    let path = source.with_extension(extension);
    let time = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
    // `None`, the time of no file, is before every other.
    if time(&path) > time(source) {
        return Ok(());
    }
    let content = make()?;
    write_atomic(&path, |out| out.write_all(&content))
}
