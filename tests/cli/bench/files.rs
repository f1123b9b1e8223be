//! The files of `--hdr` and `--html`.

use base64::prelude::{BASE64_STANDARD, Engine};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use serde_json::Value;
use socket2::Type;

use super::{Scratch, brief, good};
use crate::localhost::refusing;

/// Returns the intervals of a log with their tags.
fn intervals(log: &[u8]) -> Vec<(Option<String>, Histogram<u64>)> {
    let mut found = Vec::new();
    for entry in IntervalLogIterator::new(log) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            let encoded = BASE64_STANDARD.decode(interval.encoded_histogram()).unwrap();
            let values = Deserializer::new().deserialize(&mut encoded.as_slice()).unwrap();
            found.push((interval.tag().map(|tag| tag.as_str().to_owned()), values));
        }
    }
    found
}

#[test]
fn hdr_log_matches_the_json() {
    let file = Scratch::new();
    let result: Value = serde_json::from_str(&good(&["--rate", "2k", "--json", "--hdr", &file.name()])).unwrap();
    let log = std::fs::read(file.path()).unwrap();
    assert!(log.starts_with(b"#[Histogram log format version 1.3]\n"), "{}", String::from_utf8_lossy(&log));
    let intervals = intervals(&log);
    let tags: Vec<_> = intervals.iter().map(|(tag, _)| tag.as_deref()).collect();
    assert_eq!(tags, [None, Some("connect"), Some("send-lag")]);
    for ((tag, values), told) in intervals.iter().zip([
        &result["latency_ns"],
        &result["connections"]["connect_ns"],
        &result["generator"]["send_lag_ns"],
    ]) {
        assert_eq!(values.len(), told["count"], "{tag:?}");
        assert_eq!(values.max(), told["max"], "{tag:?}");
        for (quantile, key) in [(0.5, "p50"), (0.99, "p99"), (0.9999, "p99_99")] {
            assert_eq!(values.value_at_quantile(quantile), told[key], "{tag:?} {key}");
        }
    }
}

#[test]
fn existing_files_are_replaced() {
    let (hdr, html) = (Scratch::new(), Scratch::new());
    let long = "x".repeat(1 << 20);
    std::fs::write(hdr.path(), &long).unwrap();
    std::fs::write(html.path(), &long).unwrap();
    good(&["--hdr", &hdr.name(), "--html", &html.name()]);
    assert!(!std::fs::read_to_string(hdr.path()).unwrap().contains("xxxx"));
    assert!(std::fs::read_to_string(html.path()).unwrap().ends_with("</html>"));
}

#[test]
fn dash_prints_an_output_instead_of_the_table() {
    for (args, start, end) in [
        (&["--html", "-"][..], "<!DOCTYPE html>", "</html>"),
        (&["--hdr", "-"], "#[Histogram log format version 1.3]\n", ""),
        (&["--csv", "-"], "at_ns,length_ns,messages,", ""),
        (&["--csv"], "at_ns,length_ns,messages,", ""),
    ] {
        let printed = good(args);
        assert!(printed.starts_with(start) && printed.trim_end().ends_with(end), "{args:?}: {printed}");
        assert!(!printed.contains("\nCPU/message  "), "{args:?}: {printed}");
    }
}

#[test]
fn an_output_in_a_file_leaves_the_table() {
    let file = Scratch::new();
    let table = good(&["--csv", &file.name()]);
    assert!(table.contains("p99.99"), "{table}");
    assert!(std::fs::read_to_string(file.path()).unwrap().starts_with("at_ns,length_ns,messages,"));
    let page = good(&["--csv", &file.name(), "--html", "-"]);
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
}

#[test]
fn without_a_result_no_file_is_made_or_changed() {
    let (unused, _socket) = refusing(Type::STREAM);
    let unused = unused.to_string();
    let (new, old) = (Scratch::new(), Scratch::new());
    std::fs::write(old.path(), "old").unwrap();
    let output = brief(&[&unused, "--html", &new.name(), "--hdr", &old.name()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!new.path().exists());
    assert_eq!(std::fs::read_to_string(old.path()).unwrap(), "old");
}

#[test]
fn unwritable_file_fails_before_the_run() {
    for flag in ["--csv", "--hdr", "--html"] {
        let output = brief(&[flag, "/nonexistent/file"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("switchboard: cannot write /nonexistent/file: "), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}
