//! The layering of the crate: which folder of `src` may import which, and that no files import each
//! other in a circle.
//!
//! `docs/design.md` gives the reasons. A new folder gets a line in [`FOLDERS`].

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot read its own crate has failed")]

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The largest number of lines in a file of `src`.
const MAX_LINES: usize = 350;

/// The folders of `src`, lowest first. A file imports from its own folder and from folders above it
/// in this list.
const FOLDERS: &[&str] = &[
    "sync",
    "frame",
    "net",
    "service",
    "engine",
    "connection",
    "reactor",
    "threaded",
    "services",
    "client",
    "load",
    "cli",
    "fuzz",
];

/// Folders that never import each other, although the order of [`FOLDERS`] would allow one
/// direction.
const UNRELATED: &[(&str, &str)] = &[("reactor", "threaded")];

/// The only folders of this crate that `services` imports, besides itself.
const SERVICES_IMPORT: &[&str] = &["frame", "service"];

/// The files that name `mio`: the reactor's driver and the poll loop of the load generator.
const MIO_FILES: &[&str] = &[
    "load/net.rs",
    "reactor/driver/bound_sources.rs",
    "reactor/driver/console_stream.rs",
    "reactor/driver/mio_driver.rs",
    "reactor/driver/mio_stream.rs",
];

/// A source file: its path below `src`, its module path, and its code without comments and without
/// its test module.
struct SourceFile {
    path: String,
    module: Vec<String>,
    code: String,
    text: String,
}

impl SourceFile {
    /// The folder of `src` that the file belongs to; `lib` and `main` for the crate's two roots.
    fn folder(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        self.module.iter().any(|part| part == "tests")
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn source_files() -> Vec<SourceFile> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    rust_files(&src, &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        module.pop_if(|last| ["mod", "lib"].contains(&last.as_str()));
        SourceFile { code: code(&text), path, module, text }
    };
    paths.iter().map(read).collect()
}

/// The code of `text`, without comments and without the test module at its end.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    let code = lines.map(|line| line.split(" // ").next().unwrap()).collect::<Vec<_>>().join("\n");
    code.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()
}

/// Every path that `code` imports with `use` or names inline with `crate::` or `super::`, split at
/// its colons.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let starts = |word: &'static str| {
        code.match_indices(word).filter(move |(at, _)| !code[..*at].ends_with(|c| is_name(c) || c == ':'))
    };
    // The word also stands inside texts, such as "use {names}".
    let in_text = |at: usize| code[..at].rsplit('\n').next().unwrap().matches('"').count() % 2 == 1;
    for (at, word) in starts("use ").filter(|(at, _)| !in_text(*at)) {
        let tree = code[at + word.len()..].split(';').next().unwrap();
        // An indented `use super::` stands in a module within the file, whose parent is the file.
        let is_inner = code[..at].ends_with("    ");
        expand(&[], tree.strip_prefix("super::").filter(|_| is_inner).unwrap_or(tree), &mut found);
    }
    // `pub(in crate::cli)` limits visibility and imports nothing; the loop above has handled `use`.
    let is_inline = |at: usize| !code[..at].ends_with("(in ") && !code[..at].ends_with("use ");
    for (at, _) in starts("crate::").chain(starts("super::")).filter(|(at, _)| is_inline(*at)) {
        let path = code[at..].split(|c: char| !is_name(c) && c != ':').next().unwrap();
        // A path that ends with colons begins an import tree, which the loop above has expanded.
        if !path.ends_with("::") {
            expand(&[], path, &mut found);
        }
    }
    found
}

/// Appends each path of the import tree `tree`, such as `a::{b, c::d}`, behind the parts of
/// `prefix`.
fn expand(prefix: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let parts = |path: &str| {
        let path = path.split(" as ").next().unwrap();
        let parts = path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty());
        prefix.iter().cloned().chain(parts).collect::<Vec<_>>()
    };
    let Some((path, list)) = tree.split_once('{') else {
        found.push(parts(tree));
        return;
    };
    let (path, list) = (parts(path), list.rsplit_once('}').unwrap().0);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !list[start..at].trim().is_empty() {
                    expand(&path, &list[start..at], found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The module that `path`, written in `module`, leads to: the longest prefix of it that is a file.
/// `None` for another crate.
fn resolve(module: &[String], path: &[String], files: &BTreeMap<&[String], usize>) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let mut target = match first.as_str() {
        "crate" => rest.to_vec(),
        "self" => [module, rest].concat(),
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            [&module[..module.len().checked_sub(up)?], &path[up..]].concat()
        }
        _ if files.contains_key(&*[module, std::slice::from_ref(first)].concat()) => [module, path].concat(),
        _ => return None,
    };
    while !target.is_empty() {
        if let Some(file) = files.get(target.as_slice()) {
            return Some(*file);
        }
        target.pop();
    }
    None
}

