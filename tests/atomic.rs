//! Atomic writes: the old file or the new one, and nothing beside it.

use netdyn::Error;
use netdyn::store::write_atomic;
use std::fs;
use std::io;
use std::path::Path;

#[test]
fn replaces_the_file_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    for text in ["first", "second, longer", "3"] {
        write_atomic(&path, |out| out.write_all(text.as_bytes())).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    assert_eq!(names(folder.path()), ["a.csv"]);
}

#[test]
fn a_failure_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "old").unwrap();
    let why = write_atomic(&path, |out| {
        out.write_all(&[0; 100_000])?;
        Err(io::ErrorKind::StorageFull.into())
    })
    .unwrap_err();
    assert!(matches!(why, Error::Io { .. }), "{why}");
    assert_eq!(why.exit_code(), 1);
    assert!(why.to_string().contains("a.csv") && why.to_string().contains("free some space"), "{why}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(folder.path()), ["a.csv"]);
}

#[test]
fn a_folder_that_is_missing_or_in_the_way_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing/a.csv"), folder.path().to_owned(), Path::new("/").to_owned()] {
        let why = write_atomic(&path, |out| out.write_all(b"text")).unwrap_err();
        assert_eq!(why.exit_code(), 1, "{why}");
    }
    assert!(names(folder.path()).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn devices_are_written_directly_and_a_full_one_is_an_error() {
    write_atomic(Path::new("/dev/null"), |out| out.write_all(b"text")).unwrap();
    let why = write_atomic(Path::new("/dev/full"), |out| out.write_all(b"text")).unwrap_err();
    assert!(why.to_string().contains("free some space"), "{why}");
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let [real, link] = ["real", "link"].map(|name| folder.path().join(name));
    fs::write(&real, "old").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    write_atomic(&link, |out| out.write_all(b"new")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "new");
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
