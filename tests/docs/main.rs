//! What the documents say, tried: commands are run, snippets are those of compiled examples, links lead somewhere.

// What clippy.toml allows in tests, it does not allow in the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(not(all(unix, feature = "cli")), allow(dead_code, reason = "most of the tests run the program"))]

#[cfg(all(unix, feature = "cli"))]
mod book;
#[cfg(unix)]
mod examples;
#[cfg(all(unix, feature = "cli"))]
mod lobby;
#[cfg(all(unix, feature = "cli"))]
#[path = "../cli/program.rs"]
#[allow(dead_code, reason = "the program's own tests use the rest of it")]
mod program;
#[cfg(all(unix, feature = "cli"))]
mod readme;
#[cfg(all(unix, feature = "cli"))]
mod services;
mod sockets_page;
#[cfg(all(unix, feature = "cli"))]
mod table;

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks of a Markdown text: their language and what they hold.
fn blocks(markdown: &str) -> Vec<(&str, &str)> {
    let mut fenced = markdown.split("\n```").skip(1);
    let mut blocks = Vec::new();
    while let Some(block) = fenced.next() {
        blocks.push(block.split_once('\n').unwrap());
        fenced.next();
    }
    blocks
}

/// The targets of a Markdown text's links to files, as paths from its own directory.
fn linked_files(markdown: &str) -> Vec<PathBuf> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let files = targets.map(|(target, _)| target).filter(|target| !target.contains("://"));
    files.map(|target| target.split('#').next().unwrap().into()).collect()
}