/// For each file the files that it imports. Test modules neither import nor are imported here.
fn imports(sources: &[SourceFile]) -> Vec<BTreeSet<usize>> {
    let files: BTreeMap<&[String], usize> = sources.iter().enumerate().map(|(at, it)| (&*it.module, at)).collect();
    let of = |(at, file): (usize, &SourceFile)| {
        if file.is_test() {
            return BTreeSet::new();
        }
        let targets = paths(&file.code).into_iter().filter_map(|path| resolve(&file.module, &path, &files));
        targets.filter(|target| *target != at && !sources[*target].is_test()).collect()
    };
    sources.iter().enumerate().map(of).collect()
}

fn position(folder: &str) -> Option<usize> {
    FOLDERS.iter().position(|known| *known == folder)
}

#[test]
fn every_file_stands_in_a_listed_folder() {
    for file in source_files() {
        let folder = file.folder();
        assert!(
            matches!(folder, "lib" | "main") || position(folder).is_some(),
            "{}: add the folder to FOLDERS, or move the file into one",
            file.path
        );
    }
}

#[test]
fn imports_go_down_the_list_of_folders() {
    let sources = source_files();
    for (file, imports) in sources.iter().zip(imports(&sources)) {
        let Some(own) = position(file.folder()) else { continue };
        for target in imports {
            let target = &sources[target];
            let allowed = position(target.folder()).is_some_and(|theirs| theirs <= own);
            assert!(allowed, "{} imports {}, which stands below it in FOLDERS", file.path, target.path);
        }
    }
}

#[test]
fn the_two_engines_do_not_import_each_other() {
    let sources = source_files();
    for (file, imports) in sources.iter().zip(imports(&sources)) {
        for target in imports {
            for (one, other) in UNRELATED {
                let pair = (file.folder(), sources[target].folder());
                assert!(pair != (*one, *other) && pair != (*other, *one), "{} imports {}", file.path, pair.1);
            }
        }
    }
}

#[test]
fn services_import_frame_and_service_only() {
    let sources = source_files();
    for (file, imports) in sources.iter().zip(imports(&sources)).filter(|(file, _)| file.folder() == "services") {
        for target in imports {
            let folder = sources[target].folder();
            assert!(folder == "services" || SERVICES_IMPORT.contains(&folder), "{} imports {folder}", file.path);
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = source_files();
    let imports = imports(&sources);
    // A file is in a circle if it reaches itself.
    for (start, file) in sources.iter().enumerate() {
        let mut came_from = BTreeMap::new();
        let mut queue = vec![start];
        while let Some(at) = queue.pop() {
            for next in &imports[at] {
                if let Entry::Vacant(entry) = came_from.entry(*next) {
                    entry.insert(at);
                    queue.push(*next);
                }
            }
        }
        let mut circle = Vec::new();
        let mut at = start;
        while let Some(previous) = came_from.get(&at) {
            circle.push(sources[at].path.as_str());
            at = *previous;
            if at == start {
                break;
            }
        }
        assert!(circle.is_empty(), "{} is imported in a circle: {}", file.path, circle.join(" <- "));
    }
}

#[test]
fn only_listed_files_name_mio() {
    for file in source_files() {
        let names_mio = file.code.contains("mio::");
        assert_eq!(names_mio, MIO_FILES.contains(&file.path.as_str()), "{}: compare MIO_FILES", file.path);
    }
}

#[test]
fn no_file_is_longer_than_350_lines() {
    for file in source_files() {
        let lines = file.text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines: split it where its concepts part", file.path);
    }
}

#[test]
fn unsafe_is_forbidden_and_docs_are_required() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let (_, lints) = manifest.split_once("[lints.rust]").unwrap();
    assert!(lints.contains("unsafe_code = \"forbid\""));
    assert!(lints.contains("missing_docs = \"deny\""));
    for file in source_files() {
        assert!(!file.text.contains("allow(missing_docs"), "{} leaves something undocumented", file.path);
    }
}

#[test]
fn every_form_of_an_import_is_read() {
    let text = "use crate::a::{B, c::D}; use e::{F, g::{H, I}}; use j as k; fn l(m: crate::n::O, p: super::q::R) {}";
    let found: Vec<String> = paths(text).iter().map(|path| path.join("::")).collect();
    for path in ["crate::a::B", "crate::a::c::D", "e::F", "e::g::H", "e::g::I", "j", "crate::n::O", "super::q::R"] {
        assert!(found.iter().any(|it| it == path), "{path} is not in {found:?}");
    }
    assert_eq!(code("//! [x](crate::y)\nuse crate::z; // crate::w"), "\nuse crate::z;");
}
