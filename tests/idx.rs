//! The IDX reader against files made by hand: sound, damaged, lying.

use flate2::{Compression, write::GzEncoder};
use netdyn::Error;
use netdyn::data::idx::{self, Contents, Idx};
use proptest::prelude::*;
use std::cell::Cell;
use std::io::{BufReader, Read, Write};
use std::path::Path;

/// An IDX file of bytes, straight from the format's description.
pub fn file(dims: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| file.extend(dim.to_be_bytes()));
    file.extend(bytes);
    file
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(bytes: &[u8], rank: u8) -> Result<Contents, Error> {
    Idx::open(bytes, Path::new("some-file"), rank)?.read()
}

/// The sentence of an [`Error::File`].
#[track_caller]
fn sentence<T>(result: Result<T, Error>) -> String {
    match result {
        Err(error @ Error::File { .. }) => error.to_string(),
        Err(error) => panic!("not a defect of the file: {error}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn damage_is_named_with_its_offset() {
    let images = file(&[3, 2, 2], &[7; 12]);
    let cases: [(&str, Vec<u8>, &str); 13] = [
        ("empty", vec![], "offset 0: empty; expected an IDX header of 16 bytes"),
        ("short magic", vec![0, 0, 8], "offset 3: ends inside the IDX header, expected 16 bytes"),
        ("short header", images[..15].to_vec(), "offset 15: ends inside the IDX header, expected 16 bytes"),
        ("not IDX", b"PK\x03\x04 and so on and so on".to_vec(), "offset 0: byte 0x50 is not the start"),
        ("second byte", [&[0, 1], &images[2..]].concat(), "offset 1: byte 0x01 is not the start"),
        ("floats", [&[0, 0, 0x0d], &images[3..]].concat(), "offset 2: element type 0x0d, expected 0x08"),
        ("labels", file(&[12], &[7; 12]), "offset 3: 1 dimensions, expected 3"),
        ("no images", file(&[0, 2, 2], &[]), "offset 4: size 1 is 0"),
        ("no pixels", file(&[3, 2, 0], &[]), "offset 12: size 3 is 0"),
        (
            "no body",
            images[..16].to_vec(),
            "offset 16: ends too early; the header promises 3 × 2 × 2 bytes after 16",
        ),
        ("cut body", images[..27].to_vec(), "offset 27: ends too early"),
        ("long body", [&images[..], &[1]].concat(), "offset 28: goes on too long"),
        (
            "huge",
            file(&[u32::MAX; 3], &[1; 50]),
            "offset 4: the header promises 4294967295 × 4294967295 × 4294967295",
        ),
    ];
    for (name, bytes, expected) in cases {
        let got = sentence(read(&bytes, 3));
        assert!(got.starts_with("some-file: ") && got.contains(expected), "{name}: {got}");
        if !bytes.is_empty() {
            let got = sentence(read(&gzip(&bytes), 3));
            assert!(got.contains(expected), "{name}, gzipped: {got}");
        }
    }
}

#[test]
fn damaged_gzip_is_named_with_the_offset_of_its_contents() {
    let noise: Vec<u8> = (0..12_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let images = file(&[3, 40, 100], &noise);
    let packed = gzip(&images);

    let cut = sentence(read(&packed[..packed.len() / 2], 3));
    assert!(cut.contains("of its contents: the gzip stream is cut or corrupt"), "{cut}");

    let mut wrong_sum = packed.clone();
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    let sum = sentence(read(&wrong_sum, 3));
    assert!(sum.contains("offset 12016 of its contents"), "{sum}");

    let tail = sentence(read(&[&packed[..], b"tail"].concat(), 3));
    assert!(tail.contains("gzip stream is cut or corrupt"), "{tail}");
}

#[test]
fn a_promise_allocates_nothing() {
    // 2^62 bytes: reserving them would abort the test.
    let lie = file(&[1 << 31, 1 << 31], &[1; 100]);
    assert!(sentence(read(&lie, 2)).contains("offset 112: ends too early"));
    assert!(sentence(read(&gzip(&lie), 2)).contains("offset 112: ends too early"));
}

#[test]
fn a_gzip_bomb_is_left_after_its_promise() {
    let bomb = gzip(&file(&[10, 2, 2], &vec![0; 64 << 20]));
    let taken = Cell::new(0);
    let reader = BufReader::with_capacity(256, Counting { inner: &bomb[..], taken: &taken });
    let got = sentence(Idx::open(reader, Path::new("bomb"), 3).and_then(Idx::read));
    assert!(got.contains("offset 56: goes on too long"), "{got}");
    assert!(taken.get() < 8 * 1024, "read {} of {} bytes", taken.get(), bomb.len());
}

struct Counting<'a> {
    inner: &'a [u8],
    taken: &'a Cell<usize>,
}

impl Read for Counting<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = self.inner.read(buf)?;
        self.taken.set(self.taken.get() + len);
        Ok(len)
    }
}

