//! The safetensors container: header checks, tensors as bytes, nothing about networks.
//!
//! Header and offsets are checked here rather than by the `safetensors` crate, which keeps the last of
//! two equal keys and writes its metadata in random order.

use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::store::write_atomic;
use safetensors::tensor::TensorInfo;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The same limit as the reference implementation's.
const LONGEST_HEADER: u64 = 100_000_000;

/// An open file whose header has been checked: the tensors tile the rest of the file without gap or overlap.
pub(super) struct Container {
    pub path: PathBuf,
    pub tensors: BTreeMap<String, TensorInfo>,
    pub metadata: BTreeMap<String, String>,
    file: File,
    /// Offset of the first tensor in the file.
    data: u64,
}

impl Container {
    /// Reads and checks the header; never allocates more than the file is long.
    pub fn open(path: &Path) -> Result<Container> {
        let unreadable = |why: std::io::Error| Error::file(path, format!("cannot be read: {why}"));
        let about = std::fs::metadata(path).map_err(unreadable)?;
        if !about.is_file() {
            return Err(Error::file(path, "is not a file; name a .safetensors file"));
        }
        let mut file = File::open(path).map_err(unreadable)?;
        let mut length = [0; 8];
        if about.len() < 8 {
            return Err(Error::file(path, "is shorter than a safetensors header; copy it again"));
        }
        file.read_exact(&mut length).map_err(unreadable)?;
        let header = u64::from_le_bytes(length);
        if header > LONGEST_HEADER.min(about.len() - 8) {
            return Err(foreign(path, &length, header, about.len()));
        }
        let mut text = vec![0; header as usize];
        file.read_exact(&mut text).map_err(unreadable)?;
        let Header { tensors, metadata } = serde_json::from_slice(&text)
            .map_err(|why| Error::file(path, format!("the safetensors header is not valid: {why}")))?;
        let data = 8 + header;
        check_offsets(path, &tensors, about.len() - data)?;
        Ok(Container { path: path.to_owned(), tensors, metadata, file, data })
    }

    /// One tensor as it is stored.
    pub fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let info = self
            .tensors
            .get(name)
            .ok_or_else(|| Error::file(&self.path, format!("tensor '{name}' is missing")))?;
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        self.file
            .seek(SeekFrom::Start(self.data + start as u64))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|why| Error::file(&self.path, format!("tensor '{name}' cannot be read: {why}")))?;
        Ok(Tensor { dtype: info.dtype, shape: info.shape.clone(), bytes })
    }
}

/// Writes a container, tensors in the reference writer's order: largest element first, then by name.
pub(super) fn write(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let mut order: Vec<(&String, &Tensor)> = tensors.iter().collect();
    order.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype)); // stable: names stay in order
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), json!(metadata));
    let mut start = 0;
    for (name, tensor) in &order {
        if tensor.shape.iter().product::<usize>() * tensor.dtype.bitsize() != tensor.bytes.len() * 8 {
            let what = format!("'{name}' of shape {:?} has {} bytes", tensor.shape, tensor.bytes.len());
            return Err(Error::Shape { op: "network file", what });
        }
        let end = start + tensor.bytes.len();
        let (dtype, shape) = (tensor.dtype, &tensor.shape);
        header.insert((*name).clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}));
        start = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    write_atomic(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        order.iter().try_for_each(|(_, tensor)| out.write_all(&tensor.bytes))
    })
}

/// Why a file whose first eight bytes are no header length is refused.
fn foreign(path: &Path, start: &[u8; 8], header: u64, len: u64) -> Error {
    let zip = start.starts_with(b"PK\x03\x04");
    let pickle = start[0] == 0x80 && (2..=5).contains(&start[1]);
    let what = if zip || pickle {
        let new = path.with_extension("safetensors");
        format!(
            "is a PyTorch file ({}), which can run code when it is read; convert it with\n    \
             import torch, safetensors.torch\n    \
             safetensors.torch.save_file(torch.load({:?}, map_location=\"cpu\", weights_only=True), {:?})",
            if zip { "a zip archive" } else { "a pickle" },
            path.display().to_string(),
            new.display().to_string(),
        )
    } else {
        format!(
            "is truncated or no safetensors file: its first eight bytes announce a header of {header} bytes, \
             the file has {len}; copy it again"
        )
    };
    Error::file(path, what)
}

/// Every tensor as long as its shape says, one after the other, from the header to the end of the file.
fn check_offsets(path: &Path, tensors: &BTreeMap<String, TensorInfo>, len: u64) -> Result<()> {
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(_, info)| info.data_offsets);
    let mut at = 0;
    for (name, info) in order {
        let (start, end) = info.data_offsets;
        if start != at || end < start {
            let what = format!(
                "tensor '{name}' claims bytes {start} to {end} where {at} should be the first: \
                 tensors overlap or leave a gap"
            );
            return Err(Error::file(path, what));
        }
        let bits = info.shape.iter().try_fold(info.dtype.bitsize(), |bits, &side| bits.checked_mul(side));
        if bits != (end - start).checked_mul(8) {
            let (shape, dtype) = (&info.shape, info.dtype);
            let what =
                format!("tensor '{name}' of shape {shape:?} and type {dtype} has {} bytes", end - start);
            return Err(Error::file(path, what));
        }
        at = end;
    }
    if at as u64 == len {
        return Ok(());
    }
    let what = format!("the tensors take {at} bytes, the file has {len} after its header; copy it again");
    Err(Error::file(path, what))
}

/// The JSON text before the tensors, with every key once.
struct Header {
    tensors: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Header, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with one entry per tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let (mut tensors, mut metadata) = (BTreeMap::new(), None);
                while let Some(key) = map.next_key::<String>()? {
                    let known = if key == "__metadata__" {
                        metadata.replace(map.next_value::<Unique>()?.0).is_some()
                    } else {
                        tensors.insert(key.clone(), map.next_value::<TensorInfo>()?).is_some()
                    };
                    if known {
                        return Err(A::Error::custom(format!("'{key}' stands there twice")));
                    }
                }
                Ok(Header { tensors, metadata: metadata.unwrap_or_default() })
            }
        }
        from.deserialize_map(Entries)
    }
}

/// Texts by name, every name once.
struct Unique(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Unique, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Unique;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    if texts.insert(key.clone(), text).is_some() {
                        return Err(A::Error::custom(format!("metadata '{key}' stands there twice")));
                    }
                }
                Ok(Unique(texts))
            }
        }
        from.deserialize_map(Texts)
    }
}
