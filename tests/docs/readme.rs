//! Checks of the README: its commands run, and print what it shows.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::guard::scaled;
use crate::markdown::blocks;
use crate::program::{Program, command, millis};
use crate::{read, root};

/// Returns the README's first code block in `language` that contains `marker`.
pub(crate) fn block(language: &str, marker: &str) -> String {
    let readme = read("README.md");
    let found = blocks(&readme).into_iter().find(|(lang, text)| *lang == language && text.contains(marker));
    found.unwrap_or_else(|| panic!("README.md has no {language} block with '{marker}'")).1.to_owned()
}

/// The setup in the README is two commands. This test runs the program of the first one; the second
/// one is the command that runs this test.
#[test]
fn setup_is_two_commands() {
    assert_eq!(block("sh", "cargo"), "cargo run --release -- serve\ncargo test");
    assert!(read(".ci/run").contains("step cargo test\n"), "CI runs the README's test command");
    let mut program = Program::start(command(&["serve"]).stdout(Stdio::piped()));
    // Another program may use some of the default ports, or all of them, such as the server that
    // the first command has started.
    match program.line() {
        Some(line) => assert!(line.starts_with("listening ") && line.contains(" 127.0.0.1:"), "{line}"),
        None => assert!(program.logged("cannot listen on ").contains("stop the programs that use them")),
    }
}

/// Returns the value of each line `KEY = "VALUE"` in Cargo.toml.
fn manifest_values(key: &str) -> Vec<String> {
    let manifest = read("Cargo.toml");
    let value =
        |line: &str| line.strip_prefix(key)?.strip_prefix(" = ").map(|value| value.trim_matches('"').to_owned());
    manifest.lines().filter_map(value).collect()
}

/// CI compiles with the versions in Cargo.toml, so the README names no other version.
#[test]
fn rust_versions_are_those_of_cargo_toml() {
    let versions = manifest_values("rust-version");
    let [program, library] = &versions[..] else { panic!("{versions:?}") };
    let readme = read("README.md");
    let named: Vec<_> = readme.split("Rust 1.").skip(1).map(|rest| format!("1.{}", &rest[..2])).collect();
    assert_eq!(named, [program.as_str(), library], "the program's, then the library's");
}

/// CONTRIBUTING.md names every test target: those of `cargo quick` before, the others after the
/// words "It leaves out".
#[test]
fn quick_tests_are_the_ones_described() {
    let config = read(".cargo/config.toml");
    let quick = config.split("quick = \"").nth(1).expect("the alias").split('"').next().unwrap();
    let chosen: BTreeSet<_> = quick.split("--test ").skip(1).map(|name| name.trim().to_owned()).collect();
    let targets: BTreeSet<_> = std::fs::read_dir(root().join("tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() || path.join("main.rs").is_file())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let page = read("CONTRIBUTING.md");
    let paragraph = page.split("\n\n").find(|text| text.starts_with("**Quick tests.**")).unwrap();
    let (included, left_out) = paragraph.split_once("It leaves out").unwrap();
    let named = |text: &str| -> BTreeSet<_> {
        let names = text.split("(`").skip(1).map(|rest| rest.split('`').next().unwrap().to_owned());
        names.collect()
    };
    assert_eq!(named(included), chosen);
    assert_eq!(named(left_out), &targets - &chosen);
}

/// Each `$ switchboard serve…` prints the lines shown. The ports differ, because another program
/// may use the ones shown.
#[test]
fn serve_commands_print_the_lines_shown() {
    let readme = read("README.md");
    let sessions: Vec<_> = sessions(&readme).into_iter().filter(|(typed, _)| typed.starts_with("serve ")).collect();
    assert!(!sessions.is_empty());
    for (typed, lines) in sessions {
        let mut args: Vec<String> = typed.split(' ').map(free_port).collect();
        if !typed.contains("--listen") {
            args.extend(free_ports_for(args[1].as_str()).iter().map(|&arg| arg.to_owned()));
        }
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let mut program = Program::start(command(&args).stdout(Stdio::piped()));
        for line in lines {
            let [listening, service, transport, address] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            assert_eq!((listening, Some(service)), ("listening", typed.split(' ').nth(1)));
            assert_eq!(host(&program.address(transport)), host(address));
        }
    }
}

/// Returns arguments for listeners on free ports, of the same kinds as the service's default
/// listeners.
fn free_ports_for(service: &str) -> &'static [&'static str] {
    match service {
        "chat" => &["--listen", "127.0.0.1:0", "--listen", "lines@127.0.0.1:0", "--listen", "udp:127.0.0.1:0"],
        "echo" => &["--listen", "127.0.0.1:0", "--listen", "udp:127.0.0.1:0"],
        _ => &["--listen", "127.0.0.1:0"],
    }
}

/// The commands for `files` and `exec`, and the commands beside them, work.
#[test]
fn files_exec_and_other_commands_work() {
    let start = |typed: &str, own: &[&str]| {
        let args: Vec<_> = typed.split(' ').chain(own.iter().copied()).collect();
        Program::start(command(&args).stdout(Stdio::piped()))
    };
    let readme = read("README.md");
    let sessions = sessions(&readme);
    let typed = |name: &str| sessions.iter().find(|(typed, _)| typed.starts_with(name)).unwrap().0;
    let own = ["--listen", "127.0.0.1:0"];
    let (mut files, mut exec) = (start(typed("serve files"), &own), start(typed("serve exec"), &own));
    let web = start_web_server(b"<html>");
    let folder = tempfile::tempdir().unwrap();
    let script = block("sh", "call files");
    let (served, others): (Vec<_>, Vec<_>) = script.lines().partition(|line| line.contains("serve --config"));
    assert_eq!(served, ["switchboard serve --config switchboard.toml"], "service_pages.rs tests the configuration");
    let others = others.join("\n").replace("127.0.0.1:1111", &files.address("tcp"));
    let others = others.replace("127.0.0.1:8086", &exec.address("tcp")).replace("example.com", &web);
    let others = others.replace("switchboard ", &format!("{} ", env!("CARGO_BIN_EXE_switchboard")));
    let output = Command::new("sh").args(["-euc", &others]).current_dir(folder.path()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("services.md") && printed.contains("Linux") && printed.ends_with("<html>"), "{printed}");
    let fetched = std::fs::read_to_string(folder.path().join("services.md")).unwrap();
    assert_eq!(fetched, read("docs/services.md"));
}

/// Starts a web server that replies to one request. Returns its address.
fn start_web_server(body: &'static [u8]) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            std::io::Read::read_exact(&mut client, &mut byte).unwrap();
            request.extend(byte);
        }
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        client.write_all(body).unwrap();
    });
    address
}

