//! What the documents claim about the source, checked on the source.

use std::fs;
use std::path::Path;

/// Each layer, and the layers it may name after `crate::`. Order is bottom to top.
const LAYERS: [(&str, &[&str]); 10] = [
    ("error", &[]),
    ("rng", &["error"]),
    ("store", &["error"]),
    ("data", &["error", "rng"]),
    ("backend", &["error", "rng"]),
    ("model", &["error", "rng", "store", "data", "backend"]),
    ("analysis", &["error", "rng", "data", "backend", "model"]),
    ("train", &["error", "rng", "store", "data", "backend", "model"]),
    ("experiment", &["error", "rng", "store", "data", "backend", "model", "analysis", "train"]),
    ("report", &["error", "store"]),
];

#[test]
fn layers_import_only_downwards() {
    let mut imports = 0;
    for (layer, allowed) in LAYERS {
        let (folder, file) = (format!("src/{layer}"), format!("src/{layer}.rs"));
        for file in files(Path::new(&folder), "rs").into_iter().chain(files(Path::new(&file), "rs")) {
            let text = fs::read_to_string(&file).unwrap();
            for (at, found) in text.match_indices("crate::") {
                // A braced import is checked to its end, a plain path to the end of its head.
                let path = &text[at + found.len()..];
                let braced = path.starts_with('{');
                let end = path.find(|c: char| if braced { c == ';' } else { !c.is_alphanumeric() });
                for name in path[..end.unwrap()].split(|c: char| !c.is_alphanumeric()) {
                    let known = LAYERS.iter().any(|(other, _)| *other == name);
                    let ok = !known || name == layer || allowed.contains(&name);
                    let line = text[..at].lines().count();
                    assert!(ok, "{file}:{line}: {layer} may not use crate::{name}");
                    imports += 1;
                }
            }
            let climbs = text.contains("super::super::super::");
            assert!(!climbs, "{file}: climbs out of its layer by super::");
        }
    }
    assert!(imports > 100, "the search found only {imports} imports: it looks in the wrong place");
}

/// Functions of the backend that are no operations: what it is, its memory, its queue.
const NO_OPERATIONS: [&str; 14] = [
    "name",
    "driver",
    "precision",
    "threads",
    "offers",
    "chunk_rows",
    "room",
    "upload",
    "zeros",
    "fields",
    "len",
    "write",
    "download",
    "sequence",
];

/// The operations of the backend, by the file that has them.
fn operations() -> Vec<String> {
    let text = fs::read_to_string("src/backend/mod.rs").unwrap();
    let body = &text[text.find("pub trait Backend").unwrap()..];
    let body = &body[..body.find("\n}\n").unwrap()];
    let names = body.match_indices("    fn ").map(|(at, found)| {
        let rest = &body[at + found.len()..];
        &rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap()]
    });
    // class_cosines is the second half of class_sums.
    let names = names.filter(|name| !NO_OPERATIONS.contains(name) && *name != "class_cosines");
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() >= 13, "{names:?}");
    names
}

#[test]
fn every_operation_has_its_files() {
    for operation in operations() {
        let mut wanted = vec![
            format!("src/backend/cpu/{operation}.rs"),
            format!("src/backend/cuda/{operation}.rs"),
            format!("tests/{operation}.rs"),
        ];
        // Both products of a layer are made of shared kernels: matmul_*.cu, planes.cu, combine.cu.
        if !["forward", "linear", "linear_backward"].contains(&operation.as_str()) {
            wanted.push(format!("kernels/{operation}.cu"));
        }
        for path in wanted {
            assert!(Path::new(&path).exists(), "{operation} has no {path}");
        }
    }
}

