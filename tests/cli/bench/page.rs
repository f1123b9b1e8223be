//! The page of `--html`, as a file and in a browser.

use super::{Scratch, good};
use crate::browser;
use crate::program::run;

/// Returns the page of a bench with these arguments, which exits with `code`.
fn page_of(args: &[&str], code: i32) -> String {
    let file = Scratch::new();
    let output = run(&[args, &["--html", &file.name()]].concat());
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(file.path()).unwrap()
}

#[test]
fn page_has_plots_and_loads_nothing() {
    let page = page_of(&super::BRIEF, 0);
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert_eq!(page.matches("<svg class=\"drawing\"").count(), 3, "by percentile, and two over time");
    assert!(page.matches("<polyline").count() > 3);
    for words in
        ["<title>echo at tcp", "Latency by percentile", "Throughput", "Machine", "switchboard bench echo --conn"]
    {
        assert!(page.contains(words), "{words}");
    }
    for words in ["http:", "https:", "<script", "url(", "@import", " src=", " href=", "<link"] {
        assert!(!page.contains(words), "{words}");
    }
}

#[test]
fn chromium_draws_the_page() {
    let file = Scratch::new();
    good(&["--html", &file.name()]);
    let Some(dom) = browser::load(&std::fs::read_to_string(file.path()).unwrap()) else { return };
    let drawings: Vec<_> =
        dom.split("<svg class=\"drawing\"").skip(1).map(|rest| rest.split("</svg>").next().unwrap()).collect();
    assert_eq!(drawings.len(), 3, "{dom}");
    let points = |drawing: &str| {
        let line = drawing.split("<polyline").find(|line| line.contains("stroke=\"#0064A8\"")).unwrap_or_default();
        let points = line.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        points.split_whitespace().count()
    };
    assert!(points(drawings[0]) >= 2, "no line: {}", drawings[0]);
    // A run this short may have only one sample, drawn as a circle.
    assert!(drawings.iter().all(|drawing| points(drawing) >= 2 || drawing.contains("<circle")), "{dom}");
}

#[test]
fn page_fits_a_phone_and_a_desk() {
    browser::assert_fits(&page_of(&super::BRIEF, 0), 3);
    let chat = ["bench", "chat", "--members=5", "--rooms=2", "--rate=200", "--warm-up=20ms", "--duration=1s"];
    browser::assert_fits(&page_of(&chat, 0), 3);
    // No answer takes less than 1 ns, so the search ends after two steps below one message a
    // second.
    let search = ["bench", "echo", "--connections=3", "--warm-up=0", "--duration=250ms", "--find-max"];
    browser::assert_fits(&page_of(&[&search[..], &["--rate=1.9", "--slo=p99<1ns"]].concat(), 1), 4);
}
