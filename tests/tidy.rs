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

#[test]
fn every_cpu_operation_has_a_test() {
    let text = fs::read_to_string("src/backend/mod.rs").unwrap();
    let body = &text[text.find("pub trait Backend").unwrap()..text.find("pub(crate) fn shape").unwrap()];
    let names = body.match_indices("    fn ").map(|(at, found)| {
        let rest = &body[at + found.len()..];
        &rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap()]
    });
    let buffers = [
        "name",
        "threads",
        "offers",
        "chunk_rows",
        "driver",
        "precision",
        "room",
        "sequence",
        "len",
        "upload",
        "zeros",
        "write",
        "download",
        "class_cosines",
    ];
    let operations: Vec<&str> = names.filter(|name| !buffers.contains(name)).collect();
    assert!(operations.len() >= 13, "{operations:?}");
    for operation in operations {
        for path in [format!("src/backend/cpu/{operation}.rs"), format!("tests/{operation}.rs")] {
            assert!(Path::new(&path).exists(), "{operation} has no {path}");
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
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let pages =
        files(Path::new("docs"), "md").into_iter().chain(["README.md".into(), "CONTRIBUTING.md".into()]);
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
