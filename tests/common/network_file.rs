//! Network files put together by hand, for the tests that read them.

use netdyn::backend::Activation;
use netdyn::data::InputScale;
use netdyn::model::Network;
use netdyn::model::file::{ReadOptions, Understood, read};
use serde_json::{Value, json};
use std::fs;

pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// A safetensors file put together by hand.
#[derive(Default)]
pub struct File {
    header: serde_json::Map<String, Value>,
    pub metadata: Value,
    data: Vec<u8>,
}

impl File {
    /// Adds a tensor, unless there is one of this name.
    pub fn add(&mut self, name: &str, dtype: &str, shape: &[usize], data: &[u8]) {
        if self.header.contains_key(name) {
            return;
        }
        let offsets = [self.data.len(), self.data.len() + data.len()];
        self.header.insert(name.into(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        self.data.extend(data);
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut header = self.header.clone();
        if self.metadata.is_object() {
            header.insert("__metadata__".into(), self.metadata.clone());
        }
        let header = Value::Object(header).to_string();
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &self.data].concat()
    }
}

/// Layers of (name, inputs, outputs); a name that ends in `_` is not followed by a dot.
pub fn linears(layers: &[(&str, usize, usize)]) -> File {
    let mut file = File::default();
    for (name, inputs, outputs) in layers {
        let dot = if name.ends_with('_') { "" } else { "." };
        file.add(&format!("{name}{dot}weight"), "F32", &[*outputs, *inputs], &vec![0; 4 * inputs * outputs]);
    }
    file
}

pub fn with_norms(layers: &[(&str, usize, usize)], norms: &[(&str, usize)]) -> File {
    let mut file = linears(layers);
    for (name, features) in norms {
        for part in ["running_mean", "running_var"] {
            file.add(&format!("{name}.{part}"), "F32", &[*features], &vec![0; 4 * features]);
        }
    }
    file
}

pub trait ReadIn {
    fn read(&self, file: &File, options: &ReadOptions) -> netdyn::Result<(Network, Understood)>;
    fn read_bytes(&self, bytes: &[u8]) -> netdyn::Result<(Network, Understood)>;
}

impl ReadIn for tempfile::TempDir {
    fn read(&self, file: &File, options: &ReadOptions) -> netdyn::Result<(Network, Understood)> {
        let path = self.path().join("net.safetensors");
        fs::write(&path, file.bytes()).unwrap();
        read(&path, options)
    }

    fn read_bytes(&self, bytes: &[u8]) -> netdyn::Result<(Network, Understood)> {
        let path = self.path().join("net.safetensors");
        fs::write(&path, bytes).unwrap();
        read(&path, &ReadOptions { activation: Some(Activation::Relu), ..ReadOptions::default() })
    }
}

pub fn unit() -> ReadOptions {
    ReadOptions {
        activation: Some(Activation::Relu),
        input: Some(InputScale::Unit),
        ..ReadOptions::default()
    }
}
