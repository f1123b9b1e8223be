//! Checks of the book in `docs/`: contents, links, snippets, and the list of limits.

use std::collections::BTreeSet;

use crate::markdown::linked_files;
use crate::{read, root};

/// Returns the file names of all pages in `docs/`.
fn pages() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("docs")).unwrap();
    let paths =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "md"));
    paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn summary_lists_exactly_the_pages() {
    let listed: BTreeSet<_> = linked_files(&read("docs/SUMMARY.md")).into_iter().collect();
    let existing: BTreeSet<_> = pages().into_iter().filter(|name| name != "SUMMARY.md").map(Into::into).collect();
    assert_eq!(listed, existing);
}

#[test]
fn links_lead_to_files() {
    for page in pages() {
        for target in linked_files(&read(format!("docs/{page}"))) {
            assert!(root().join("docs").join(&target).exists(), "{page} links to {}", target.display());
        }
    }
    for page in ["README.md", "CONTRIBUTING.md"] {
        for target in linked_files(&read(page)) {
            assert!(root().join(&target).exists(), "{page} links to {}", target.display());
        }
    }
}

#[test]
fn snippets_are_from_compiled_examples() {
    for page in pages() {
        let text = read(format!("docs/{page}"));
        for block in text.split("```rust\n").skip(1) {
            let include = block.lines().next().unwrap();
            let target = include.strip_prefix("{{#include ../examples/").and_then(|rest| rest.strip_suffix("}}"));
            let (file, anchor) = match target.unwrap_or_else(|| panic!("{page}: {include}")).split_once(':') {
                Some((file, anchor)) => (file, Some(anchor)),
                None => (target.unwrap(), None),
            };
            let example = read(format!("examples/{file}"));
            for mark in anchor.iter().flat_map(|name| [format!("ANCHOR: {name}\n"), format!("ANCHOR_END: {name}\n")]) {
                assert!(example.contains(&mark), "{page}: {file} has no {mark}");
            }
        }
    }
}

#[test]
fn limits_page_names_every_limit_flag() {
    let flags = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        words
            .filter(|word| word.strip_prefix("--").is_some_and(|name| name.starts_with(char::is_alphabetic)))
            .map(str::to_owned)
            .collect()
    };
    let help = |args: &[&str]| String::from_utf8(crate::program::run(args).stdout).unwrap();
    let mut known = flags(help(&["serve", "--help"]).split("\nExamples:").next().unwrap());
    for flag in ["--config", "--listen", "--port-base", "--framing", "--engine", "--verbose", "--quiet", "--help"] {
        assert!(known.remove(flag), "{flag} is not in the help");
    }
    for flag in ["--log-format", "--stats-every", "--stats-file"] {
        assert!(known.remove(flag), "{flag} is not in the help");
        assert!(read("docs/operating.md").contains(flag), "{flag} is not in docs/operating.md");
    }
    // The options of a service are in its own help and on its page.
    let pages = [
        ("echo", "services"),
        ("greet", "services"),
        ("robot", "services"),
        ("parrot", "services"),
        ("files", "files"),
        ("exec", "exec"),
        ("chat", "chat"),
    ];
    for (service, page) in pages {
        let help = help(&["serve", service, "--help"]);
        let (_, below) = help.split_once("\nService options:\n").unwrap();
        let section = below.lines().take_while(|line| line.is_empty() || line.starts_with(' '));
        let options = flags(&section.collect::<Vec<_>>().join("\n"));
        assert!(!options.is_empty(), "{service}");
        for flag in options {
            assert!(read(format!("docs/{page}.md")).contains(&flag), "{flag} is not in docs/{page}.md");
        }
    }
    assert_eq!(flags(&read("docs/limits.md")), known);
}

/// Returns the counters that a row of the table in `docs/overload.md` names.
fn counters_of(row: &str) -> Vec<String> {
    let column = row.split(" | ").nth(3).unwrap_or_default();
    column.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn counters_of_the_contract_exist() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stats.json");
    let args = ["serve", "echo", "--listen", "127.0.0.1:0", "--stats-file", file.to_str().unwrap()];
    let mut server =
        crate::program::Program::start(crate::program::command(&args).stdout(std::process::Stdio::piped()));
    server.address("tcp");
    server.signal(crate::program::Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let contract = read("docs/overload.md");
    let rows: Vec<_> = contract.lines().filter(|line| line.starts_with("| ") && line.contains("](#")).collect();
    assert_eq!(rows.len(), 10);
    let reasons = read("src/service/close_reason.rs");
    for name in rows.iter().flat_map(|row| counters_of(row)) {
        match name.split_once('/') {
            None => assert!(stats.get(&name).is_some(), "{name} is not in the statistics"),
            Some((table, cause)) => {
                assert!(stats[table].is_object(), "{table} is not in the statistics");
                let cause = format!("\"{}\"", cause.replace('_', " "));
                assert!(reasons.contains(&cause), "no connection closes for {name}");
            }
        }
    }
}
