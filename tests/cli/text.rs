//! `call echo`, `upper`, `greet`, `robot` and `parrot`, against scripted servers.

mod cut_characters;
mod greetings;
pub(crate) mod over_udp;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use socket2::{Domain, Socket, Type};

use crate::guard::guard;
use crate::peer::Fake;
use crate::program::{Program, Signal, SocketPath, command, run};
use crate::terminal::Terminal;

/// The client, with this as its standard input.
pub(crate) fn call(args: &[&str], input: &[u8]) -> Program {
    let mut command = command(&["call"]);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let (program, mut stdin) = Program::start_with_input(&mut command);
    // It may have ended before it read any of it.
    let written = stdin.write_all(input);
    assert!(written.is_ok() || written.as_ref().unwrap_err().kind() == ErrorKind::BrokenPipe, "{written:?}");
    program
}

/// Its exit code, standard output and standard error.
pub(crate) fn ended(mut program: Program) -> (Option<i32>, String, String) {
    let code = program.wait().code();
    (code, program.printed(), program.log())
}

/// Reads just this.
#[track_caller]
pub(crate) fn expect(stream: &mut impl Read, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(read.escape_ascii().to_string(), bytes.escape_ascii().to_string());
}

#[track_caller]
fn expect_end(mut stream: TcpStream) {
    assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0);
}

#[test]
fn reply_in_pieces_is_one_reply() {
    let server = Fake::new();
    let program = call(&["upper", &server.address()], b"hello\r\nworld");
    let mut peer = server.accept_raw();
    expect(&mut peer, b"hello");
    for piece in ["H", "EL", "LO"] {
        peer.write_all(piece.as_bytes()).unwrap();
    }
    expect(&mut peer, b"world");
    peer.write_all(b"WORLD").unwrap();
    expect_end(peer);
    assert_eq!(ended(program), (Some(0), "HELLO\nWORLD\n".to_owned(), String::new()));
}

#[test]
fn long_line_is_sent_while_its_reply_is_read() {
    let server = Fake::new();
    let line = vec![b'x'; 1_000_000];
    let program =
        call(&["echo", &server.address(), "--framing", "raw", "--timeout", "20s"], &[&line[..], b"\nend\n"].concat());
    let mut peer = server.accept_raw();
    let (mut bytes, mut ahead) = ([0; 1000], vec![0; 64 << 10]);
    // No more than this is ever under way, so that nothing depends on what the system has room for.
    let mut most = 0;
    loop {
        match peer.read(&mut bytes).unwrap() {
            0 => break,
            count => peer.write_all(&bytes[..count]).unwrap(),
        }
        let unread = peer.peek(&mut ahead);
        most = most.max(unread.unwrap());
    }
    assert!(most <= 16 << 10, "{most} bytes were waiting");
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*log), (Some(0), ""));
    assert!(printed.as_bytes() == [&line[..], b"\nend\n"].concat(), "{} bytes", printed.len());
}

#[test]
fn echo_uses_u32be_frames_by_default() {
    let server = Fake::new();
    let program = call(&["echo", &server.address(), "--json"], b"a\n\n\xc3\xa9\n");
    let mut peer = server.accept_raw();
    for frame in [&b"\0\0\0\x01a"[..], b"\0\0\0\0", b"\0\0\0\x02\xc3\xa9"] {
        expect(&mut peer, frame);
        peer.write_all(frame).unwrap();
    }
    expect_end(peer);
    let printed =
        "{\"sent\":\"a\",\"answer\":\"a\"}\n{\"sent\":\"\",\"answer\":\"\"}\n{\"sent\":\"é\",\"answer\":\"é\"}\n";
    assert_eq!(ended(program), (Some(0), printed.to_owned(), String::new()));
}

