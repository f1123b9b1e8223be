//! Checks the documents against the program: the commands run, the snippets are compiled examples,
//! and the links lead to files.

// clippy.toml allows these in tests, and not in the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[cfg(feature = "cli")]
mod book;
mod examples;
#[path = "../support/guard.rs"]
mod guard;
#[cfg(feature = "cli")]
mod lobby;
#[cfg(feature = "cli")]
mod markdown;
#[cfg(feature = "cli")]
#[path = "../cli/program.rs"]
#[allow(dead_code, reason = "the program's own tests use the rest of it")]
mod program;
#[cfg(feature = "cli")]
mod readme;
#[cfg(feature = "cli")]
mod service_pages;
#[cfg(feature = "cli")]
mod service_table;
mod sockets_page;
#[cfg(feature = "cli")]
mod tutorial_programs;

use std::path::Path;

/// Returns the root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the text of a file, given by its path from the root.
fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the path of a compiled example. Cargo puts tests in `target/PROFILE/deps` and examples
/// in `target/PROFILE/examples`.
fn example_path(name: &str) -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples").join(name)
}
