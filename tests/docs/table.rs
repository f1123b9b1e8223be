//! The table that `serve` prints: every command in it works when it is pasted into a shell, and the README shows it as it is.

use std::process::{Command, Stdio};

use crate::program::{Program, command};
use crate::readme::block;
use crate::services::file;

/// As `serve` without a service has them, but at ports that nobody holds.
const ALL: &str = "
    [echo]
    listen = ['127.0.0.1:0', 'udp:127.0.0.1:0']
    [upper]
    listen = '127.0.0.1:0'
    [greet]
    listen = ['127.0.0.1:0', 'udp:127.0.0.1:0']
    [robot]
    listen = '127.0.0.1:0'
    [parrot]
    listen = '127.0.0.1:0'
    [clock]
    listen = ['127.0.0.1:0', 'udp:127.0.0.1:0']
    [chat]
    listen = ['127.0.0.1:0', 'lines@127.0.0.1:0', 'udp:127.0.0.1:0']
";

/// What its commands print, in their order.
const ANSWERS: [&str; 12] = [
    "hello",
    "hello",
    "HELLO",
    "hello hello",
    "hello hello",
    "你好",
    "hello",
    ":",
    ":",
    "",
    "[lobby] guest-",
    "you : hello",
];

fn table(server: &mut Program) -> Vec<[String; 3]> {
    let header = server.printed_until("service  ");
    (0..ANSWERS.len()).map(|_| cells(&header, &server.line().unwrap())).collect()
}

/// A line of a table, cut where the columns of its header begin.
fn cells(header: &str, line: &str) -> [String; 3] {
    let [address, command] = ["address", "try"].map(|name| header.find(name).unwrap());
    [&line[..address], &line[address..command], &line[command..]].map(|cell| cell.trim().to_owned())
}

#[test]
fn every_command_in_the_table_works_in_a_shell() {
    let config = file(ALL);
    let mut server =
        Program::start(command(&["serve", "--config", config.path().to_str().unwrap()]).stdout(Stdio::piped()));
    for ([service, _, typed], answer) in table(&mut server).iter().zip(ANSWERS) {
        if typed.contains("nc ") && Command::new("nc").arg("-h").output().is_err() {
            eprintln!("not tested: there is no nc for {typed}");
            continue;
        }
        let output = Command::new("sh").args(["-c", typed]).stdin(Stdio::null()).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains(answer), "{service}: {typed}: {printed}");
        assert!(output.status.success(), "{typed}: {} {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_table_is_the_one_shown() {
    let shown = block("console", "$ switchboard serve\n");
    let mut lines = shown.lines().skip_while(|line| !line.starts_with("service"));
    let header = lines.next().unwrap();
    let shown: Vec<_> = lines.map(|line| cells(header, line)).collect();
    let config = file(ALL);
    let mut server =
        Program::start(command(&["serve", "--config", config.path().to_str().unwrap()]).stdout(Stdio::piped()));
    let rows = table(&mut server);
    assert_eq!(rows.len(), shown.len());
    for ([service, address, typed], shown) in rows.iter().zip(shown) {
        let (host, port) = address.rsplit_once(':').unwrap();
        let usual = shown[1].rsplit_once(':').unwrap().1;
        let typed = typed.replace(env!("CARGO_BIN_EXE_switchboard"), "switchboard").replace(port, usual);
        assert_eq!([service.clone(), format!("{host}:{usual}"), typed], shown);
    }
}