#[test]
fn own_echo_server_works_over_each_transport() {
    let path = SocketPath::new();
    let mut server =
        Program::serve(&["--listen", "127.0.0.1:0", "--listen", "udp:127.0.0.1:0", "--listen", &path.listen()]);
    let (tcp, udp) = (server.address("tcp"), server.address("udp"));
    for args in [&["echo", &*tcp][..], &["echo", &udp, "--udp"], &["echo", &path.listen()]] {
        let printed = "one\n\ntwo\n";
        assert_eq!(ended(call(args, printed.as_bytes())), (Some(0), printed.to_owned(), String::new()), "{args:?}");
    }
}

#[test]
fn greet_opens_a_connection_for_each_line() {
    let server = Fake::new();
    let program = call(&["greet", &server.address()], b"eva\nbob\n");
    for name in ["eva", "bob"] {
        let mut peer = server.accept_raw();
        expect(&mut peer, name.as_bytes());
        peer.write_all(b"hello ").unwrap();
        peer.write_all(name.as_bytes()).unwrap();
    }
    assert_eq!(ended(program), (Some(0), "hello eva\nhello bob\n".to_owned(), String::new()));
}

#[test]
fn bye_ends_parrot_with_exit_0() {
    let server = Fake::new();
    let program = call(&["parrot", &server.address()], b"hi\n bYe\nnot said\n");
    let mut peer = server.accept_raw();
    expect(&mut peer, b"hi");
    peer.write_all(b"ho").unwrap();
    expect(&mut peer, b" bYe");
    drop(peer);
    assert_eq!(ended(program), (Some(0), "ho\n".to_owned(), String::new()));
}

#[test]
fn close_before_the_last_reply_exits_1() {
    let server = Fake::new();
    let program = call(&["robot", &server.address()], b"hi\nbye\n");
    let mut peer = server.accept_raw();
    expect(&mut peer, b"hi");
    peer.write_all(b"ho").unwrap();
    expect(&mut peer, b"bye");
    drop(peer);
    let says = format!("switchboard: {}: connection closed without a reply to 'bye'\n", server.address());
    assert_eq!(ended(program), (Some(1), "ho\n".to_owned(), says));
    let program = call(&["echo", &server.address()], b"hi\n");
    let mut peer = server.accept_raw();
    expect(&mut peer, b"\0\0\0\x02hi");
    peer.write_all(b"\0\0\0\x02h").unwrap();
    drop(peer);
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*printed), (Some(1), ""));
    assert!(log.contains("connection closed in the middle of a reply, after 5 bytes"), "{log}");
}

#[test]
fn missing_reply_times_out() {
    let server = Fake::new();
    let program = call(&["robot", &server.address(), "--timeout", "200ms"], b"hi\n");
    let mut peer = server.accept_raw();
    expect(&mut peer, b"hi");
    expect_end(peer);
    let says = format!("switchboard: {}: no reply within 200ms; allow more with --timeout\n", server.address());
    assert_eq!(ended(program), (Some(1), String::new(), says));
}

#[test]
fn unrequested_replies_are_printed() {
    let server = Fake::new();
    let program = call(&["echo", &server.address(), "--json"], b"a\nb\n");
    let mut peer = server.accept_raw();
    expect(&mut peer, b"\0\0\0\x01a");
    peer.write_all(b"\0\0\0\x01a\0\0\0\x03new").unwrap();
    expect(&mut peer, b"\0\0\0\x01b");
    peer.write_all(b"\0\0\0\x01b\0\0\0\x03end").unwrap();
    expect_end(peer);
    let (code, printed, _) = ended(program);
    let lines: Vec<_> = printed.lines().collect();
    let [a, new, b, end] = [
        r#"{"sent":"a","answer":"a"}"#,
        r#"{"sent":null,"answer":"new"}"#,
        r#"{"sent":"b","answer":"b"}"#,
        r#"{"sent":null,"answer":"end"}"#,
    ];
    assert_eq!((code, &*lines), (Some(0), &[a, new, b, end][..]));
}

