use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::program::{Program, command};
use crate::{blocks, read};

pub(crate) fn block(language: &str, marker: &str) -> String {
    let readme = read("README.md");
    let found = blocks(&readme).into_iter().find(|(lang, text)| *lang == language && text.contains(marker));
    found.unwrap_or_else(|| panic!("README.md has no {language} block with '{marker}'")).1.to_owned()
}

/// The two commands are all the set-up there is. The first is run here as the program that it builds and starts, without its
/// default ports, which may be taken; the second is what runs this test.
#[test]
fn the_set_up_is_two_commands() {
    assert_eq!(block("sh", "cargo"), "cargo run --release -- serve\ncargo test");
    assert!(read(".ci/run").contains("step cargo test\n"), "what lands is tested with the README's own command");
    let mut program = Program::start(command(&["serve"]).stdout(Stdio::piped()));
    // On this machine somebody else may hold one of its ports, and then it says so.
    match program.line() {
        Some(line) => assert!(line.starts_with("listening echo tcp 127.0.0.1:"), "{line}"),
        None => assert!(program.logged("cannot listen on ").contains("stop the program that uses it")),
    }
}

/// Each `$ switchboard serve…` prints what the README shows, but for the ports, which any other program may hold.
#[test]
fn the_servers_print_what_is_shown() {
    let readme = read("README.md");
    let sessions: Vec<_> = sessions(&readme).into_iter().filter(|(typed, _)| typed.starts_with("serve ")).collect();
    assert!(!sessions.is_empty());
    for (typed, lines) in sessions {
        let mut args: Vec<String> = typed.split(' ').map(free_port).collect();
        if !typed.contains("--listen") {
            args.extend(any_ports_for(args[1].as_str()).iter().map(|&word| word.to_owned()));
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

/// Listeners of the service's own kinds at ports that nobody holds.
fn any_ports_for(service: &str) -> &'static [&'static str] {
    match service {
        "chat" => &["--listen", "127.0.0.1:0", "--listen", "lines@127.0.0.1:0", "--listen", "udp:127.0.0.1:0"],
        "echo" => &["--listen", "127.0.0.1:0", "--listen", "udp:127.0.0.1:0"],
        _ => &["--listen", "127.0.0.1:0"],
    }
}

/// What is typed at the two services that have to be told what they may do, and beside them, works where they are.
#[test]
fn the_other_commands_work() {
    let start = |typed: &str, own: &[&str]| {
        let args: Vec<_> = typed.split(' ').chain(own.iter().copied()).collect();
        Program::start(command(&args).stdout(Stdio::piped()))
    };
    let readme = read("README.md");
    let sessions = sessions(&readme);
    let typed = |name: &str| sessions.iter().find(|(typed, _)| typed.starts_with(name)).unwrap().0;
    let own = ["--listen", "127.0.0.1:0"];
    let (mut files, mut exec) = (start(typed("serve files"), &own), start(typed("serve exec"), &own));
    let web = web_server(b"<html>");
    let folder = tempfile::tempdir().unwrap();
    let script = block("sh", "call files");
    let (served, others): (Vec<_>, Vec<_>) = script.lines().partition(|line| line.contains("serve --config"));
    assert_eq!(served, ["switchboard serve --config switchboard.toml"], "which another test does");
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

/// Answers one request.
fn web_server(body: &'static [u8]) -> String {
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

/// The measurements say what the README shows, figures aside. They are made shorter here: what is tested is not the machine.
#[test]
fn the_measurements_have_the_rows_that_are_shown() {
    let readme = read("README.md");
    let sessions: Vec<_> = sessions(&readme).into_iter().filter(|(typed, _)| !typed.starts_with("serve")).collect();
    assert_eq!(sessions.len(), 3, "duel, bench echo and bench chat");
    assert!(sessions.iter().all(|(_, shown)| shown.clone().count() > 3), "each shows what it prints");
    for (typed, shown) in sessions {
        let mut args: Vec<_> = typed.split(' ').collect();
        args.extend(match args[0] {
            "duel" => ["--seconds", "0.2", "--warm-up", "50ms", "--rounds", "2"].as_slice(),
            _ => ["--duration", "300ms", "--warm-up", "50ms"].as_slice(),
        });
        let output = crate::program::run(&args);
        assert!(output.status.success(), "{typed}: {}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        let labels: Vec<_> = printed.lines().filter_map(label).collect();
        for row in shown.filter_map(label) {
            assert!(labels.contains(&row), "{typed} prints no row '{row}':\n{printed}");
        }
    }
}

/// What a row of a table is about: the words before its first wide gap, if it has one.
fn label(line: &str) -> Option<&str> {
    line.split_once("  ").map(|(label, _)| label).filter(|label| !label.is_empty())
}

#[test]
fn the_python_client_gets_its_answer() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("not tested: there is no python3");
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
fn text_at_the_framed_port_is_told_apart_in_the_words_shown() {
    let mut program = Program::serve(&["--listen", "127.0.0.1:0"]);
    let mut client = TcpStream::connect(program.address("tcp")).unwrap();
    client.write_all(b"hello\n").unwrap();
    let words = |line: &str| line.split_once(" closed: ").unwrap().1.to_owned();
    assert_eq!(words(&program.logged(" closed: ")), words(&block("text", " closed: ")));
}

#[test]
fn the_service_shown_is_the_one_that_is_compiled() {
    let example = read("examples/ten_lines.rs");
    assert!(example.contains(&block("rust", "struct Shout")));
}

/// What is typed after `$ switchboard` in each console block, and the lines that it prints.
fn sessions(readme: &str) -> Vec<(&str, std::str::Lines<'_>)> {
    let consoles = blocks(readme).into_iter().filter(|(lang, _)| *lang == "console");
    consoles
        .map(|(_, block)| {
            let mut lines = block.lines();
            (lines.next().unwrap().strip_prefix("$ switchboard ").unwrap(), lines)
        })
        .collect()
}

fn free_port(word: &str) -> String {
    match word.rsplit_once(':') {
        Some((host, _)) => format!("{host}:0"),
        None => word.to_owned(),
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').unwrap().0
}
