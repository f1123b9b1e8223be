//! The fuzz target `config`: any text as a configuration file.
//!
//! - Each error has a position in the text, and is one line without control characters.
//! - A valid configuration, written in another way, gives the same plan.
//!
//! Nothing outside of the text is looked up: names of files and hosts are left out.

#![allow(clippy::expect_used, reason = "a panic is how a fuzz target reports a fault")]

use std::fmt::Write;
use std::path::Path;

use super::config::document::{self, ConfigSection, ConfigValue};
use super::config::plan;
use super::toml_file;

/// Keys whose values are names of files.
const FILES: [&str; 4] = ["root", "rules", "stats-file", "token-file"];

/// Runs the target `config`.
pub(crate) fn fuzz_config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (sections, errors) = document::sections(text);
    if !sections.iter().all(is_closed) {
        return;
    }
    let path = Path::new("f");
    match plan(path, text) {
        Ok(plan) => {
            assert!(errors.is_empty());
            let written = written(&sections);
            let again = self::plan(path, &written).expect("a valid configuration stays valid");
            assert_eq!(format!("{plan:?}"), format!("{again:?}"), "{written}");
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(text.get(error.span.clone()).is_some(), "{error:?} is not in the text");
                let line = toml_file::error_line(path, text, error.span, &error.message);
                assert!(line.len() > "f:1: ".len() && !line.contains(char::is_control), "{line:?}");
            }
        }
    }
}

/// Returns true if a section names no file and no host.
fn is_closed(section: &ConfigSection) -> bool {
    section.keys.iter().all(|key| match &key.value {
        ConfigValue::Arguments(values) if key.name == "listen" => values.iter().all(|(value, _)| {
            let address = value.rsplit('@').next().unwrap_or_default().trim_start_matches("udp:");
            address.contains(|c: char| "0123456789.:[]*".contains(c)) && !address.contains(char::is_alphabetic)
        }),
        _ => !FILES.contains(&&*key.name),
    })
}

/// Writes the sections as TOML, with every value as a list of strings.
fn written(sections: &[ConfigSection]) -> String {
    let mut text = String::new();
    for section in sections {
        if !section.name.is_empty() {
            let _ = writeln!(text, "[[{}]]", quoted(&section.name));
        }
        for key in &section.keys {
            let value = match &key.value {
                ConfigValue::Switch(given) => given.to_string(),
                ConfigValue::Arguments(values) => {
                    let values: Vec<_> = values.iter().map(|(value, _)| quoted(value)).collect();
                    format!("[{}]", values.join(","))
                }
            };
            let _ = writeln!(text, "{} = {value}", quoted(&key.name));
        }
    }
    text
}

fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpus_of_config() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/config");
        for entry in std::fs::read_dir(folder).unwrap() {
            let input = entry.unwrap().path();
            println!("{}", input.display());
            super::fuzz_config(&std::fs::read(input).unwrap());
        }
    }
}