/// The measurements print the rows that the README shows. The runs are short, because the test
/// checks the rows and not the figures.
#[test]
fn measurements_have_the_rows_shown() {
    let readme = read("README.md");
    let sessions: Vec<_> = sessions(&readme).into_iter().filter(|(typed, _)| !typed.starts_with("serve")).collect();
    assert_eq!(sessions.len(), 3, "duel, bench echo and bench chat");
    assert!(sessions.iter().all(|(_, shown)| shown.clone().count() > 3), "each session shows output");
    for (typed, shown) in sessions {
        let mut args: Vec<_> = typed.split(' ').collect();
        // A row needs a delivery in the measured time.
        let measured = scaled(Duration::from_millis(300));
        let duration = millis(measured);
        // On a busy machine, 5 s may pass in which a server does not run.
        args.extend(["--duration", &duration, "--warm-up", "50ms", "--answer-timeout", "60s"]);
        if args[0] == "duel" {
            args.extend(["--rounds", "2"]);
        }
        let output = crate::program::run(&args);
        assert!(output.status.success(), "{typed}: {}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        let labels: Vec<_> = printed.lines().filter_map(row_label).collect();
        for row in shown.filter_map(row_label) {
            assert!(labels.contains(&row), "{typed} prints no row '{row}':\n{printed}");
        }
    }
}

/// Returns the label of a table row: the text before the first two spaces.
fn row_label(line: &str) -> Option<&str> {
    line.split_once("  ").map(|(label, _)| label).filter(|label| !label.is_empty())
}

#[test]
fn python_client_gets_its_reply() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let mut program = Program::serve(&["--listen", "127.0.0.1:0"]);
    let (_, port) =
        program.address("tcp").rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let script = block("python", "struct").replace("7000", &port);
    let output = Command::new("python3").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), block("text", "b'hello'"));
}

#[test]
fn text_at_a_framed_port_logs_the_reason_shown() {
    let mut program = Program::serve(&["--listen", "127.0.0.1:0"]);
    let mut client = TcpStream::connect(program.address("tcp")).unwrap();
    client.write_all(b"hello\n").unwrap();
    let reason = |line: &str| line.split_once(" closed: ").unwrap().1.to_owned();
    assert_eq!(reason(&program.logged(" closed: ")), reason(&block("text", " closed: ")));
}

#[test]
fn service_shown_is_the_compiled_example() {
    let example = read("examples/ten_lines.rs");
    assert!(example.contains(&block("rust", "struct Shout")));
}

/// Returns, for each console block, the arguments after `$ switchboard` and the printed lines.
fn sessions(readme: &str) -> Vec<(&str, std::str::Lines<'_>)> {
    let consoles = blocks(readme).into_iter().filter(|(lang, _)| *lang == "console");
    consoles
        .map(|(_, block)| {
            let mut lines = block.lines();
            (lines.next().unwrap().strip_prefix("$ switchboard ").unwrap(), lines)
        })
        .collect()
}

/// Replaces the port of an address argument by 0.
fn free_port(argument: &str) -> String {
    match argument.rsplit_once(':') {
        Some((host, _)) => format!("{host}:0"),
        None => argument.to_owned(),
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').unwrap().0
}
