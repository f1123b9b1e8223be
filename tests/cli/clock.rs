//! `call clock`, against scripted servers.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::guard::guard;
use crate::peer::Fake;
use crate::program::Program;
use crate::terminal::Terminal;
use crate::text::{call, ended};

fn ask(args: &[&str]) -> Program {
    call(&[&["clock"], args].concat(), b"")
}

/// The next question.
fn question(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 512];
    let count = stream.read(&mut bytes).unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    socket
}

#[test]
fn one_request_gets_one_reply() {
    let server = Fake::new();
    for (args, asked) in [(&["%H:%M"][..], "%H:%M"), (&["12:00"], "12:00")] {
        let program = ask(&[&[&*server.address()], args].concat());
        let mut peer = server.accept_raw();
        assert_eq!(question(&mut peer), asked);
        peer.write_all(b"tea\x1b").unwrap();
        assert_eq!(question(&mut peer), "");
        assert_eq!(ended(program), (Some(0), "tea\x1b\n".to_owned(), String::new()));
    }
}

/// Sends the bytes one by one, with pauses, so that each arrives in a separate read.
fn trickle(stream: &TcpStream, answer: &[u8]) {
    let apart = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    for byte in answer {
        poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&apart)).unwrap();
        // The client may have closed already.
        let _ = (&mut &*stream).write_all(&[*byte]);
    }
}

#[test]
fn reply_in_pieces_is_printed_whole() {
    let is_whole = |_| {
        let server = Fake::new();
        let program = ask(&[&server.address(), "%s", "--every", "1ms", "--count", "2"]);
        let mut peer = server.accept_raw();
        for answer in ["12:00:00", "12:00:01"] {
            assert_eq!(question(&mut peer), "%s");
            trickle(&peer, answer.as_bytes());
        }
        drop(peer);
        ended(program) == (Some(0), "12:00:00\n12:00:01\n".to_owned(), String::new())
    };
    // A machine that is busy with something else is given another chance.
    assert!((0..10).any(is_whole));
}

#[test]
fn repeated_requests_use_one_connection() {
    let server = Fake::new();
    let program = ask(&[&server.address(), "%s", "--every", "1ms", "--count", "3"]);
    let mut peer = server.accept_raw();
    for answer in ["1", "2", "3"] {
        assert_eq!(question(&mut peer), "%s");
        peer.write_all(answer.as_bytes()).unwrap();
    }
    assert_eq!(question(&mut peer), "");
    assert_eq!(ended(program), (Some(0), "1\n2\n3\n".to_owned(), String::new()));
}

#[test]
fn unrequested_text_is_printed_at_once() {
    let server = Fake::new();
    let mut program = ask(&[&server.address(), "--every", "1h"]);
    let mut peer = server.accept_raw();
    question(&mut peer);
    for text in ["now", "and now", "for the last time"] {
        peer.write_all(text.as_bytes()).unwrap();
        assert_eq!(program.line().as_deref(), Some(text));
    }
}

#[test]
fn closed_connection_is_reported_at_once() {
    let server = Fake::new();
    let program = ask(&[&server.address(), "--every", "1h"]);
    let mut peer = server.accept_raw();
    question(&mut peer);
    peer.write_all(b"now").unwrap();
    drop(peer);
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*printed), (Some(1), "now\n"));
    assert!(log.starts_with(&format!("switchboard: {}: connection closed; ", server.address())), "{log}");
}

#[test]
fn rejected_format_exits_1() {
    let server = Fake::new();
    let program = ask(&[&server.address(), "%Q", "--every", "1ms"]);
    let mut peer = server.accept_raw();
    assert_eq!(question(&mut peer), "%Q");
    peer.write_all(b"error: what is \x1b%Q?").unwrap();
    let says = "switchboard: the clock rejects the format: what is \\u{1b}%Q?\n";
    assert_eq!(ended(program), (Some(1), String::new(), says.to_owned()));
}

/// Other clocks reply to an empty message with nothing.
#[test]
fn request_without_a_format_names_the_default() {
    const DEFAULT: &str = "%Y-%m-%d %H:%M:%S";
    for format in [&[][..], &[""]] {
        let server = Fake::new();
        let program = ask(&[&[&*server.address()], format].concat());
        let mut peer = server.accept_raw();
        assert_eq!(question(&mut peer), DEFAULT);
        peer.write_all(b"tea").unwrap();
        assert_eq!(ended(program), (Some(0), "tea\n".to_owned(), String::new()));
        for flag in ["--udp", "--broadcast"] {
            let server = socket("127.0.0.1:0");
            let address = server.local_addr().unwrap().to_string();
            let program = ask(&[&[flag, &*address, "--timeout", "2s"], format].concat());
            let mut bytes = [0; 512];
            let (count, from) = server.recv_from(&mut bytes).unwrap();
            assert_eq!(str::from_utf8(&bytes[..count]), Ok(DEFAULT), "{flag}");
            server.send_to(b"tea", from).unwrap();
            let (code, printed, log) = ended(program);
            assert_eq!((code, &*log), (Some(0), ""), "{flag}");
            assert!(printed.ends_with("tea\n"), "{printed}");
        }
    }
}

