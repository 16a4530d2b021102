//! IDX, the file format of MNIST: a big-endian header of sizes, then bytes; raw or gzipped.
//!
//! A file is a stranger: nothing is allocated because a header says so, memory grows with the bytes that really come,
//! and reading stops one byte after the end the header promises.

use super::sha256;
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

/// An IDX file of unsigned bytes whose header has been read and found sound; the body is still to come.
pub struct Idx<R: BufRead> {
    file: PathBuf,
    header: Vec<u8>,
    dims: Vec<usize>,
    len: usize,
    body: Plain<R>,
}

/// Contents of an IDX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Sizes, slowest first.
    pub dims: Vec<usize>,
    /// The product of `dims` bytes, row-major.
    pub bytes: Vec<u8>,
    /// SHA-256 of the raw file (header and bytes), hexadecimal.
    pub sha256: String,
}

impl<R: BufRead> Idx<R> {
    /// Reads the header of `reader`, gunzipping where it starts like gzip. `file` is for messages only.
    ///
    /// Fails with [`Error::File`], naming the offset, unless it is a header of unsigned bytes with `rank` sizes, none zero.
    pub fn open(reader: R, file: &Path, rank: u8) -> Result<Self> {
        let mut body = Plain::new(reader).map_err(Error::io("read", file))?;
        let wanted = 4 + 4 * usize::from(rank);
        let mut header = Vec::new();
        read_to_end(&mut (&mut body).take(wanted as u64), &mut header, 0, file)?;
        if header.is_empty() {
            return Err(Error::file(
                file,
                format!("offset 0: empty; expected an IDX header of {wanted} bytes"),
            ));
        }
        check_magic(&header, rank, file)?;
        if header.len() < wanted {
            let what =
                format!("offset {}: ends inside the IDX header, expected {wanted} bytes", header.len());
            return Err(Error::file(file, what));
        }

        let sizes: Vec<u32> = header[4..]
            .chunks_exact(4)
            .map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]))
            .collect();
        if let Some(axis) = sizes.iter().position(|size| *size == 0) {
            let what = format!("offset {}: size {} is 0, expected at least 1", 4 + 4 * axis, axis + 1);
            return Err(Error::file(file, what));
        }
        let len = sizes
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(usize::try_from(*size).ok()?))
            .filter(|len| len.checked_add(wanted + 1).is_some())
            .ok_or_else(|| {
                let sizes = product(&sizes);
                Error::file(
                    file,
                    format!("offset 4: the header promises {sizes} bytes, more than memory has"),
                )
            })?;
        let dims = sizes.iter().map(|size| *size as usize).collect();
        Ok(Idx { file: file.to_owned(), header, dims, len, body })
    }

    /// Sizes, slowest first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Reads the rest; fails with [`Error::File`] where there are fewer or more bytes than the header promises.
    pub fn read(mut self) -> Result<Contents> {
        let start = self.header.len();
        let end = start + self.len;
        let mut bytes = Vec::new();
        // One more than promised tells a file that is too long; reading up to the end also checks gzip's own sum.
        read_to_end(&mut (&mut self.body).take(self.len as u64 + 1), &mut bytes, start, &self.file)?;
        if bytes.len() != self.len {
            let promise = format!("the header promises {} bytes after {start}", product(&self.dims));
            let what = match start + bytes.len() {
                stop if stop < end => {
                    format!("offset {stop}: ends too early; {promise}, expected an end at {end}")
                }
                _ => format!("offset {end}: goes on too long; {promise}, expected an end here"),
            };
            return Err(Error::file(&self.file, what));
        }
        let sha256 = sha256(&[&self.header, &bytes]);
        Ok(Contents { dims: self.dims, bytes, sha256 })
    }
}

/// Writes `bytes` with the sizes `dims` as a raw IDX file of unsigned bytes.
///
/// Fails as invalid input where the sizes do not multiply to the number of bytes or do not fit the format.
pub fn write(mut to: impl Write, dims: &[usize], bytes: &[u8]) -> io::Result<()> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let rank = u8::try_from(dims.len()).map_err(|_| invalid("IDX has at most 255 sizes"))?;
    if dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim)) != Some(bytes.len()) {
        return Err(invalid("the sizes do not multiply to the number of bytes"));
    }
    to.write_all(&[0, 0, UNSIGNED_BYTES, rank])?;
    for dim in dims {
        let dim = u32::try_from(*dim).map_err(|_| invalid("IDX sizes are below 2^32"))?;
        to.write_all(&dim.to_be_bytes())?;
    }
    to.write_all(bytes)
}

const UNSIGNED_BYTES: u8 = 0x08;

fn check_magic(header: &[u8], rank: u8, file: &Path) -> Result<()> {
    let expected = [0, 0, UNSIGNED_BYTES, rank];
    let Some(at) = header.iter().zip(expected).position(|(found, want)| *found != want) else {
        return Ok(());
    };
    let what = match (at, header[at]) {
        (2, kind) => format!("element type 0x{kind:02x}, expected 0x08 (unsigned bytes)"),
        (3, found) => format!("{found} dimensions, expected {rank}"),
        (_, byte) => {
            format!("byte 0x{byte:02x} is not the start of an IDX file, expected 00 00 08 {rank:02x}")
        }
    };
    Err(Error::file(file, format!("offset {at}: {what}")))
}

/// Appends what `reader` has to `bytes`; a broken gzip stream is a defect of the file, at an offset of its contents.
fn read_to_end(reader: &mut impl Read, bytes: &mut Vec<u8>, start: usize, file: &Path) -> Result<()> {
    let Err(error) = reader.read_to_end(bytes) else { return Ok(()) };
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            let at = start + bytes.len();
            let what = format!(
                "offset {at} of its contents: the gzip stream is cut or corrupt ({error}), expected more"
            );
            Err(Error::file(file, what))
        }
        _ => Err(Error::io("read", file)(error)),
    }
}

fn product(sizes: &[impl ToString]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
}

/// The contents of a file, gunzipped if need be.
enum Plain<R: BufRead> {
    Raw(R),
    Gzip(Box<MultiGzDecoder<R>>),
}

impl<R: BufRead> Plain<R> {
    fn new(mut reader: R) -> io::Result<Self> {
        // IDX begins with a zero byte, gzip with 1f: no need to trust the file's name, nor to see more than a byte.
        Ok(match reader.fill_buf()?.first() {
            Some(0x1f) => Plain::Gzip(Box::new(MultiGzDecoder::new(reader))),
            _ => Plain::Raw(reader),
        })
    }
}

impl<R: BufRead> Read for Plain<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Plain::Raw(reader) => reader.read(buf),
            Plain::Gzip(reader) => reader.read(buf),
        }
    }
}
