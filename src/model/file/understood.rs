//! What was taken for what in a network file, for people.

use crate::backend::Activation;
use crate::data::InputScale;
use clap::ValueEnum;
use std::fmt;
use std::path::PathBuf;

/// How a network file was understood; `Display` is a short table.
#[derive(Clone, Debug, PartialEq)]
pub struct Understood {
    /// The file.
    pub file: PathBuf,
    /// Shape as text: `784-512x2-10`.
    pub shape: String,
    /// One per weight matrix, in network order.
    pub layers: Vec<UnderstoodLayer>,
    /// f; `None` for a network without hidden layer.
    pub activation: Option<Activation>,
    /// Input range the network was trained on.
    pub input: InputScale,
    /// Who says so.
    pub input_origin: InputOrigin,
    /// ε of the batch norms; `None` if there are none.
    pub bn_eps: Option<f64>,
    /// Optimiser steps behind the network, if the file says.
    pub step: Option<u64>,
}

/// The tensors of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderstoodLayer {
    /// Number of the layer: the first hidden layer is 2.
    pub layer: usize,
    /// Name of the weight.
    pub weight: String,
    /// [outputs, inputs]
    pub shape: [usize; 2],
    /// Name of the bias.
    pub bias: Option<String>,
    /// Name of the batch norm.
    pub norm: Option<String>,
}

/// Where the input scaling comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputOrigin {
    /// The file's metadata.
    File,
    /// `--input`.
    Option,
    /// Nobody said; byte/255 was taken.
    Assumed,
}

impl fmt::Display for Understood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.shape)?;
        match self.activation {
            Some(activation) => write!(f, ", {}", activation_name(activation))?,
            None => write!(f, ", no hidden layer")?,
        }
        match self.bn_eps {
            Some(eps) => write!(f, ", batch norm (eps {eps})")?,
            None => write!(f, ", no batch norm")?,
        }
        write!(f, ", input {}", self.input)?;
        if self.input_origin == InputOrigin::Assumed {
            write!(f, " [ASSUMED: the file does not say; --input unit|standardized|MEAN,STD]")?;
        }
        if let Some(step) = self.step {
            write!(f, ", step {step}")?;
        }
        let rows = self.layers.iter().map(|layer| {
            let absent = || "-".to_owned();
            [
                layer.layer.to_string(),
                layer.weight.clone(),
                format!("{:?}", layer.shape),
                layer.bias.clone().unwrap_or_else(absent),
                layer.norm.clone().unwrap_or_else(absent),
            ]
        });
        let head = ["layer", "weight", "[out, in]", "bias", "batch norm"].map(str::to_owned);
        let table: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
        let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 5] = std::array::from_fn(width);
        for row in &table {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, w)| format!("{cell:<w$}")).collect();
            write!(f, "\n  {}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// As the user writes it.
pub(super) fn activation_name(activation: Activation) -> String {
    activation.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
