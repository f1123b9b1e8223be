//! Input that arrives at a terminal while the program is busy, or several lines at once: no line
//! is lost and none is added, whatever ends the lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::json;

use crate::guard::guard;
use crate::peer::Fake;
use crate::program::{Program, command};
use crate::terminal::Terminal;
use crate::text::expect;

/// A text client at its prompt, and its connection.
#[track_caller]
fn echo_client() -> (Terminal, TcpStream) {
    let server = Fake::new();
    let terminal = Terminal::run(&["call", "echo", &server.address(), "--framing", "lines"]);
    let peer = server.accept_raw();
    terminal.shows(&["echo> "]);
    (terminal, peer)
}

/// Answers each of these lines at an echo client that writes lines.
#[track_caller]
fn echo(peer: &mut (impl Read + Write), lines: &[&str]) {
    for line in lines {
        let line = format!("{line}\n");
        expect(peer, line.as_bytes());
        peer.write_all(line.as_bytes()).unwrap();
    }
}

#[test]
fn lines_of_one_read_are_all_sent_by_a_text_client() {
    for end in ["\r", "\n", "\r\n"] {
        let (mut terminal, mut peer) = echo_client();
        terminal.types(&["one", "two", "three", ""].join(end));
        echo(&mut peer, &["one", "two", "three"]);
        terminal.shows(&["echo> one", "one", "echo> two", "two", "echo> three", "three", "echo> "]);
        // Nothing stands between the last line and the next.
        terminal.types("four\r");
        echo(&mut peer, &["four"]);
        terminal.types("\x04");
        assert_eq!(terminal.code(), 0);
        assert!(terminal.is_cooked());
    }
}

#[test]
fn line_end_cut_between_two_reads_is_one_end() {
    let (mut terminal, mut peer) = echo_client();
    terminal.types("one\r");
    echo(&mut peer, &["one"]);
    terminal.shows(&["echo> one", "one", "echo> "]);
    terminal.types("\ntwo\r\n");
    echo(&mut peer, &["two"]);
    // An empty line is a message like any other.
    terminal.types("\r\rthree\r");
    echo(&mut peer, &["", "", "three"]);
}

#[test]
fn lines_typed_during_a_request_are_sent_by_a_text_client() {
    for end in ["\r", "\n", "\r\n"] {
        let (mut terminal, mut peer) = echo_client();
        terminal.types("one\r");
        // The client waits for the answer.
        expect(&mut peer, b"one\n");
        terminal.types(&format!("two{end}three{end}{end}fo"));
        // The end of the input comes after what was typed before it.
        terminal.types(&format!("ur{end}\x04"));
        peer.write_all(b"one\n").unwrap();
        echo(&mut peer, &["two", "three", "", "four"]);
        assert_eq!(terminal.code(), 0);
        assert!(terminal.is_cooked());
    }
}

#[test]
fn long_line_typed_during_a_request_is_sent_whole() {
    let (mut terminal, mut peer) = echo_client();
    terminal.types("one\r");
    expect(&mut peer, b"one\n");
    // More than a terminal keeps of one line if it edits the line itself (4,095 bytes, termios(3)).
    let long = "0123456789".repeat(1000);
    terminal.types(&format!("{long}\r"));
    peer.write_all(b"one\n").unwrap();
    echo(&mut peer, &[&long]);
}

#[test]
fn lines_of_one_read_are_all_said_in_a_chat() {
    for end in ["\r", "\n", "\r\n"] {
        let server = Fake::new();
        let mut terminal = Terminal::run(&["call", "chat", &server.address(), "--nick", "eva"]);
        // Typed while the client waits for its welcome.
        terminal.types(&["one", "two", ""].join(end));
        let mut peer = server.greet();
        peer.hear("lobby", "one", 1);
        peer.hear("lobby", "two", 2);
        terminal.types(&["three", "four", "five", ""].join(end));
        for (id, text) in (3..).zip(["three", "four", "five"]) {
            peer.hear("lobby", text, id);
        }
        terminal.types("\x04");
        while peer.next().is_some() {}
        assert_eq!(terminal.code(), 0);
        assert!(terminal.is_cooked());
    }
}