#[test]
fn invalid_text_is_replaced_and_warned_about_once() {
    let server = Fake::new();
    let program = call(&["robot", &server.address()], b"1\n2\n");
    let mut peer = server.accept_raw();
    for (line, answer) in [(b"1", &b"caf\xe9 \x1b[31m"[..]), (b"2", b"\xff")] {
        expect(&mut peer, line);
        peer.write_all(answer).unwrap();
    }
    expect_end(peer);
    // A pipe gets what came, commands for terminals included.
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*printed), (Some(0), "caf\u{fffd} \x1b[31m\n\u{fffd}\n"));
    assert_eq!(
        log,
        "* a reply is not valid UTF-8: \u{fffd} replaces the invalid bytes; choose another with --encoding\n"
    );
}

#[test]
fn unencodable_line_is_reported_and_skipped() {
    let server = Fake::new();
    let program = call(&["robot", &server.address(), "--encoding", "latin1"], "a 你\n\u{e9}\n".as_bytes());
    let mut peer = server.accept_raw();
    expect(&mut peer, b"\xe9");
    peer.write_all(b"\xe8").unwrap();
    expect_end(peer);
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*printed), (Some(1), "\u{e8}\n"));
    let says = ["* 'a 你': not sent: windows-1252 has no '你'", "switchboard: 1 line got no reply"];
    assert_eq!(log.lines().collect::<Vec<_>>(), says);
}

#[test]
fn empty_and_non_utf8_lines_are_reported() {
    let server = Fake::new();
    let program = call(&["upper", &server.address()], b"\n\n\xff\nok\n");
    let mut peer = server.accept_raw();
    expect(&mut peer, b"ok");
    peer.write_all(b"OK").unwrap();
    expect_end(peer);
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*printed), (Some(1), "OK\n"));
    assert_eq!(log.matches("empty lines are skipped").count(), 1, "{log}");
    assert!(log.contains("not UTF-8"), "{log}");
}

/// A robot server written in Python.
const ROBOT: &str = "
import socket
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
stream, _ = listener.accept()
while True:
    said = stream.recv(1024).decode('gbk')
    if not said:
        break
    stream.sendall(('我听见' + said).encode('gbk'))
";

/// Starts the script as a child process; returns it and its port, or `None` without Python.
pub(crate) fn python(script: &str) -> Option<(Killed, String)> {
    let child = Command::new("python3").args(["-c", script]).stdout(Stdio::piped()).spawn();
    let Ok(child) = child else {
        eprintln!("skipped: there is no python3");
        return None;
    };
    let mut child = Killed(child);
    let mut port = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.0.stdout.take().unwrap()), &mut port).unwrap();
    Some((child, port.trim().to_owned()))
}

/// Ends with the test.
pub(crate) struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn python_robot_replies_in_gbk() {
    let Some((_robot, port)) = python(ROBOT) else { return };
    let program = call(&["robot", &format!("127.0.0.1:{port}"), "--encoding", "gbk"], "你好\n时间\n".as_bytes());
    assert_eq!(ended(program), (Some(0), "我听见你好\n我听见时间\n".to_owned(), String::new()));
}

#[test]
fn unix_socket_address_is_accepted() {
    let path = SocketPath::new();
    let listener = UnixListener::bind(path.path()).unwrap();
    let program = call(&["upper", &path.listen()], b"hi\n");
    let limit = rustix::event::Timespec { tv_sec: guard().as_secs().try_into().unwrap(), tv_nsec: 0 };
    let waiting = rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN);
    assert_eq!(rustix::event::poll(&mut [waiting], Some(&limit)).unwrap(), 1, "nobody connects");
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(guard())).unwrap();
    expect(&mut peer, b"hi");
    peer.write_all(b"HI").unwrap();
    assert_eq!(ended(program), (Some(0), "HI\n".to_owned(), String::new()));
}

#[test]
fn closed_stdout_ends_the_client() {
    let server = Fake::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command(&["call", "robot", &server.address()]);
    let (mut program, mut input) = Program::start_with_input(command.stdin(Stdio::piped()).stdout(writer));
    input.write_all(b"hi\n").unwrap();
    let mut peer = server.accept_raw();
    expect(&mut peer, b"hi");
    peer.write_all(b"ho").unwrap();
    // Its input is still open.
    expect_end(peer);
    assert_eq!((program.wait().code(), &*program.log()), (Some(0), ""));
    drop(input);
}