#[test]
fn every_kernel_states_its_contract() {
    let kernels = files(Path::new("kernels"), "cu");
    assert!(kernels.len() >= 13, "{kernels:?}");
    for file in kernels {
        let text = fs::read_to_string(&file).unwrap();
        let stem = Path::new(&file).file_name().unwrap().to_str().unwrap();
        let header = &text[..text.find("#include").unwrap()];
        assert!(header.contains(&format!("// {stem} -- ")), "{file}: header does not say what it is for");
        for field in ["Shapes", "Launch", "Domain", "Repeats", "Cost", "Rust", "Test"] {
            assert!(header.contains(&format!("\n// {field} ")), "{file}: header lacks {field}");
        }
    }
}

/// `wait_for_last_kernel` of `kernels/common.cuh`.
#[test]
fn every_kernel_waits_before_anything_else() {
    const WAIT: &str = "wait_for_last_kernel();";
    for file in files(Path::new("kernels"), "cu") {
        let text = fs::read_to_string(&file).unwrap();
        let entries = text.split("extern \"C\" __global__").skip(1);
        // Those that are made by a macro have one body for all.
        let plain: Vec<_> =
            entries.filter(|entry| !entry[..entry.find('{').unwrap()].contains(" name(")).collect();
        for entry in &plain {
            let body = entry[entry.find('{').unwrap() + 1..].trim_start();
            assert!(body.starts_with(WAIT), "{file}: {body:.60}");
        }
        assert_eq!(text.matches(WAIT).count(), plain.len().max(1), "{file}");
    }
}

#[test]
fn what_kernels_name_is_there() {
    let sources = ["cu", "cuh"].into_iter().flat_map(|extension| files(Path::new("kernels"), extension));
    for file in sources {
        let text = fs::read_to_string(&file).unwrap();
        let comments = text.lines().filter_map(|line| line.trim().strip_prefix("//"));
        for word in comments.flat_map(|line| line.split(|c: char| c.is_whitespace() || ",;:()".contains(c))) {
            let word = word.trim_end_matches('.');
            let path = word.contains('/')
                && [".rs", ".cu", ".cuh", ".hpp", ".cpp"].iter().any(|e| word.ends_with(e));
            assert!(!path || word.contains('*') || Path::new(word).exists(), "{file}: {word} is not there");
        }
    }
}

#[test]
fn files_are_short_and_nothing_is_left_undone() {
    let sources = ["src", "tests", "benches"].into_iter().flat_map(|root| files(Path::new(root), "rs"));
    for file in sources {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        assert!(lines <= 500, "{file} has {lines} lines; split it");
        for unfinished in ["todo!", "unimplemented!", "FIXME", "TODO"] {
            let found = text.contains(unfinished) && !file.ends_with("tidy.rs");
            assert!(!found, "{file} says {unfinished}");
        }
    }
    for file in ["cu", "cuh"].into_iter().flat_map(|extension| files(Path::new("kernels"), extension)) {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        assert!(lines <= 400, "{file} has {lines} lines; split it");
        for unfinished in ["FIXME", "TODO"] {
            assert!(!text.contains(unfinished), "{file} says {unfinished}");
        }
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let pages = files(Path::new("docs"), "md").into_iter().chain([
        "README.md".into(),
        "CONTRIBUTING.md".into(),
        "kernels/README.md".into(),
    ]);
    for page in pages {
        // Odd pieces lie between fences: code, where brackets mean something else.
        let text: String = fs::read_to_string(&page).unwrap().split("```").step_by(2).collect();
        let folder = Path::new(&page).parent().unwrap();
        for (at, _) in text.match_indices("](") {
            let target = &text[at + 2..at + 2 + text[at + 2..].find(')').unwrap()];
            let local = !target.contains("://") && !target.starts_with('#');
            let path = folder.join(target.split('#').next().unwrap());
            assert!(!local || path.exists(), "{page}: {target} is not there");
        }
    }
}

/// Every file with this extension at or below `root`.
fn files(root: &Path, extension: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root) else {
        let wanted = root.extension().is_some_and(|found| found == extension) && root.exists();
        return if wanted { vec![root.to_str().unwrap().to_owned()] } else { vec![] };
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| files(path, extension)).collect()
}
