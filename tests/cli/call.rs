//! `call chat` in a pipe: what it sends, what it prints, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::peer::Fake;
use crate::program::{Program, Signal, command, run};

/// The client with its standard input in the test's hands.
fn call(address: &str, args: &[&str]) -> (Program, ChildStdin) {
    let mut command = command(&["call", "chat", address]);
    command.args(args).env_remove("USER").stdin(Stdio::piped()).stdout(Stdio::piped());
    Program::start_with_input(&mut command)
}

/// Its standard error, standard output and exit code.
fn ended(mut program: Program) -> (Option<i32>, String, String) {
    let code = program.wait().code();
    (code, program.printed(), program.log())
}

#[test]
fn piped_lines_are_sent_then_the_client_exits() {
    let server = Fake::new();
    let (program, mut input) = call(&server.address(), &["--nick", "eva"]);
    input.write_all(b"hi\n\nlast line").unwrap();
    drop(input);
    let mut peer = server.greet();
    peer.hear("lobby", "hi", 1);
    peer.message("lobby", 1, "eva", "hi");
    peer.hear("lobby", "last line", 2);
    peer.finish();
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*log), (Some(0), ""));
    assert!(printed.ends_with("[lobby] eva: hi\n"), "{printed}");
    assert!(!printed.contains('\x1b'), "{printed}");
}

#[test]
fn empty_input_only_checks_the_server() {
    let server = Fake::new();
    let (program, input) = call(&server.address(), &["--nick", "eva"]);
    drop(input);
    server.greet().finish();
    assert_eq!(ended(program).0, Some(0));
    // The first ping of a guest is its greeting.
    let (program, input) = call(&server.address(), &[]);
    drop(input);
    let mut peer = server.accept();
    peer.expect("ping");
    peer.send(&json!({"type": "pong"}));
    peer.finish();
    assert_eq!(ended(program).0, Some(0));
}

#[test]
fn user_that_is_no_nick_falls_back_to_a_guest() {
    let server = Fake::new();
    let mut command = command(&["call", "chat", &server.address()]);
    let command = command.env("USER", "e va").stdin(Stdio::piped()).stdout(Stdio::piped());
    let (program, mut input) = Program::start_with_input(command);
    input.write_all(b"hi\n").unwrap();
    drop(input);
    let mut peer = server.accept();
    let hello = peer.expect("hello");
    assert_eq!(hello["nick"], "e va");
    peer.send(&json!({"type": "error", "code": "bad-nick", "text": "a nick has no spaces", "ref": hello["ref"]}));
    peer.hear("lobby", "hi", 1);
    peer.finish();
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*printed), (Some(0), "! a nick has no spaces\n"));
    assert_eq!(log, "* nick e va is refused; you are a guest: /nick NAME takes a nick\n");
}

#[test]
fn server_that_does_not_answer_the_greeting_is_no_chat_server() {
    for args in [&["--nick", "eva", "--timeout", "200ms"][..], &["--timeout", "200ms"]] {
        let server = Fake::new();
        let (program, _input) = call(&server.address(), args);
        let mut peer = server.accept();
        assert!(peer.next().is_some());
        let (code, printed, log) = ended(program);
        assert_eq!((code, &*printed), (Some(1), ""));
        let says = "switchboard: no answer to the greeting for 200ms; check that this is a chat server's port for JSON";
        assert!(log.starts_with(says), "{log}");
    }
}

#[test]
fn server_that_only_closes_is_no_chat_server() {
    let server = Fake::new();
    let (program, _input) = call(&server.address(), &["--timeout", "300ms"]);
    drop(server.accept());
    // A second connection, if there is time for one, has no answer.
    let (code, _, log) = ended(program);
    let last = log.lines().last().unwrap();
    assert_eq!(code, Some(1));
    assert!(last.contains("never answered; check") || last.contains("no answer to the greeting"), "{log}");
}

#[test]
fn message_over_the_servers_limit_is_not_sent_for_ever() {
    let listen = ["serve", "chat", "--listen", "127.0.0.1:0", "--max-frame-bytes", "1024"];
    let mut server = Program::start(crate::program::command(&listen).stdout(Stdio::piped()));
    let (program, mut input) = call(&server.address("tcp"), &["--nick", "eva"]);
    input.write_all(&[b'x'; 2000]).unwrap();
    drop(input);
    let (code, _, log) = ended(program);
    assert_eq!(code, Some(1));
    assert!(log.contains("switchboard: the server removed you: frame too large: "), "{log}");
    assert!(!log.contains("trying again"), "{log}");
}

