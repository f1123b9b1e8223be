//! The output of `duel` in every format.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::BRIEF;
use crate::bench::Scratch;
use crate::bench::results::shape;
use crate::program::{Program, run};

/// Runs a short duel that must succeed, and returns its standard output.
fn good(args: &[&str]) -> String {
    let output = run(&[&BRIEF, args].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    assert_eq!(stderr, "", "{args:?}: prints nothing to a pipe");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns true if a key's type depends on the machine, or on the memory growth of a process.
fn is_variable(path: &str) -> bool {
    let varying =
        ["setup.pinned", "machine.cpu_model", "machine.memory_bytes", "points[].comparisons[].reactor_advantage"];
    varying.iter().any(|varying| path.starts_with(varying))
        || ["points[].comparisons[].verdict", "points[].runs[].generator.bottleneck"].contains(&path)
}

#[test]
#[cfg(target_os = "linux")]
fn json_keys_match_the_schema() {
    let mut found = BTreeMap::new();
    // The memory of a connection is given from ten connections on.
    for args in [&["--json"][..], &["--json", "--rate=500", "--connections=10"]] {
        shape(&serde_json::from_str(&good(args)).unwrap(), "", &mut found);
    }
    // On a busy machine a run this short may have no answer and no latency.
    for (_, types) in found.iter_mut().filter(|(path, types)| path.starts_with("points[]") && types.len() > 1) {
        types.remove("null");
    }
    let lines = found.into_iter().filter(|(path, _)| !path.is_empty() && !is_variable(path));
    let lines: Vec<_> =
        lines.map(|(path, types)| format!("{path}: {}", types.into_iter().collect::<Vec<_>>().join(" or "))).collect();
    let promised = include_str!("schema.txt").lines().filter(|line| !line.starts_with('#'));
    // A removed key or a changed type needs a new schema number. A new key is added to the file.
    assert_eq!(lines, promised.collect::<Vec<_>>(), "in full:\n{}", lines.join("\n"));
}

#[test]
fn json_holds_every_run_in_alternating_order() {
    let result: Value = serde_json::from_str(&good(&["--json", "--in-flight=2", "--payload=16..1k"])).unwrap();
    assert_eq!(result["schema"], 2);
    assert_eq!((&result["setup"]["in_flight"], &result["setup"]["payload_max_bytes"]), (&2.into(), &1024.into()));
    assert_eq!((&result["interrupted"], &result["confidence"]), (&false.into(), &0.5.into()));
    let points = result["points"].as_array().unwrap();
    assert_eq!(points.iter().map(|point| point["connections"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    for point in points {
        assert_eq!((&point["whole"], &point["skipped"]), (&true.into(), &Value::Null));
        let runs = point["runs"].as_array().unwrap();
        let order: Vec<_> = runs.iter().map(|run| run["engine"].as_str().unwrap()).collect();
        assert_eq!(order, ["reactor", "threads", "threads", "reactor"]);
        assert!(runs.iter().any(|run| run["messages"].as_u64().unwrap() > 0), "{point}");
        let throughput = &point["comparisons"][0];
        if throughput["reactor_advantage"].is_null() {
            assert!(runs.iter().any(|run| run["messages"] == 0), "{point}");
            continue;
        }
        let (low, high) = (&throughput["reactor_advantage"]["low"], &throughput["reactor_advantage"]["high"]);
        assert!(low.as_f64().unwrap() <= high.as_f64().unwrap(), "{throughput}");
        let draw = low.as_f64().unwrap() <= 1.0 && high.as_f64().unwrap() >= 1.0;
        assert_eq!(throughput["verdict"] == "draw", draw, "{throughput}");
    }
}

#[test]
fn table_has_a_block_per_point_and_fits_a_terminal() {
    let table = good(&[]);
    for words in
        ["\n1 connection  ", "\n2 connections  ", "CPU/message", "latency p99.9", "ratio", "2 rounds of 200 ms"]
    {
        assert!(table.contains(words), "{words}:\n{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
}

#[test]
fn open_loop_has_no_throughput_finding() {
    let result: Value = serde_json::from_str(&good(&["--json", "--rate=500", "--no-pin"])).unwrap();
    assert_eq!(result["setup"]["rate_per_second"], 500.0);
    assert!(result["setup"]["pinned"].is_null());
    assert!(result["findings"].as_array().unwrap().iter().all(|finding| finding["metric"] != "messages_per_second"));
    assert!(result["remarks"].to_string().contains("Servers and load shared processors"), "{result}");
}

#[test]
fn page_has_plots_and_loads_nothing() {
    let page = Scratch::new();
    good(&["--html", &page.name()]);
    let html = std::fs::read_to_string(page.path()).unwrap();
    // With two connections memory may not grow, and a metric that is always 0 has no plot.
    assert!((4..=5).contains(&html.matches("<svg class=\"drawing\"").count()), "{html}");
    for words in ["CPU/message, less is better", "Throughput, more is better", "How it was measured", "2 connections"] {
        assert!(html.contains(words), "{words}");
    }
    for words in ["<script", "http:", "https:", "url(", "@import", "src=", "href="] {
        assert!(!html.contains(words), "{words}");
    }
}

#[test]
fn page_fits_a_phone_and_a_desk() {
    let page = Scratch::new();
    good(&["--connections=10", "--html", &page.name()]);
    let html = std::fs::read_to_string(page.path()).unwrap();
    let plots = u32::try_from(html.matches("<svg class=\"drawing\"").count()).unwrap();
    crate::browser::assert_fits(&html, plots);
}

#[test]
fn unwritable_page_fails_before_the_run() {
    let args = ["duel", "echo", "--duration=1h", "--html", "/nonexistent/duel.html"];
    let output = run(&args);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot write /nonexistent/duel.html"));
}

#[test]
fn unavailable_point_is_named_and_others_measured() {
    // 256 descriptors are the default of some systems. 'ulimit -n' also sets the hard limit, so
    // that the program cannot raise it.
    let limited = format!("ulimit -n 256; exec '{}' \"$@\"", env!("CARGO_BIN_EXE_switchboard"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &limited, "sh"]).args(BRIEF).args(["--connections=500", "--json"]);
    let mut program = Program::start(shell.stdin(Stdio::null()).stdout(Stdio::piped()));
    assert_eq!(program.wait().code(), Some(0));
    let result: Value = serde_json::from_str(&program.printed()).unwrap();
    let points = result["points"].as_array().unwrap();
    assert!(points[0]["skipped"].is_null() && points[0]["whole"] == true, "{result}");
    let reason = points[2]["skipped"].as_str().unwrap();
    assert!(reason.contains("need 564 each") && reason.contains("the limit is 256"), "{reason}");
    let remarks = result["remarks"].to_string();
    assert!(
        remarks.contains("500 connections could not be measured: too few file descriptors: server and load need 564"),
        "{remarks}"
    );
}
