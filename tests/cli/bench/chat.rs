//! `switchboard bench chat`: its output and the faults that it finds.

#[path = "../../load/chat/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

use serde_json::Value;
use socket2::Type;

use self::server::{Fault, Server};
use super::results::{is_machine_dependent, shape};
use super::{Scratch, in_one_line, run_patiently};
use crate::localhost::refusing;
use crate::program::{Program, Signal, command, run};

/// A small load for a time in which a busy machine delivers at least one message.
const BRIEF: [&str; 5] = ["bench", "chat", "--members=5", "--warm-up=20ms", "--duration=1s"];

fn brief(server: &Server, args: &[&str]) -> Output {
    run_patiently(&[&BRIEF[..], &[server.target.address().to_string().as_str()], args].concat())
}

/// Runs a short bench that must succeed, and returns its standard output.
fn good(server: &Server, args: &[&str]) -> String {
    let output = brief(server, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    assert_eq!(stderr, "", "{args:?}: prints nothing to a pipe");
    String::from_utf8(output.stdout).unwrap()
}

fn json(server: &Server, args: &[&str]) -> Value {
    serde_json::from_str(&good(server, &[args, &["--json"]].concat())).unwrap()
}

#[test]
fn table_has_figures_and_proof() {
    let server = Server::start(Fault::None);
    let table = good(&server, &["--in-flight", "2"]);
    for words in [
        "chat at tcp 127.0.0.1:",
        "5 members in one room, 1 of them sends messages of 64 B, 2 in flight in each room; 1 s after 20 ms",
        "deliveries",
        "all joined after",
        "\ndelivery ",
        "\njoin ",
        "CPU/delivery",
        "ok Every one of 5 members received every id of its room once, in order (",
    ] {
        assert!(table.contains(words) || in_one_line(&table).contains(words), "{words}:\n{table}");
    }
    assert!(!table.contains("faults") && !table.contains("send lag"), "{table}");
    assert!(good(&server, &["--rate", "200"]).contains("\nsend lag "));
    let idle = good(&server, &["--idle", "--rooms", "2"]);
    assert!(in_one_line(&idle).contains("5 members in 2 rooms, only held;"), "{idle}");
    assert!(in_one_line(&idle).contains("ok All 5 members had joined after "), "{idle}");
}

#[test]
#[cfg(target_os = "linux")]
fn json_keys_match_the_schema() {
    let (honest, skipping) = (Server::start(Fault::None), Server::start(Fault::Flood));
    let mut found = BTreeMap::new();
    let pid = std::process::id().to_string();
    for args in [&["--server-pid", &pid][..], &["--rate", "1k"], &["--idle", "--server-pid", &pid]] {
        shape(&json(&honest, args), "", &mut found);
    }
    let own = run(&["bench", "chat", "--members=10", "--warm-up=20ms", "--duration=1s", "--json"]);
    shape(&serde_json::from_slice(&own.stdout).unwrap(), "", &mut found);
    let faulty = brief(&skipping, &["--json", "--answer-timeout=1s"]);
    shape(&serde_json::from_slice(&faulty.stdout).unwrap(), "", &mut found);
    let lines = found.into_iter().filter(|(path, _)| !path.is_empty() && !is_machine_dependent(path));
    let lines: Vec<_> =
        lines.map(|(path, types)| format!("{path}: {}", types.into_iter().collect::<Vec<_>>().join(" or "))).collect();
    let promised = include_str!("chat_schema.txt").lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines, promised.collect::<Vec<_>>(), "in full:\n{}", lines.join("\n"));
}

#[test]
fn json_holds_load_and_proof() {
    let server = Server::start(Fault::None);
    let result = json(&server, &["--rooms", "2", "--publishers", "3", "--payload", "100"]);
    assert_eq!((&result["schema"], &result["target"]["service"]), (&2.into(), &"chat".into()));
    let load = &result["load"];
    assert_eq!((&load["connections"], &load["publishers"], &load["rooms"]), (&5.into(), &3.into(), &2.into()));
    assert_eq!(
        (&load["payload_min_bytes"], &load["payload_max_bytes"], &load["in_flight"], &load["activity"]),
        (&100.into(), &100.into(), &1.into(), &"closed".into())
    );
    assert_eq!(result["proof"]["proved"], true);
    assert!(result["proof"]["received"].as_u64() > result["proof"]["ids"].as_u64());
    assert!(result["deliveries_per_second"].as_f64().unwrap() > result["messages_per_second"].as_f64().unwrap());
    assert_eq!(json(&server, &[])["load"]["publishers"], 1);
}