#[test]
fn line_of_exactly_the_limit_is_sent() {
    let server = Fake::new();
    let (program, mut input) = call(&server.address(), &["--nick", "eva"]);
    let writer = std::thread::spawn(move || input.write_all(&[&vec![b'x'; 1 << 20][..], b"\n"].concat()));
    let mut peer = server.accept();
    let hello = peer.expect("hello");
    let welcome = json!({"type": "welcome", "nick": hello["nick"], "rooms": ["lobby"], "messages_per_second": 0});
    peer.send(&welcome);
    for id in 1..=(1 << 20) / 4096 {
        peer.hear("lobby", &"x".repeat(4096), id);
    }
    peer.finish();
    assert_eq!(ended(program).0, Some(0));
    writer.join().unwrap().unwrap();
}

#[test]
fn room_flags_join_rooms_and_piped_commands_run() {
    let server = Fake::new();
    let (program, mut input) = call(&server.address(), &["--nick", "eva", "--room", "tea", "--room", "talk"]);
    input.write_all(b"//slash\n/msg bo psst\n/room lobby\nback here\n/jion x\n/quit\nnot said\n").unwrap();
    let mut peer = server.greet();
    for room in ["talk", "tea"] {
        assert_eq!(peer.expect("join")["room"], room);
        peer.send(&json!({"type": "joined", "room": room, "nick": "eva"}));
    }
    peer.hear("talk", "/slash", 1);
    let whisper = peer.expect("whisper");
    assert_eq!((&whisper["to"], &whisper["text"]), (&json!("bo"), &json!("psst")));
    peer.hear("lobby", "back here", 1);
    peer.finish();
    let (code, _, log) = ended(program);
    assert_eq!(code, Some(1));
    assert!(log.contains("* unknown command /jion: /help lists the commands"), "{log}");
    assert!(log.ends_with("switchboard: lines refused or invalid: 1\n"), "{log}");
}

#[test]
fn refused_line_exits_1() {
    let server = Fake::new();
    let (program, mut input) = call(&server.address(), &["--nick", "eva"]);
    input.write_all(b"bell \x07\n").unwrap();
    drop(input);
    let mut peer = server.greet();
    let say = peer.expect("say");
    peer.send(&json!({"type": "error", "code": "bad-text", "text": "no control characters", "ref": say["ref"]}));
    peer.finish();
    let (code, printed, log) = ended(program);
    assert_eq!(code, Some(1));
    assert!(printed.contains("no control characters"), "{printed}");
    assert!(log.contains("switchboard: lines refused or invalid: 1"), "{log}");
}

#[test]
fn json_output_is_the_servers_events_only() {
    let server = Fake::new();
    let (program, input) = call(&server.address(), &["--nick", "eva", "--json"]);
    let peer = {
        let mut peer = server.accept();
        peer.expect("hello");
        peer
    };
    let welcome = r#"{"type":"welcome","rooms":["lobby"],"nick":"eva","later":{"b":1,"a":2}}"#;
    peer.send_payload(welcome.as_bytes());
    peer.send_payload(b"{\"type\":\n  \"fanfare\"}");
    peer.send_payload("{\"type\":\"bye\",\"reason\":\"\\u001b[2J grüße\"}".as_bytes());
    drop(input);
    peer.finish();
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*log), (Some(0), ""));
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(
        lines,
        [
            welcome,
            "{\"type\":   \"fanfare\"}",
            "{\"type\":\"bye\",\"reason\":\"\\u001b[2J grüße\"}",
            "{\"type\":\"pong\"}"
        ]
    );
}

#[test]
fn taken_nick_is_replaced_by_the_offered_one() {
    let server = Fake::new();
    let (program, input) = call(&server.address(), &["--nick", "eva"]);
    drop(input);
    let mut peer = server.accept();
    let hello = peer.expect("hello");
    let label = hello["ref"].clone();
    peer.send(&json!({"type": "error", "code": "nick-taken", "text": "taken", "offer": "eva2", "ref": label}));
    assert_eq!(peer.expect("hello")["nick"], "eva2");
    peer.send(&json!({"type": "welcome", "nick": "eva2", "rooms": ["lobby"]}));
    peer.finish();
    let (code, _, log) = ended(program);
    assert_eq!((code, &*log), (Some(0), "* nick eva is in use; you are eva2\n"));
}

