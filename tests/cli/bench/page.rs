//! The page of `--html`, as a file and in a browser.

use std::process::{Command, Stdio};

use super::{Scratch, good};

#[test]
fn page_has_plots_and_loads_nothing() {
    let file = Scratch::new();
    good(&["--html", &file.name()]);
    let page = std::fs::read_to_string(file.path()).unwrap();
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
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok())
    else {
        eprintln!("not tested: there is no Chromium");
        return;
    };
    let (file, profile) = (Scratch::new(), Scratch::new());
    good(&["--html", &file.name()]);
    // Chromium recognizes HTML by the file extension.
    let page = file.path().with_extension("html");
    std::fs::rename(file.path(), &page).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.name()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let _ = (std::fs::remove_file(&page), std::fs::remove_dir_all(profile.path()));
    let dom = String::from_utf8_lossy(&output.stdout);
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
