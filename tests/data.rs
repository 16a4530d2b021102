//! Data sets from folders, the program itself and the cache.

use crate::idx::{file, gzip};
use netdyn::Error;
use netdyn::data::cache::{Access, Cache, Writer};
use netdyn::data::catalog::{self, Kept, Remote};
use netdyn::data::{self, InputScale, Source, Which};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";

/// Writes a training set of 3 images of 2 × 5 pixels.
fn write_training_set(folder: &Path, labels: [u8; 3]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(IMAGES), file(&[3, 2, 5], &(0..30).collect::<Vec<_>>())).unwrap();
    fs::write(folder.join(LABELS), file(&[3], &labels)).unwrap();
}

fn load(folder: &Path, which: Which) -> Result<data::Split, Error> {
    data::load(&Source::Folder(folder.to_owned()), which, &())
}

#[track_caller]
fn assert_refused<T>(result: Result<T, Error>, code: u8, parts: &[&str]) {
    let Err(error) = result else { panic!("accepted, expected {parts:?}") };
    let sentence = error.to_string();
    assert_eq!(error.exit_code(), code, "{sentence}");
    for part in parts {
        assert!(sentence.contains(part), "no '{part}' in: {sentence}");
    }
}

#[test]
fn a_folder_is_read_in_every_layout() {
    for layout in ["", "raw", "MNIST/raw", "FashionMNIST/raw"] {
        let root = TempDir::new().unwrap();
        let folder = root.path().join(layout);
        write_training_set(&folder, [4, 0, 9]);
        let split = load(root.path(), Which::Train).unwrap();
        assert_eq!((split.len(), split.pixels, split.classes), (3, 10, 10), "{layout}");
        assert_eq!(split.labels, [4, 0, 9]);
        assert_eq!(split.images, (0..30).collect::<Vec<u8>>());
        assert_eq!(split.per_class(), [1, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
        assert_eq!(split.first(2).images.len(), 20);

        for name in [IMAGES, LABELS] {
            let raw = fs::read(folder.join(name)).unwrap();
            fs::remove_file(folder.join(name)).unwrap();
            fs::write(folder.join(format!("{name}.gz")), gzip(&raw)).unwrap();
        }
        assert_eq!(load(root.path(), Which::Train).unwrap(), split, "{layout}, gzipped");
    }
}

#[test]
fn only_the_split_in_use_has_to_be_there() {
    let root = TempDir::new().unwrap();
    assert_refused(load(root.path(), Which::Train), 3, &[IMAGES, "--data"]);
    write_training_set(root.path(), [1, 2, 3]);
    assert_eq!(load(root.path(), Which::Train).unwrap().len(), 3);
    assert_refused(
        load(root.path(), Which::Test),
        3,
        &["t10k-images-idx3-ubyte[.gz]", "the other split, train, is here"],
    );

    // A broken test set does not matter to training; labels of a sound one count as classes.
    fs::write(root.path().join("t10k-images-idx3-ubyte"), "junk").unwrap();
    fs::write(root.path().join("t10k-labels-idx1-ubyte"), "junk").unwrap();
    assert_eq!(load(root.path(), Which::Train).unwrap().classes, 10);
    assert_refused(load(root.path(), Which::Test), 3, &["t10k-images-idx3-ubyte: offset 0: byte 0x6a"]);
    fs::write(root.path().join("t10k-labels-idx1-ubyte"), file(&[1], &[46])).unwrap();
    assert_eq!(load(root.path(), Which::Train).unwrap().classes, 47);
}

#[test]
fn labels_up_to_255_are_classes() {
    let root = TempDir::new().unwrap();
    write_training_set(root.path(), [0, 255, 3]);
    assert_eq!(load(root.path(), Which::Train).unwrap().classes, 256);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let root = TempDir::new().unwrap();
    write_training_set(root.path(), [1, 2, 3]);
    fs::write(root.path().join(LABELS), file(&[2], &[1, 2])).unwrap();
    assert_refused(load(root.path(), Which::Train), 3, &[LABELS, "offset 4: 2 labels, expected 3", IMAGES]);
    fs::remove_file(root.path().join(LABELS)).unwrap();
    assert_refused(
        load(root.path(), Which::Train),
        3,
        &[IMAGES, "train-labels-idx1-ubyte[.gz], are missing"],
    );

    let two = TempDir::new().unwrap();
    write_training_set(&two.path().join("KMNIST/raw"), [1, 2, 3]);
    write_training_set(&two.path().join("MNIST/raw"), [1, 2, 3]);
    assert_refused(load(two.path(), Which::Train), 3, &["several data sets", "KMNIST or "]);
}

#[test]
fn the_sample_is_mnist() {
    let sample = Source::parse("sample").unwrap();
    let train = data::load(&sample, Which::Train, &()).unwrap();
    let test = data::load(&sample, Which::Test, &()).unwrap();
    assert_eq!((train.len(), train.pixels, train.classes), (2000, 784, 10));
    assert_eq!((test.len(), test.pixels, test.classes), (1000, 784, 10));
    assert_eq!(train.labels[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assert_eq!(test.labels[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    assert_eq!(train.sha256[0], "729d340c0177402770b27c04f817dfb40ed8844459b35a9f11ae21067b05cf19");

    let info = data::info(&sample).unwrap();
    assert_eq!(info.splits[1].per_class.iter().sum::<usize>(), 1000);
    assert_eq!(info.splits[1].sha256, test.sha256);
}

#[test]
fn data_is_a_name_or_a_folder() {
    let root = TempDir::new().unwrap();
    assert_eq!(Source::parse("mnist").unwrap(), Source::Named("mnist".to_owned()));
    let folder = root.path().to_str().unwrap();
    assert_eq!(Source::parse(folder).unwrap(), Source::Folder(root.path().to_owned()));
    assert_refused(Source::parse("mnits"), 3, &["did you mean 'mnist'?", "fashion-mnist", "sample"]);
    assert_refused(Source::parse("Fashion_MNIST"), 3, &["did you mean 'fashion-mnist'?"]);
    assert_refused(Source::parse("Cargo.toml"), 3, &["is not a folder"]);
    assert_refused(data::fetch("mnits", &()), 2, &["did you mean 'mnist'?"]);
    assert_refused(data::verify("sample"), 2, &["part of the program"]);
    assert_refused(data::info(&Source::Folder(root.path().to_owned())), 3, &["no IDX files"]);
}

#[test]
fn the_catalogue_is_well_formed() {
    for known in [catalog::MNIST, catalog::FASHION_MNIST] {
        assert_eq!(catalog::find(known.name).unwrap().name, known.name);
        assert!(known.mirrors.iter().all(|mirror| mirror.ends_with('/')));
        for file in known.files {
            assert!(file.sha256.len() == 64 && file.sha256.chars().all(|digit| digit.is_ascii_hexdigit()));
        }
    }
}

#[test]
fn offline_is_a_value_that_is_neither_empty_nor_0() {
    for (value, access) in
        [("1", Access::Offline), ("yes", Access::Offline), ("", Access::Online), ("0", Access::Online)]
    {
        assert_eq!(Access::of(Some(OsStr::new(value))), access, "{value}");
    }
    assert_eq!(Access::of(None), Access::Online);
    let root = TempDir::new().unwrap();
    let cache = Cache { access: Access::Offline, ..Cache::at(root.path()) };
    let refused = data::fetch::fetch(&catalog::MNIST, &cache, &());
    assert_refused(refused, 3, &["NETDYN_OFFLINE", "--data DIR", "--data sample"]);
    assert!(!root.path().join("mnist").exists());
}

#[test]
fn a_corrupt_cache_is_refused() {
    let root = TempDir::new().unwrap();
    let cache = Cache::at(root.path());
    assert!(!cache.has(&catalog::MNIST, Which::Test));
    for file in catalog::MNIST.files {
        fs::create_dir_all(root.path().join("mnist")).unwrap();
        fs::write(cache.path(&catalog::MNIST, &file), "junk").unwrap();
    }
    assert!(cache.has(&catalog::MNIST, Which::Test));
    let refused = cache.load(&catalog::MNIST, Which::Test);
    assert_refused(refused, 3, &["t10k-images-idx3-ubyte", "SHA-256", "netdyn data fetch mnist"]);
}

#[test]
fn a_writer_leaves_whole_files_and_sweeps_what_was_left() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("set");
    fs::create_dir_all(folder.join(".npm.1.tmp/deep")).unwrap();
    fs::write(folder.join(".old.2.tmp"), "half").unwrap();
    fs::write(folder.join("a.gz.part"), "done with").unwrap();
    fs::write(folder.join("b.gz.part"), "to be resumed").unwrap();
    let file = Remote { name: "a", kept: Kept::Raw, bytes: 5, sha256: "" };
    let writer = Writer::wait(&folder, || panic!("nobody else writes")).unwrap();
    writer.store(&file, b"first").unwrap();
    writer.store(&file, b"second").unwrap();
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".lock", "a", "b.gz.part"]);
    assert_eq!(fs::read(folder.join("a")).unwrap(), b"second");

    // A second writer waits for the first.
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let second = Writer::wait(&folder, || sender.send("waits").unwrap()).unwrap();
            second.store(&file, b"third").unwrap();
        });
        assert_eq!(receiver.recv().unwrap(), "waits");
        assert_eq!(fs::read(folder.join("a")).unwrap(), b"second");
        drop(writer);
    });
    assert_eq!(fs::read(folder.join("a")).unwrap(), b"third");

    let no_folder = root.path().join("file");
    fs::write(&no_folder, "").unwrap();
    assert_refused(Writer::wait(&no_folder, || ()).map(|_| ()), 1, &["cannot create"]);
}

#[test]
fn input_scales_are_read_as_they_are_written() {
    for scale in [InputScale::Unit, InputScale::STANDARDIZED, InputScale::Affine { mean: 0.5, std: 0.25 }] {
        assert_eq!(scale.to_string().parse(), Ok(scale));
    }
    for wrong in ["", "0.5", "0.5,0", "0.5,-1", "NaN,1", "0,inf", "Unit"] {
        assert!(wrong.parse::<InputScale>().is_err(), "{wrong}");
    }
    let (scale, shift) = InputScale::STANDARDIZED.of_byte();
    crate::common::assert_close("255", &[scale * 255.0 + shift], &[(1.0 - 0.1307) / 0.3081], 1e-14, 0.0);
}