#[test]
fn client_reconnects_and_requests_missed_messages() {
    let server = Fake::new();
    let (mut program, mut input) = call(&server.address(), &["--nick", "eva"]);
    let mut peer = server.greet();
    peer.message("lobby", 7, "bo", "seven");
    input.write_all(b"heard?\n").unwrap();
    let lost = peer.expect("say");
    drop(peer);

    let mut peer = server.accept();
    assert_eq!(peer.expect("hello")["nick"], "eva");
    // A message arrives before the client has requested the ones it missed.
    peer.message("lobby", 10, "bo", "ten");
    peer.send(&json!({"type": "welcome", "nick": "eva", "rooms": ["lobby"]}));
    let join = peer.expect("join");
    assert_eq!((&join["room"], &join["since"]), (&json!("lobby"), &json!(7)));
    peer.expect("ping");
    peer.message("lobby", 8, "bo", "eight");
    peer.message("lobby", 9, "bo", "nine");
    peer.message("lobby", 10, "bo", "ten");
    peer.send(&json!({"type": "pong"}));
    let again = peer.expect("say");
    assert_eq!(again["text"], "heard?");
    assert_ne!(again["ref"], lost["ref"]);
    peer.send(&json!({"type": "ack", "ref": again["ref"], "id": 11}));
    drop(input);
    peer.finish();
    assert_eq!(program.wait().code(), Some(0));
    let printed = program.printed();
    let texts: Vec<_> = printed.lines().filter_map(|line| line.strip_prefix("[lobby] bo: ")).collect();
    assert_eq!(texts, ["seven", "eight", "nine", "ten"]);
    let log = program.log();
    let lines: Vec<_> = log.lines().collect();
    assert!(lines[0].starts_with("* connection lost; trying again in 0."), "{log}");
    assert_eq!(lines[1], "* reconnected; 3 missed messages follow");
    assert_eq!(lines[2], "* sending 1 message again: it may not have arrived, and may appear twice");
}

#[test]
fn no_reconnect_exits_1_when_the_connection_is_lost() {
    let server = Fake::new();
    let (program, _input) = call(&server.address(), &["--nick", "eva", "--no-reconnect"]);
    drop(server.greet());
    let (code, _, log) = ended(program);
    assert_eq!(code, Some(1));
    assert_eq!(log, "switchboard: connection lost; --no-reconnect forbids a new connection\n");
}

#[test]
fn lines_are_sent_at_the_servers_rate_limit() {
    let server = Fake::new();
    let (program, mut input) = call(&server.address(), &["--nick", "eva"]);
    let lines: Vec<_> = (1..=30).map(|number| number.to_string()).collect();
    input.write_all(lines.join("\n").as_bytes()).unwrap();
    drop(input);
    let mut peer = server.accept();
    let begun = Instant::now();
    peer.expect("hello");
    peer.send(&json!({"type": "welcome", "nick": "eva", "rooms": [], "messages_per_second": 50, "burst": 5}));
    // The server's own count: it must never be overdrawn.
    let (mut tokens, mut counted) = (5.0 - 1.0, begun);
    for number in 1..=30 {
        let say = peer.expect("say");
        let now = Instant::now();
        tokens = f64::min(5.0, tokens + (now - counted).as_secs_f64() * 50.0) - 1.0;
        counted = now;
        assert!(tokens > -0.01, "line {number} is a flood: {tokens}");
        assert_eq!(say["text"], number.to_string());
        peer.send(&json!({"type": "ack", "ref": say["ref"], "id": number}));
    }
    // 31 requests and a burst of 5: at 50 a second that is half a second and more.
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    peer.finish();
    assert_eq!(ended(program).0, Some(0));
}