#[test]
fn lines_typed_while_a_chat_waits_are_said_in_order() {
    let server = Fake::new();
    let mut terminal = Terminal::run(&["call", "chat", &server.address(), "--nick", "eva"]);
    let mut peer = server.greet();
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> "]);
    // The next prompt waits for the answer to this line.
    terminal.types("/join tea\r");
    peer.expect("join");
    terminal.types("one\r\ntwo\r\nhalf");
    peer.send(&json!({"type": "joined", "room": "tea", "nick": "eva"}));
    peer.hear("tea", "one", 1);
    peer.hear("tea", "two", 2);
    terminal.types(" a line\r\x04");
    peer.hear("tea", "half a line", 3);
    while peer.next().is_some() {}
    assert_eq!(terminal.code(), 0);
    assert!(terminal.is_cooked());
}

#[test]
fn lines_typed_while_a_chat_reconnects_are_said() {
    let server = Fake::new();
    let mut terminal = Terminal::run(&["call", "chat", &server.address(), "--nick", "eva"]);
    let peer = server.greet();
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> "]);
    drop(peer);
    terminal.types("one\rtwo\r\nthree\n");
    let mut peer = server.greet();
    peer.expect("join");
    peer.expect("ping");
    peer.send(&json!({"type": "pong"}));
    for (id, text) in (1..).zip(["one", "two", "three"]) {
        peer.hear("lobby", text, id);
    }
}

#[test]
fn pasted_text_and_lines_after_it_are_sent() {
    let (mut terminal, mut peer) = echo_client();
    terminal.types("\x1b[200~one\r\ntwo\nthree\rfour\x1b[201~ and\rfive\r\x1b[200~six\x1b[201~\r");
    echo(&mut peer, &["one", "two", "three", "four and", "five", "six"]);
}

#[test]
fn dumb_terminal_loses_no_line() {
    let server = Fake::new();
    let args = ["call", "echo", &server.address(), "--framing", "lines"];
    let mut terminal = Terminal::run_with(&args, &[("TERM", "dumb")]);
    let mut peer = server.accept_raw();
    terminal.types("one\rtwo\nthree\r");
    echo(&mut peer, &["one", "two", "three"]);
    terminal.types("\x04");
    assert_eq!(terminal.code(), 0);
}

#[test]
fn invalid_bytes_at_a_prompt_are_reported() {
    let (mut terminal, mut peer) = echo_client();
    terminal.types_bytes(b"gr\xfc\xdfe\r");
    terminal.shows_text("not sent: the line is not UTF-8");
    terminal.types("ok\r");
    echo(&mut peer, &["ok"]);
}

#[test]
fn lines_in_one_read_are_all_said_by_the_operator() {
    let mut terminal = Terminal::run(&["serve", "chat", "--listen", "lines@127.0.0.1:0", "--console"]);
    let listening = terminal.shows_text("listening chat tcp ");
    let address = listening.split_whitespace().nth(3).unwrap();
    let member = TcpStream::connect(address).unwrap();
    member.set_read_timeout(Some(guard())).unwrap();
    let mut lines = BufReader::new(member).lines().map(Result::unwrap);
    lines.find(|line| line.contains("you are")).unwrap();
    terminal.types("one\rtwo\nthree\r\nfour\r");
    for text in ["one", "two", "three", "four"] {
        let said = lines.find(|line| line.contains("operator:")).unwrap();
        assert_eq!(said, format!("[lobby] operator: {text}"));
    }
}

#[test]
fn lines_of_a_pipe_are_all_sent() {
    let server = Fake::new();
    let mut program = command(&["call", "echo", &server.address(), "--framing", "lines"]);
    let (mut program, mut input) = Program::start_with_input(program.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut peer = server.accept_raw();
    input.write_all(b"one\r\ntwo\nthree\r").unwrap();
    input.write_all(b"\nfour").unwrap();
    drop(input);
    echo(&mut peer, &["one", "two", "three", "four"]);
    assert_eq!(program.wait().code(), Some(0));
}