#[test]
fn refused_connect_has_advice() {
    // Bound, so that the port stays taken, and not listening.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap().to_string();
    for service in ["echo", "upper", "greet", "robot", "parrot"] {
        let says = format!(
            "switchboard: cannot reach {address}: connection refused; start one with 'switchboard serve {service} \
             --listen {address}', or check the address\n"
        );
        assert_eq!(ended(call(&[service, &address], b"hi\n")), (Some(1), String::new(), says));
    }
}

#[test]
fn invalid_arguments_exit_2() {
    for (args, says) in [
        (&["robot", "127.0.0.1:0"][..], "port 0 stands for any port"),
        (&["robot", "127.0.0.1"], "is not an address"),
        (&["robot", "127.0.0.1:1", "--timeout", "0"], "leaves no time"),
        (&["echo", "udp:127.0.0.1:1", "--framing", "u8"], "each datagram is one message"),
        (&["echo", "unix:/x", "--udp"], "is not a UDP address: leave out unix: or --udp"),
        (&["echo", "255.255.255.255:1"], "is a broadcast address"),
        (&["echo", "udp:127.255.255.255:1"], "is a broadcast address"),
        (&["robot", "--encoding", "utf-16"], "does not contain ASCII"),
    ] {
        let output = run(&[&["call"], args].concat());
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {log}");
        assert!(log.contains(says) && log.lines().count() == 1, "{args:?}: {log}");
    }
}

#[test]
fn control_sequences_in_replies_are_escaped() {
    let server = Fake::new();
    let mut terminal = Terminal::run(&["call", "robot", &server.address()]);
    let mut peer = server.accept_raw();
    terminal.shows(&["robot> "]);
    terminal.types("no\x03");
    terminal.shows(&["robot> no", "robot> "]);
    terminal.types("hi\r");
    expect(&mut peer, b"hi");
    peer.write_all(b"\x1b[2J\rred\nrobot> ").unwrap();
    let shown = ["robot> no", "robot> hi", r"\u{1b}[2J\rred", "    robot> ", "robot> "];
    terminal.shows(&shown);
    terminal.types("\x1b[A");
    terminal.shows(&[&shown[..4], &["robot> hi"]].concat());
    terminal.types("\x03");
    terminal.shows(&[&shown[..4], &["robot> hi", "robot> "]].concat());
    terminal.types("\x03");
    assert_eq!(terminal.code(), 0);
    assert!(terminal.is_cooked());
    expect_end(peer);
}

#[test]
fn server_close_is_noticed_with_the_next_line() {
    let server = Fake::new();
    let mut terminal = Terminal::run(&["call", "echo", &server.address(), "--framing", "lines"]);
    let mut peer = server.accept_raw();
    terminal.shows(&["echo> "]);
    // What is pasted is several lines, and the last waits to be sent.
    terminal.types("\x1b[200~one\rtwo\x1b[201~\r");
    for line in [b"one\n", b"two\n"] {
        expect(&mut peer, line);
        peer.write_all(line).unwrap();
    }
    terminal.shows(&["echo> one", "two", "one", "two", "echo> "]);
    drop(peer);
    terminal.types("three\r");
    assert_eq!(terminal.code(), 1);
    assert!(terminal.is_cooked());
}

#[test]
fn signal_restores_the_terminal() {
    let server = Fake::new();
    let mut terminal = Terminal::run(&["call", "robot", &server.address()]);
    let _peer = server.accept_raw();
    terminal.types("half");
    terminal.shows(&["robot> half"]);
    assert!(!terminal.is_cooked());
    terminal.signal(Signal::TERM);
    assert_ne!(terminal.code(), 0);
    assert!(terminal.is_cooked());
}