#[test]
fn non_chat_server_is_reported() {
    let bytes = |payload: &[u8]| [&u32::try_from(payload.len()).unwrap().to_be_bytes(), payload].concat();
    for (sent, says) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "1048576 allowed; the bytes look like"),
        (bytes(b"hello there"), "'hello there': expected value"),
        (bytes(br#"{"type":"ack"}"#), "': missing field"),
        (bytes(b"\x1b[2J"), "'\\u{1b}[2J': "),
    ] {
        let server = Fake::new();
        let (program, _input) = call(&server.address(), &["--nick", "eva"]);
        let peer = server.accept();
        peer.send_bytes(&sent);
        let (code, printed, log) = ended(program);
        assert_eq!((code, &*printed), (Some(1), ""));
        let begins = format!("switchboard: {}: invalid chat event: ", server.address());
        assert!(log.starts_with(&begins) && log.contains(says), "{log}");
        let ends = "; expected JSON in u32be frames: check the address and --framing, which is raw or lines for a \
                    server of plain text\n";
        assert!(log.ends_with(ends), "{log}");
    }
}

#[test]
fn control_sequences_of_the_server_are_escaped() {
    let server = Fake::new();
    let (program, input) = call(&server.address(), &["--nick", "eva", "--colour", "never"]);
    let peer = server.greet();
    let evil = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\r";
    peer.message("lobby", 1, "bo", evil);
    peer.send(&json!({"type": "joined", "room": evil, "nick": evil}));
    peer.send(&json!({"type": "who", "room": evil, "count": 1, "nicks": [evil]}));
    peer.send(&json!({"type": "error", "code": evil, "text": evil}));
    peer.send(&json!({"type": "error", "code": "unknown-id", "text": evil, "room": "lobby"}));
    peer.send(&json!({"type": "renamed", "was": evil, "nick": evil}));
    peer.send(&json!({"type": "bye", "reason": evil}));
    drop(input);
    peer.finish();
    let (_, printed, log) = ended(program);
    for shown in [&printed, &log] {
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    }
    assert!(printed.contains("]0;owned"), "{printed}");
}

#[test]
fn refused_connect_has_advice() {
    let address = Fake::new().address();
    let output = run(&["call", "chat", &address]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr,
        format!(
            "switchboard: cannot reach {address}: connection refused; start one with 'switchboard serve chat \
             --listen {address}', or check the address\n"
        )
    );
    let output = run(&["call", "chat", "unix:/nowhere/at/all"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("start one with 'switchboard serve chat --listen unix:/nowhere/at/all'")
    );
}

#[test]
fn framing_flag_selects_the_length_prefix() {
    let server = Fake::new();
    let (program, input) = call(&server.address(), &["--nick", "eva", "--framing", "u16le"]);
    drop(input);
    let mut stream = server.accept_raw();
    for (request, event) in [("hello", r#"{"type":"welcome","nick":"eva","rooms":[]}"#), ("ping", r#"{"type":"pong"}"#)]
    {
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u16::from_le_bytes(head).into()];
        stream.read_exact(&mut payload).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap()["type"], request);
        stream.write_all(&[&u16::try_from(event.len()).unwrap().to_le_bytes(), event.as_bytes()].concat()).unwrap();
    }
    assert_eq!(ended(program).0, Some(0));
}

#[test]
fn closed_stdout_is_not_a_failure() {
    let server = Fake::new();
    let mut command = command(&["call", "chat", &server.address(), "--nick", "eva"]);
    let mut child: Child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take();
    let peer = server.greet();
    peer.message("lobby", 1, "bo", "one");
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    drop(printed);
    // The next connection finds no server.
    peer.message("lobby", 2, "bo", "two");
    peer.message("lobby", 3, "bo", "three");
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!((child.wait().unwrap().code(), &*log), (Some(0), ""));
    drop(input);
}

#[test]
fn signal_exits_with_its_code() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let server = Fake::new();
        let (mut program, _input) = call(&server.address(), &["--nick", "eva"]);
        let mut peer = server.greet();
        peer.message("lobby", 1, "bo", "ready");
        program.printed_until("[lobby] bo: ready");
        program.signal(signal);
        let (ended_with, _, log) = ended(program);
        assert_eq!((ended_with, &*log), (Some(code), ""));
        assert_eq!(peer.next(), None);
    }
}

#[test]
fn colours_need_a_terminal_or_the_flag() {
    for (args, coloured) in [(&[][..], false), (&["--colour", "always"], true), (&["--color", "never"], false)] {
        let server = Fake::new();
        let (program, input) = call(&server.address(), &[&["--nick", "eva"], args].concat());
        let peer = server.greet();
        peer.message("lobby", 1, "bo", "hi");
        drop(input);
        peer.finish();
        assert_eq!(ended(program).1.contains('\x1b'), coloured, "{args:?}");
    }
}
