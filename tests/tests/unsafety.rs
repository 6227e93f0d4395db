//! Where `unsafe` is, and that the architecture page says so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The files below `folder` that hold Rust.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn r16_unsafe_is_only_where_the_architecture_page_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the project's folder");
    let page = fs::read_to_string(root.join("docs/ARCHITECTURE.md")).expect("the page");
    let (_, section) = page.split_once("\n## `unsafe`\n").expect("a section on unsafe");
    let section = section.split("\n## ").next().unwrap_or_default();
    let listed: BTreeSet<PathBuf> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(|file| root.join("crates").join(file))
        .collect();

    let mut files = Vec::new();
    for folder in ["crates", "examples", "tests"] {
        rust_files(&root.join(folder), &mut files);
    }
    let keyword = ["un", "safe "].concat(); // so that this file is not one of them
    let used: BTreeSet<PathBuf> = files
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).expect("a source file");
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            code.into_iter().any(|line| line.contains(&keyword))
        })
        .collect();
    assert_eq!(used, listed);
}
