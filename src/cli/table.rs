//! Tables, for people and for programs.

use crate::{Error, Result};

/// A value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Empty,
    Count(usize),
    /// Rounded for people, exact for programs.
    Number(f64),
    Text(String),
}

/// Rows of as many cells as there are columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[&str]) -> Table {
        Table { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// For people: columns aligned by blanks.
    pub fn to_text(&self) -> String {
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::rounded).collect());
        let lines: Vec<Vec<String>> = std::iter::once(self.columns.clone()).chain(rows).collect();
        let width = |at: usize| lines.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for row in &lines {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
            text += cells.join("  ").trim_end();
            text.push('\n');
        }
        text
    }

    /// For programs: comma-separated values.
    pub fn to_csv(&self) -> Result<String> {
        let failed = |error: csv::Error| Error::Failed(format!("cannot write a result as CSV: {error}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.columns).map_err(failed)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(Cell::exact)).map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(error.into_error().into()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Adds the rows of another table, in front of which `lead` stands, under the columns that both have.
    pub fn append(&mut self, lead: &[(&str, Cell)], other: Table) {
        let heads = lead.iter().map(|(name, _)| *name).chain(other.columns.iter().map(String::as_str));
        let places: Vec<usize> = heads.map(|head| self.column(head)).collect();
        for row in other.rows {
            let mut cells = vec![Cell::Empty; self.columns.len()];
            let values = lead.iter().map(|(_, cell)| cell.clone()).chain(row);
            places.iter().zip(values).for_each(|(&place, cell)| cells[place] = cell);
            self.rows.push(cells);
        }
    }

    /// The place of a column, which is added if there is none of this name.
    fn column(&mut self, name: &str) -> usize {
        if let Some(at) = self.columns.iter().position(|column| column == name) {
            return at;
        }
        self.columns.push(name.to_owned());
        self.rows.iter_mut().for_each(|row| row.push(Cell::Empty));
        self.columns.len() - 1
    }
}

impl Cell {
    fn rounded(&self) -> String {
        match self {
            Cell::Empty => "-".into(),
            Cell::Number(value) if *value != 0.0 && !(1e-3..1e6).contains(&value.abs()) => {
                format!("{value:.3e}")
            }
            Cell::Number(value) => format!("{value:.4}"),
            other => other.exact(),
        }
    }

    fn exact(&self) -> String {
        match self {
            Cell::Empty => String::new(),
            Cell::Count(count) => count.to_string(),
            Cell::Number(value) => value.to_string(),
            Cell::Text(text) => text.clone(),
        }
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Cell {
        Cell::Count(count)
    }
}

impl From<u8> for Cell {
    fn from(class: u8) -> Cell {
        Cell::Count(class.into())
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Cell {
        Cell::Number(value)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.into())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Empty, T::into)
    }
}
