//! The service table that `serve` prints: every command in it works in a shell, and the README
//! shows the same table.

use std::process::{Command, Stdio};

use crate::program::{Program, command};
use crate::readme::block;
use crate::service_pages::temporary_file;

/// The services that `serve` starts without arguments, on free ports.
const CONFIG: &str = "
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

/// A part of the output of each command, in the order of the table.
const OUTPUTS: [&str; 12] = [
    "hello",
    "hello",
    "HELLO",
    "hello hello",
    "hello hello",
    "I am switchboard",
    "hello",
    ":",
    ":",
    "",
    "[lobby] guest-",
    "you : hello",
];

/// Reads the table from the output of the program.
fn read_table(server: &mut Program) -> Vec<[String; 3]> {
    let header = server.printed_until("service  ");
    (0..OUTPUTS.len()).map(|_| cells(&header, &server.line().unwrap())).collect()
}

/// Splits a line of the table at the columns of its header.
fn cells(header: &str, line: &str) -> [String; 3] {
    let [address, command] = ["address", "try"].map(|name| header.find(name).unwrap());
    [&line[..address], &line[address..command], &line[command..]].map(|cell| cell.trim().to_owned())
}

#[test]
fn commands_in_the_table_work_in_a_shell() {
    let config = temporary_file(CONFIG);
    let mut server =
        Program::start(command(&["serve", "--config", config.path().to_str().unwrap()]).stdout(Stdio::piped()));
    for ([service, _, typed], output_part) in read_table(&mut server).iter().zip(OUTPUTS) {
        if typed.contains("nc ") && Command::new("nc").arg("-h").output().is_err() {
            eprintln!("skipped, nc is not installed: {typed}");
            continue;
        }
        let output = Command::new("sh").args(["-c", typed]).stdin(Stdio::null()).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains(output_part), "{service}: {typed}: {printed}");
        assert!(output.status.success(), "{typed}: {} {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn table_equals_the_one_in_the_readme() {
    let shown = block("console", "$ switchboard serve\n");
    let mut lines = shown.lines().skip_while(|line| !line.starts_with("service"));
    let header = lines.next().unwrap();
    let shown: Vec<_> = lines.map(|line| cells(header, line)).collect();
    let config = temporary_file(CONFIG);
    let mut server =
        Program::start(command(&["serve", "--config", config.path().to_str().unwrap()]).stdout(Stdio::piped()));
    let rows = read_table(&mut server);
    assert_eq!(rows.len(), shown.len());
    for ([service, address, typed], shown) in rows.iter().zip(shown) {
        let (host, port) = address.rsplit_once(':').unwrap();
        let default_port = shown[1].rsplit_once(':').unwrap().1;
        let typed = typed.replace(env!("CARGO_BIN_EXE_switchboard"), "switchboard").replace(port, default_port);
        assert_eq!([service.clone(), format!("{host}:{default_port}"), typed], shown);
    }
}