#[test]
fn the_checksum_is_that_of_the_raw_file() {
    // printf '\0\0\10\1\0\0\0\3abc' | sha256sum
    let expected = "379a7afbfd9f0de0a36184463dd209c260f4582821ea2e5e4c40c7eb713dbda2";
    let raw = file(&[3], b"abc");
    assert_eq!(read(&raw, 1).unwrap().sha256, expected);
    assert_eq!(read(&gzip(&raw), 1).unwrap().sha256, expected);
}

#[test]
fn writing_refuses_sizes_that_do_not_fit() {
    assert!(idx::write(Vec::new(), &[2, 3], &[0; 5]).is_err());
    assert!(idx::write(Vec::new(), &[usize::MAX, 2], &[0; 5]).is_err());
    assert!(idx::write(Vec::new(), &[1; 256], &[0]).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read(dims in prop::collection::vec(1_usize..6, 1..5), seed: u8) {
        let bytes: Vec<u8> = (0..dims.iter().product()).map(|i: usize| seed.wrapping_add(i as u8)).collect();
        let mut raw = Vec::new();
        idx::write(&mut raw, &dims, &bytes).unwrap();
        let by_hand: Vec<u32> = dims.iter().map(|dim| *dim as u32).collect();
        prop_assert_eq!(&raw, &file(&by_hand, &bytes));
        for packed in [raw.clone(), gzip(&raw)] {
            let got = read(&packed, dims.len() as u8).unwrap();
            prop_assert_eq!((&got.dims, &got.bytes), (&dims, &bytes));
        }
    }

    #[test]
    fn any_cut_is_refused(cut in 0_usize..28) {
        let images = file(&[3, 2, 2], &[7; 12]);
        sentence(read(&images[..cut], 3));
        let packed = gzip(&images);
        sentence(read(&packed[..cut.min(packed.len() - 1)], 3));
    }

    #[test]
    fn any_flip_is_refused_or_harmless(at in 0_usize..28, bit in 0_u32..8) {
        let mut images = file(&[3, 2, 2], &[7; 12]);
        images[at] ^= 1 << bit;
        // A flip in the body is another image; one in the header contradicts the length.
        prop_assert_eq!(read(&images, 3).is_ok(), at >= 16);
    }

    #[test]
    fn any_flip_in_gzip_is_survived(at in 0_usize..200, bit in 0_u32..8) {
        let images = file(&[3, 4, 12], &(0..144).map(|i| (i * i) as u8).collect::<Vec<_>>());
        let mut packed = gzip(&images);
        let at = at % packed.len();
        packed[at] ^= 1 << bit;
        if let Ok(contents) = read(&packed, 3) {
            prop_assert_eq!(&contents.bytes, &images[16..]);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), sound in any::<bool>(), rank in 1_u8..4) {
        let bytes = if sound { [&[0, 0, 8, rank], &bytes[..]].concat() } else { bytes };
        if let Ok(contents) = read(&bytes, rank) {
            prop_assert_eq!(contents.dims.iter().product::<usize>(), contents.bytes.len());
        }
    }
}
