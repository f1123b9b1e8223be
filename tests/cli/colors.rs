//! Colours and cursor movement, by the environment.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::guard::guard;
use crate::peer::Fake;
use crate::program::{Program, Signal, command};
use crate::terminal::Terminal;

/// `TERM=dumb`, with variables by which some programs decide for colours.
const DUMB: &[(&str, &str)] = &[("TERM", "dumb"), ("CI", "1"), ("CLICOLOR", "1"), ("COLORTERM", "truecolor")];
const NO_COLOR: &[(&str, &str)] = &[("TERM", "xterm-256color"), ("NO_COLOR", "1"), ("CI", "1")];
const COLORS: &[(&str, &str)] = &[("TERM", "xterm-256color")];

/// Returns true if the output sets a colour or another attribute: `ESC [ … m`.
fn has_colors(output: &str) -> bool {
    let is_parameter = |c: char| c.is_ascii_digit() || matches!(c, ';' | ':');
    output.split("\x1b[").skip(1).any(|rest| rest.trim_start_matches(is_parameter).starts_with('m'))
}

/// Checks that the output has no colours where they are forbidden. `run` returns what the program
/// writes to a terminal.
#[track_caller]
fn check_plain(run: impl Fn(&[(&str, &str)]) -> String) {
    let dumb = run(DUMB);
    assert!(!dumb.is_empty() && !dumb.contains('\x1b'), "{dumb:?}");
    let plain = run(NO_COLOR);
    assert!(!plain.is_empty() && !has_colors(&plain), "{plain:?}");
}

/// Checks also that the output has colours where they are allowed.
#[track_caller]
fn check(run: impl Fn(&[(&str, &str)]) -> String) {
    check_plain(&run);
    let colored = run(COLORS);
    assert!(has_colors(&colored), "{colored:?}");
}

#[test]
fn help_obeys_the_environment() {
    check(|variables| Terminal::run_with(&["--help"], variables).output());
    check(|variables| Terminal::run_with(&["call", "chat", "--help"], variables).output());
    check(|variables| Terminal::run_with(&["call"], variables).output());
    check_plain(|variables| Terminal::run_with(&["nonsense"], variables).output());
}

#[test]
fn log_obeys_the_environment() {
    check(|variables| {
        let terminal = Terminal::run_with(&["-v", "serve", "echo", "--listen", "127.0.0.1:0"], variables);
        terminal.shows_text("listening echo tcp");
        terminal.signal(Signal::TERM);
        terminal.output()
    });
}

#[test]
fn operator_console_obeys_the_environment() {
    check(|variables| {
        let args = ["serve", "chat", "--listen", "lines@127.0.0.1:0", "--console"];
        let mut terminal = Terminal::run_with(&args, variables);
        let listening = terminal.shows_text("listening chat tcp ");
        let member = TcpStream::connect(listening.split_whitespace().nth(3).unwrap()).unwrap();
        member.set_read_timeout(Some(guard())).unwrap();
        (&member).write_all(b"hello\n").unwrap();
        let mut lines = BufReader::new(member).lines().map(Result::unwrap);
        lines.find(|line| line.ends_with(": hello")).unwrap();
        terminal.shows_text(": hello");
        terminal.types("/quit\r");
        terminal.output()
    });
}

#[test]
fn chat_obeys_the_environment() {
    check(|variables| {
        let server = Fake::new();
        let mut terminal = Terminal::run_with(&["call", "chat", &server.address(), "--nick", "eva"], variables);
        let mut peer = server.greet();
        peer.message("lobby", 1, "bo", "hello");
        terminal.shows_text(": hello");
        terminal.types("\x04");
        while let Some(request) = peer.next() {
            if request["type"] == "ping" {
                peer.send(&serde_json::json!({"type": "pong"}));
            }
        }
        terminal.output()
    });
}

#[test]
fn progress_bars_obey_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), vec![0; 1 << 20]).unwrap();
    let root = folder.path().to_str().unwrap();
    let serve = ["serve", "files", "--root", root, "--listen", "127.0.0.1:0"];
    let mut server = Program::start(command(&serve).stdout(Stdio::piped()));
    let address = server.address("tcp");
    let to = folder.path().join("y");
    check_plain(|variables| {
        let args = ["call", "files", &address, "get", "x", "-o", to.to_str().unwrap()];
        Terminal::run_with(&args, variables).output()
    });
    let mut server = Program::serve(&["--listen", "127.0.0.1:0"]);
    let address = server.address("tcp");
    check_plain(|variables| {
        let args = ["bench", "echo", &address, "--connections=1", "--warm-up=0", "--duration=300ms"];
        Terminal::run_with(&args, variables).output()
    });
}