#[test]
fn encoding_applies_to_format_and_reply() {
    let (format, bytes): (_, &[u8]) = ("%H时", b"%H\xca\xb1");
    let (reply, shown): (&[u8], _) = (b"12\xca\xb1", "12时\n");
    let server = Fake::new();
    let program = ask(&[&server.address(), format, "--encoding", "gbk"]);
    let mut peer = server.accept_raw();
    let mut received = vec![0; bytes.len()];
    peer.read_exact(&mut received).unwrap();
    assert_eq!(received, bytes);
    peer.write_all(reply).unwrap();
    assert_eq!(ended(program), (Some(0), shown.to_owned(), String::new()));
    for flag in ["--udp", "--broadcast"] {
        let server = socket("127.0.0.1:0");
        let address = server.local_addr().unwrap().to_string();
        let program = ask(&[flag, &address, format, "--encoding", "gbk", "--timeout", "2s"]);
        let mut received = [0; 512];
        let (count, from) = server.recv_from(&mut received).unwrap();
        assert_eq!(&received[..count], bytes, "{flag}");
        server.send_to(reply, from).unwrap();
        let (code, printed, log) = ended(program);
        assert_eq!((code, &*log), (Some(0), ""), "{flag}");
        assert!(printed.ends_with(shown), "{printed}");
    }
}

#[test]
fn lost_reply_is_reported() {
    let server = socket("127.0.0.1:0");
    let address = server.local_addr().unwrap().to_string();
    let program = ask(&["--udp", &address, "--every", "1ms", "--count", "2", "--timeout", "2s"]);
    let mut bytes = [0; 512];
    server.recv(&mut bytes).unwrap();
    let (_, from) = server.recv_from(&mut bytes).unwrap();
    server.send_to(b"now", from).unwrap();
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*printed), (Some(1), "now\n"));
    assert!(log.starts_with("* no reply within 2s: "), "{log}");
}

#[test]
fn broadcast_prints_each_reply_with_its_sender() {
    let server = socket("0.0.0.0:0");
    let port = server.local_addr().unwrap().port();
    let everybody = format!("127.255.255.255:{port}");
    let mut bytes = [0; 512];
    let probe = socket("127.0.0.1:0");
    probe.set_broadcast(true).unwrap();
    if probe.send_to(b"probe", &everybody).is_err() || server.recv(&mut bytes).is_err() {
        eprintln!("skipped: broadcasts do not arrive here");
        return;
    }
    let program = ask(&["--broadcast", &everybody, "%H", "--timeout", "2s"]);
    let (count, from) = server.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"%H");
    let others = [socket("127.0.0.1:0"), socket("127.0.0.1:0"), socket("127.0.0.1:0")];
    for (other, answer) in others.iter().zip(["12", "13", "error: no"]) {
        other.send_to(answer.as_bytes(), from).unwrap();
    }
    let (code, printed, log) = ended(program);
    let [one, two, refusing] = others.each_ref().map(|other| other.local_addr().unwrap());
    assert_eq!((code, &*printed), (Some(0), &*format!("{one}\t12\n{two}\t13\n")));
    assert_eq!(log, format!("* {refusing}: error: no\n"));
}

#[test]
fn broadcast_without_a_reply_exits_1() {
    let server = socket("127.0.0.1:0");
    let address = server.local_addr().unwrap().to_string();
    let (code, printed, log) = ended(ask(&["--broadcast", &address, "--timeout", "100ms"]));
    assert_eq!((code, &*printed), (Some(1), ""));
    assert!(log.starts_with(&format!("switchboard: udp:{address}: no reply within 100ms; ")), "{log}");
}

#[test]
fn invalid_arguments_exit_2() {
    for (args, says) in [
        (&["127.0.0.1:1", "--every", "0"][..], "invalid --every 0: the interval must be positive; use for example 1s"),
        (&["127.0.0.1:1", "--count", "0"], "--count"),
        (&["--broadcast", "--count", "2"], "cannot be used with"),
        (&["udp:255.255.255.255:1"], "is a broadcast address: only 'call clock --broadcast' sends to it"),
        (&["--broadcast", "[::1]:1"], "--broadcast needs an IPv4 address"),
        (&["--broadcast", "unix:/x"], "is not a UDP address"),
        (&["127.0.0.1:1", "%H时", "--encoding", "latin1"], "cannot send the format: windows-1252 has no '时'"),
    ] {
        let (code, _, log) = ended(ask(args));
        assert_eq!(code, Some(2), "{args:?}: {log}");
        assert!(log.contains(says), "{args:?}: {log}");
    }
}

#[test]
fn ctrl_c_ends_a_repeating_request() {
    let server = Fake::new();
    let mut terminal = Terminal::run(&["call", "clock", &server.address(), "%s", "--every", "1h"]);
    let mut peer = server.accept_raw();
    question(&mut peer);
    peer.write_all(b"1\x1b[2J").unwrap();
    terminal.shows(&[r"1\u{1b}[2J", ""]);
    terminal.types("\x03");
    assert_ne!(terminal.code(), 0);
    assert!(terminal.is_cooked());
}
