//! The output of `bench echo` in every format.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use socket2::Type;

use super::servers::echo;
use super::{brief, good, in_one_line};
use crate::localhost::alone_at_localhost;
use crate::program::{Program, run};

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&good(&[args, &["--json"]].concat())).unwrap()
}

/// Collects every key of a value with its types, as `a.b: number`. The elements of an array are
/// `a[]`.
pub(crate) fn shape(value: &Value, path: &str, into: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    let of = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    into.entry(path.to_owned()).or_default().insert(of);
    for value in value.as_array().into_iter().flatten() {
        shape(value, &format!("{path}[]"), into);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        shape(value, format!("{path}.{key}").trim_start_matches('.'), into);
    }
}

/// Returns true if a key's type depends on the machine: its processors, its system, its speed.
pub(super) fn is_machine_dependent(path: &str) -> bool {
    // A run this short may have no answer.
    path == "find_max.steps[].latency_ns"
        || path.starts_with("target.pinned")
        || ["machine.cpu_model", "machine.memory_bytes", "generator.bottleneck"].contains(&path)
}

/// Returns the result of a search that fails fast: no answer takes less than 1 ns, and the search
/// stops below one message per second.
fn failed_search() -> Value {
    let load = ["bench", "echo", "--connections=3", "--warm-up=20ms", "--duration=250ms"];
    let output = run(&[&load[..], &["--find-max", "--rate=1.9", "--slo=p99<1ns", "--json"]].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    // On a busy machine the load generator is late.
    let ends = ["holds at no rate that was tried", "held at no rate, and the load generator was the limit"];
    assert!(ends.iter().any(|end| stderr.ends_with(&format!("p99<1ns {end}.\n"))), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn failed_search_has_its_steps() {
    let result = failed_search();
    let search = &result["find_max"];
    assert_eq!((&search["slo"]["text"], &search["slo"]["below_ns"]), (&"p99<1ns".into(), &1.into()));
    assert_eq!((&search["rate_per_second"], &search["ended"]), (&Value::Null, &"found".into()));
    let tried: Vec<_> = search["steps"].as_array().unwrap().iter().map(|step| &step["rate_per_second"]).collect();
    assert_eq!(tried, [1.9, 1.9], "a failing rate is tried twice");
}

#[test]
#[cfg(target_os = "linux")]
fn json_keys_match_the_schema() {
    let foreign = echo();
    let mut found = BTreeMap::new();
    for args in [&[][..], &["--udp"], &[&foreign.address, "--rate", "1k"], &["--idle"]] {
        shape(&json(args), "", &mut found);
    }
    let ten = run(&["bench", "echo", "--connections=10", "--warm-up=20ms", "--duration=1s", "--json"]);
    shape(&serde_json::from_slice(&ten.stdout).unwrap(), "", &mut found);
    for search in [failed_search(), super::ends::search_ended_early()] {
        shape(&search["find_max"], "find_max", &mut found);
    }
    let lines = found.into_iter().filter(|(path, _)| !path.is_empty() && !is_machine_dependent(path));
    let lines: Vec<_> =
        lines.map(|(path, types)| format!("{path}: {}", types.into_iter().collect::<Vec<_>>().join(" or "))).collect();
    let promised = include_str!("schema.txt").lines().filter(|line| !line.starts_with('#'));
    // A removed key or a changed type needs a new schema number. A new key is added to the file.
    assert_eq!(lines, promised.collect::<Vec<_>>(), "in full:\n{}", lines.join("\n"));
}

#[test]
fn json_holds_the_load() {
    let result = json(&["--in-flight", "2", "--payload", "16..1k", "--framing", "u16le", "--slow-readers", "1"]);
    assert_eq!(result["schema"], 2);
    assert_eq!(result["target"]["framing"], "u16le");
    let load = &result["load"];
    assert_eq!((&load["activity"], &load["in_flight"]), (&"closed".into(), &2.into()));
    assert_eq!((&load["payload_min_bytes"], &load["payload_max_bytes"]), (&16.into(), &1024.into()));
    assert_eq!((&load["connections"], &load["slow_readers"], &load["seed"]), (&3.into(), &1.into(), &1.into()));
    assert!(result["command"].as_str().unwrap().starts_with("switchboard bench echo --connections=3"), "{result}");
    assert!(result["messages"].as_u64().unwrap() > 0);
    assert_eq!(result["faults"]["corrupted"], 0);
    assert_eq!(result["interrupted"], false);
    let parse = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>();
    assert!(parse(&result["started_at"]).is_ok(), "{}", result["started_at"]);
}

#[test]
fn engine_flag_selects_the_spawned_engine() {
    for (engine, threads) in [("reactor", 1..=1), ("threads", 3..=100)] {
        let result = json(&["--engine", engine]);
        assert_eq!(result["target"]["engine"], engine);
        if let Some(seen) = result["server"]["threads"].as_u64() {
            assert!(threads.contains(&seen), "{engine}: {seen} threads");
        }
    }
}

#[test]
fn every_activity_is_measured() {
    for (args, activity) in
        [(&["--rate", "500"][..], "open"), (&["--churn"], "churn"), (&["--idle"], "idle"), (&["-n", "4"], "closed")]
    {
        let result = json(args);
        assert_eq!(result["load"]["activity"], activity);
        assert_eq!(result["faults"]["lost"], 0, "{activity}");
    }
}

#[test]
fn every_transport_is_measured() {
    let ((server, tcp), _port) = alone_at_localhost(Type::STREAM, || {
        let mut server = Program::serve(&["--listen", "127.0.0.1:0"]);
        let tcp = server.address("tcp");
        let port = tcp.rsplit_once(':').unwrap().1.parse().unwrap();
        ((server, tcp), port)
    });
    let unix = crate::program::SocketPath::new();
    let mut others = Program::serve(&["--listen", "udp:127.0.0.1:0", "--listen", &unix.listen()]);
    let udp = others.address("udp");
    // The name may have a second address, which refuses.
    let by_name = tcp.replace("127.0.0.1", "localhost");
    for (args, transport) in [
        (&[tcp.as_str()][..], "tcp"),
        (&[&by_name], "tcp"),
        (&["--udp", &udp], "udp"),
        (&[&format!("udp:{udp}")], "udp"),
        (&[&unix.listen()], "unix"),
    ] {
        let result = json(args);
        assert_eq!((&result["target"]["transport"], &result["target"]["own"]), (&transport.into(), &false.into()));
        assert!(result["messages"].as_u64().unwrap() > 0, "{transport}");
        assert!(result["server"].is_null(), "the server process is unknown");
    }
    drop((server, others));
}

#[test]
#[cfg(target_os = "linux")]
fn server_pid_gives_server_figures() {
    let mut server = Program::serve(&["--listen", "127.0.0.1:0"]);
    let address = server.address("tcp");
    let result = json(&[&address, "--server-pid", &server.id().to_string()]);
    assert_eq!(result["server"]["pid"], server.id());
    assert_eq!(result["server"]["threads"], 1);
    assert!(result["server"]["cpu_ns_per_message"].as_f64().unwrap() > 0.0);

    let output = brief(&[&address, "--server-pid", "4194305"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot read the usage of process 4194305"));
}

#[test]
fn an_unusual_number_in_flight_is_asked_about() {
    let output = brief(&["-n", "10001"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("30,003 messages in 3 connections are up to 1.83 MiB of payload"), "{stderr}");
    assert!(stderr.contains("is --connections, --rate or --duration meant instead?"), "{stderr}");
}

/// With few connections the growth of the memory is mostly that of the engine.
#[test]
#[cfg(target_os = "linux")]
fn memory_of_a_connection_is_given_from_ten_connections_on() {
    for (service, number, is_given) in
        [("echo", "--connections=9", false), ("echo", "--connections=10", true), ("chat", "--members=9", false)]
    {
        let output = run(&["bench", service, "--idle", number, "--warm-up=0", "--duration=200ms", "--json"]);
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["server"]["bytes_per_connection"].is_number(), is_given, "{}", result["server"]);
        let notes = result["verdicts"].to_string();
        assert_eq!(notes.contains("is given from 10 connections on"), !is_given, "{notes}");
    }
}

#[test]
fn table_has_every_figure() {
    let table = good(&[]);
    for words in [
        "echo at tcp 127.0.0.1:",
        "3 connections",
        "p99.99",
        "send lag",
        "reordered",
        "switches/message",
        "byte for byte",
    ] {
        let expected = words != "send lag";
        assert_eq!(in_one_line(&table).contains(words), expected, "{words}:\n{table}");
    }
    assert!(good(&["--rate", "200"]).contains("\nsend lag "));
}

#[test]
fn csv_has_a_row_for_each_sample() {
    let text = good(&["--csv"]);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let promised = "at_ns length_ns messages messages_per_second p50_ns p99_ns max_ns lost duplicated reordered corrupted refused broken";
    assert_eq!(head.join(" "), promised);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert!((1..=11).contains(&rows.len()), "{text}");
    assert!(rows.iter().all(|row| row.iter().all(|field| field.parse::<f64>().is_ok())), "{text}");
}
