//! A figure's data as a table.

use crate::error::{Error, Result};
use crate::store::Figure;

/// Long format, `series,x,y,error`: one row per point, empty where a value is missing. Small plots follow, the
/// caption of each before the names of its series.
pub(super) fn csv(figure: &Figure) -> Result<Vec<u8>> {
    let failed = |why: csv::Error| Error::Failed(format!("figure {} cannot be tabled: {why}", figure.id));
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["series", "x", "y", "error"]).map_err(failed)?;
    let own = figure.series.iter().map(|series| (series.label.clone(), series));
    let small = figure.planes.iter().flat_map(|plane| {
        plane.series.iter().map(|series| (format!("{}: {}", plane.caption, series.label), series))
    });
    for (name, series) in own.chain(small) {
        for (i, (x, y)) in series.x.iter().zip(&series.y).enumerate() {
            let error = series.error.as_ref().and_then(|error| error.get(i).copied().flatten());
            let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
            table.write_record([&name, &x.to_string(), &number(*y), &number(error)]).map_err(failed)?;
        }
    }
    table.into_inner().map_err(|why| failed(why.into_error().into()))
}
