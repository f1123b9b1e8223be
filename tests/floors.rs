//! The building has floors, and imports go down. What is above may change without what is below noticing.
//!
//! `docs/design.md` says what each floor is for. A new module gets a line here; if it fits on no floor, it is two modules.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own crate has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file past this many lines is asking to be split.
const MAX_LINES: usize = 350;

/// Every module at the top of the crate, and its floor.
const FLOORS: &[(&str, u32)] = &[
    // What things are called, how much of them there may be, and how they are counted.
    ("endpoint", 0),
    ("error", 0),
    ("limits", 0),
    ("moment", 0),
    ("payload", 0),
    ("shown", 0),
    ("stats", 0),
    ("text", 0),
    // Tools that know neither service nor socket.
    ("datagram", 1),
    ("frame", 1),
    ("outbox", 1),
    ("slots", 1),
    ("sys", 1),
    ("timers", 1),
    ("write_queue", 1),
    // The service's side of the counter.
    ("context", 2),
    ("service", 2),
    // What is built on either side of it. Work carries the name of who asked for it, so the pool of workers is here.
    ("connection", 3),
    ("handle", 3),
    ("jobs", 3),
    ("services", 3),
    ("setup", 3),
    // Engines.
    ("reactor", 4),
    ("threaded", 4),
    // Those who use engines.
    ("load", 5),
    ("client", 5),
    ("cli", 6),
];

/// Modules that never import each other although one floor holds both.
const STRANGERS: &[(&str, &str)] =
    &[("reactor", "threaded"), ("services", "connection"), ("services", "jobs"), ("connection", "jobs")];

/// The files that may name `mio`.
const NAMES_MIO: &[&str] = &[
    "load/net.rs",
    "client/http/net.rs",
    "reactor/os/console.rs",
    "reactor/os/mod.rs",
    "reactor/os/sources.rs",
    "reactor/os/stream.rs",
    "sys/batch_portable.rs",
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
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

/// Every file's path below `src`, with forward slashes, and its text.
fn files() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    rust_files(&src(), &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(src()).unwrap().to_str().unwrap().replace('\\', "/");
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn top(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The file's code without comments: documentation may name what it likes, wherever it is.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.map(|line| line.split(" // ").next().unwrap()).collect::<Vec<_>>().join("\n")
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
}

/// Everything that follows `crate::` in the code, its first name only; a braced list gives one for each of its paths.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            found.push(identifier(rest).to_owned());
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    found.push(identifier(&list[at..]).to_owned());
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn floor(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(known, _)| *known == module).map(|(_, floor)| *floor)
}

#[test]
fn every_module_has_a_floor() {
    for (file, _) in files() {
        let module = top(&file);
        assert!(
            matches!(module, "lib" | "main") || floor(module).is_some(),
            "{file} is on no floor: give it a line here"
        );
    }
}

#[test]
fn imports_go_down() {
    for (file, text) in files() {
        let module = top(&file);
        let Some(own) = floor(module) else { continue };
        for import in imports(&code(&text)) {
            // A name from the crate's root, such as a macro, could lead anywhere.
            let Some(theirs) = floor(&import) else { panic!("{file} imports crate::{import}, which is no module") };
            assert!(theirs <= own, "{file} is on floor {own} and imports {import} from floor {theirs}");
        }
    }
}

#[test]
fn strangers_do_not_import_each_other() {
    for (file, text) in files() {
        for import in imports(&code(&text)) {
            for (one, other) in STRANGERS {
                let met = (top(&file), import.as_str());
                assert!(met != (*one, *other) && met != (*other, *one), "{file} imports {import}");
            }
        }
    }
}

#[test]
fn services_know_floors_zero_to_two_and_one_another() {
    for (file, text) in files().iter().filter(|(file, _)| top(file) == "services") {
        for import in imports(&code(text)) {
            assert!(import == "services" || floor(&import).is_some_and(|floor| floor <= 2), "{file} imports {import}");
        }
    }
}

#[test]
fn one_engines_file_names_mio_and_one_fallback() {
    for (file, text) in files() {
        let names_mio = code(&text).contains("mio::");
        assert!(!names_mio || NAMES_MIO.contains(&file.as_str()), "{file} names mio");
    }
}

#[test]
fn no_file_asks_to_be_split() {
    for (file, text) in files() {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{file} has {lines} lines; {MAX_LINES} are a lot");
    }
}

#[test]
fn unsafe_code_is_forbidden_and_documentation_demanded() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let (_, lints) = manifest.split_once("[lints.rust]").unwrap();
    assert!(lints.contains("unsafe_code = \"forbid\""));
    assert!(lints.contains("missing_docs = \"deny\""));
    for (file, text) in files() {
        assert!(!text.contains("allow(missing_docs"), "{file} leaves something undocumented");
    }
}

#[test]
fn this_test_reads_every_form_of_an_import() {
    let text = "use crate::a::{B, c::D}; use crate::{e::{F, G}, h, i::J}; fn k(l: crate::m::N) {}";
    assert_eq!(imports(text), ["a", "e", "h", "i", "m"]);
    assert_eq!(imports(&code("//! [x](crate::y)\nuse crate::z; // crate::w")), ["z"]);
}