/// Runs a bench that must fail. Returns the last line of standard error, and the printed table.
fn wrong(fault: Fault) -> (String, String) {
    let server = Server::start(fault);
    let output = brief(&server, &["--in-flight=4", "--answer-timeout=1s"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(server.committed().is_some(), "the server had no occasion for its fault");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    (stderr.lines().last().unwrap_or_default().to_owned(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn each_fault_is_counted_named_and_exits_1() {
    for (fault, says, names) in [
        (Fault::Skip, "1 id never reached a member", "WRONG Member 4 never received id 2 of lobby."),
        (Fault::Duplicate, "1 message arrived twice", "WRONG Member 4 received id 2 of lobby again."),
        (
            Fault::Swap,
            "1 message arrived after a later one",
            "WRONG Member 4 received id 2 of lobby after a later one.",
        ),
        (
            Fault::Corrupt,
            "1 message arrived with another text",
            "WRONG Member 4 received id 2 of lobby with another text.",
        ),
        (
            Fault::Swallow,
            "1 message was sent and never delivered",
            "WRONG Member 0 sent message 1 in lobby, but no member received it.",
        ),
        (Fault::Close, "1 member was disconnected by the server", "WRONG Something went wrong"),
        (
            Fault::Bye,
            "1 error sent by the server, 1 member was disconnected",
            "WRONG Server error for member 4: bye: you are too slow",
        ),
        (
            Fault::NickTaken,
            "1 error sent by the server, 1 member could not join",
            "nick-taken: somebody else is called so",
        ),
    ] {
        let (line, table) = wrong(fault);
        assert!(line.starts_with(&format!("switchboard: {says}")), "{fault:?}: {line}");
        let text = in_one_line(&table);
        assert!(text.contains(says) && text.contains(names), "{fault:?}: {names}\n{table}");
        assert!(!table.contains("ok  ") && table.contains("\nfaults"), "{table}");
    }
}

#[test]
fn a_rate_limited_server_gets_advice() {
    let (line, table) = wrong(Fault::Flood);
    assert!(line.contains("1 error sent by the server"), "{line}");
    assert!(in_one_line(&table).contains("start it with --messages-per-second 0"), "{table}");
}

#[test]
fn csv_html_and_hdr_are_written() {
    let server = Server::start(Fault::None);
    let (page, log) = (Scratch::new(), Scratch::new());
    let csv = good(&server, &["--csv", "--html", &page.name()]);
    assert!(csv.starts_with("at_ns,length_ns,messages,"), "{csv}");
    let page = std::fs::read_to_string(page.path()).unwrap();
    for words in
        ["<title>chat at tcp", "Latency by percentile", "deliveries per second", "Memory", "Every one of 5 members"]
    {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!(page.matches("<svg class=\"drawing\"").count(), 3);
    good(&server, &["--rate", "1k", "--hdr", &log.name()]);
    let log = std::fs::read_to_string(log.path()).unwrap();
    assert!(log.contains("Tag=join") && log.contains("Tag=send-lag"), "{log}");
}

#[test]
fn sigint_reports_what_was_measured() {
    let server = Server::start(Fault::None);
    let address = server.target.address().to_string();
    let args = ["-v", "bench", "chat", &address, "--members=5", "--warm-up=0", "--duration=1h"];
    let mut program = Program::start(command(&args).stdout(Stdio::piped()));
    program.logged("measuring");
    program.signal(Signal::INT);
    assert_eq!(program.wait().code(), Some(130));
    let table = program.printed();
    assert!(table.contains("The run ended early: a signal stopped it"), "{table}");
    assert!(!table.contains("WRONG  Something"), "{table}");
}

#[test]
fn refused_connect_has_advice() {
    let (unused, _socket) = refusing(Type::STREAM);
    let unused = unused.to_string();
    let output = run(&[&BRIEF[..], &[&unused]].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("cannot connect to tcp {unused}")), "{stderr}");
    assert!(stderr.contains("check that a server listens there"), "{stderr}");
}

/// Measures the chat service on both engines, in several rooms, in closed and open loops.
#[test]
fn a_spawned_server_passes_the_proof_on_both_engines() {
    for (engine, load) in [("reactor", "--in-flight=4"), ("threads", "--in-flight=4"), ("reactor", "--rate=500")] {
        let args = [&BRIEF[..], &["--engine", engine, "--rooms=2", "--publishers=4", load, "--json"]].concat();
        let output = run(&args);
        let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(output.status.code(), Some(0), "{engine}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!((&result["target"]["own"], &result["target"]["engine"]), (&true.into(), &engine.into()));
        assert_eq!(result["proof"]["proved"], true, "{engine} {load}");
        assert!(result["server"]["cpu_ns_per_delivery"].as_f64() > Some(0.0), "{}", result["server"]);
    }
}
