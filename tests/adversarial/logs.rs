//! A log that nobody reads, and peers that fill it: line 10 of `docs/overload.md`.

// The program exists with the feature `cli` only.
#![cfg(feature = "cli")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Program, Signal, command};
use crate::support::guard;

/// Bytes of log for all offences of one kind.
const MAX_LOG_BYTES: usize = 20_000;

/// The engines by their names on the command line.
const ENGINES: [&str; 2] = ["reactor", "threads"];

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(guard())).unwrap();
    stream.set_write_timeout(Some(guard())).unwrap();
    stream
}

fn echoes(mut client: &TcpStream) {
    client.write_all(b"\0\0\0\x05hello").unwrap();
    let mut answer = [0; 9];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\0\0\0\x05hello");
}

/// Returns both ends of a pipe, of which the writer's is full.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut filler = &writer;
    while filler.write(&[b'.'; 4096]).is_ok_and(|bytes| bytes > 0) {}
    while filler.write(b".").is_ok_and(|bytes| bytes > 0) {}
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// Sends `bytes` and waits for the server's close.
fn offend(address: &str, bytes: &[u8]) {
    let mut client = connect(address);
    // The server may close before it has everything.
    let _ = client.write_all(bytes);
    let _ = client.shutdown(Shutdown::Write);
    let _ = client.read_to_end(&mut Vec::new());
}

#[test]
fn a_log_that_nobody_reads_does_not_stop_the_server() {
    for engine in ENGINES {
        let (mut reader, writer) = full_pipe();
        let args = ["serve", "echo", "-vv", "--engine", engine, "--listen", "127.0.0.1:0"];
        let mut server = Program::start_with_log(command(&args).stdout(Stdio::piped()), writer);
        let address = server.address("tcp");
        for _ in 0..5 {
            echoes(&connect(&address));
            offend(&address, b"\xff\xff\xff\xff");
        }
        // SIGUSR1 writes to the same log.
        server.signal(Signal::USR1);
        echoes(&connect(&address));
        server.signal(Signal::TERM);
        assert_eq!(server.wait_for_exit().code(), Some(0), "{engine}");
        let mut log = String::new();
        reader.read_to_string(&mut log).unwrap();
        assert!(log.trim_end_matches('.').is_empty(), "{engine}: the pipe had room: {log}");
    }
}

#[test]
fn a_full_standard_output_does_not_stop_the_start() {
    for engine in ENGINES {
        let (_reader, writer) = full_pipe();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listen = format!("unix:{}", socket.display());
        let args = ["serve", "echo", "--engine", engine, "--listen", &listen];
        let mut server = Program::start(command(&args).stdout(writer));
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(begun.elapsed() < guard(), "{engine} does not listen");
            std::thread::yield_now();
        }
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{engine}");
    }
}

#[test]
fn lines_that_nobody_read_are_counted_when_the_log_flows_again() {
    let (mut reader, writer) = full_pipe();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stats.json");
    let stats = ["--stats-file", file.to_str().unwrap(), "--log-format", "json"];
    let args = [&["serve", "echo", "-v", "--listen", "127.0.0.1:0"], &stats[..]].concat();
    let mut server = Program::start_with_log(command(&args).stdout(Stdio::piped()), writer);
    let address = server.address("tcp");
    // Each connection is two lines of debug. A queue of 256 KiB holds fewer than these.
    let lost = |file: &std::path::Path| {
        let stats: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        stats["log_lines_lost"].as_u64().filter(|lost| *lost > 0)
    };
    let begun = Instant::now();
    while lost(&file).is_none() {
        (0..100).for_each(|_| echoes(&connect(&address)));
        server.signal(Signal::USR1);
        assert!(begun.elapsed() < guard(), "no line is lost");
    }
    // The log flows again. What is read must be whole lines, and one has the number.
    let log = std::thread::spawn(move || {
        let mut log = Vec::new();
        reader.read_to_end(&mut log).unwrap();
        String::from_utf8(log).unwrap()
    });
    echoes(&connect(&address));
    server.signal(Signal::TERM);
    assert_eq!(server.wait_for_exit().code(), Some(0));
    let log = log.join().unwrap();
    let lines: Vec<Value> =
        log.trim_start_matches('.').lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_report = |line: &&Value| line["message"].as_str().unwrap().contains(" lines of the log are lost");
    assert!(lines.iter().any(|line| is_report(&line)), "{} lines", lines.len());
}

#[test]
fn a_closed_log_does_not_stop_the_server() {
    for engine in ENGINES {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let args = ["serve", "echo", "-vv", "--engine", engine, "--listen", "127.0.0.1:0"];
        let mut server = Program::start_with_log(command(&args).stdout(Stdio::piped()), writer);
        let address = server.address("tcp");
        (0..10).for_each(|_| echoes(&connect(&address)));
        server.signal(Signal::TERM);
        assert_eq!(server.wait_for_exit().code(), Some(0), "{engine}");
    }
}

/// A flood: the arguments of the server, the offence, and what the log says of the first.
struct Flood {
    args: &'static [&'static str],
    offend: fn(&str),
    /// Calls of `offend`.
    calls: usize,
    first: &'static str,
    left_out: &'static str,
}

/// Requests of one connection to exec that are refused.
fn refused_commands(address: &str) {
    let mut client = connect(address);
    let request = [b"\x09".repeat(100), b"\x7f".repeat(2000)].concat();
    for _ in 0..100 {
        client.write_all(&[&u32::try_from(request.len()).unwrap().to_be_bytes()[..], &request].concat()).unwrap();
        let mut length = [0; 4];
        client.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut answer).unwrap();
    }
}

fn started_commands(address: &str) {
    let mut client = connect(address);
    for _ in 0..20 {
        let request = format!("true {}", "\u{7f}".repeat(900));
        client.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut length = [0; 4];
        client.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut answer).unwrap();
    }
}

fn datagrams(address: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    (0..30).for_each(|_| _ = socket.send_to(&[0xff; 1000], address));
    // The answer to another client comes after these. A full receive buffer may drop its request.
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let begun = Instant::now();
    while other.send_to(b"x", address).is_err() || other.recv(&mut [0; 16]).is_err() {
        assert!(begun.elapsed() < guard(), "no answer");
    }
}

fn chat_flood(address: &str) {
    let mut client = connect(address);
    let _ = client.write_all(&b"hello\n".repeat(200));
    let _ = client.shutdown(Shutdown::Write);
    let _ = client.read_to_end(&mut Vec::new());
}

const FLOODS: [Flood; 8] = [
    Flood {
        args: &["echo", "--listen", "127.0.0.1:0"],
        offend: |address| offend(address, b"\xff\xff\xff\xff"),
        calls: 50,
        first: "frame too large",
        left_out: " more connections closed within 10s: bad frame",
    },
    Flood {
        args: &["echo", "--listen", "127.0.0.1:0"],
        offend: |address| offend(address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        calls: 50,
        first: "HTTP",
        left_out: " more connections closed within 10s: bad frame",
    },
    Flood {
        args: &["echo", "--listen", "127.0.0.1:0"],
        offend: |address| offend(address, b"\0\0\0\x09he"),
        calls: 50,
        first: "closed inside a frame",
        left_out: " more connections closed within 10s: truncated frame",
    },
    Flood {
        args: &["exec", "--allow", "date", "--dialect", "length", "--framing", "u32be", "--listen", "127.0.0.1:0"],
        offend: refused_commands,
        calls: 10,
        first: "rejected: ",
        left_out: " more lines within 10s: exec rejected request",
    },
    Flood {
        args: &["exec", "--allow", "true", "--dialect", "length", "--framing", "u32be", "--listen", "127.0.0.1:0"],
        offend: started_commands,
        calls: 5,
        first: ": starts true ",
        left_out: " more lines within 10s: exec starts",
    },
    Flood {
        args: &["files", "--root", "/", "--dialect", "plain", "--listen", "127.0.0.1:0"],
        offend: |address| offend(address, &b"\x7f".repeat(2000)),
        calls: 50,
        first: "rejected ",
        left_out: " more lines within 10s: files rejected request",
    },
    Flood {
        args: &["upper", "--answers-per-second", "1", "--listen", "udp:127.0.0.1:0"],
        offend: datagrams,
        calls: 10,
        first: "datagram not answered",
        left_out: " more warnings within 10s: datagrams over the rate",
    },
    Flood {
        args: &["chat", "--messages-per-second", "1", "--listen", "lines@127.0.0.1:0"],
        offend: chat_flood,
        calls: 50,
        first: "closed: ",
        left_out: " more lines within 10s: chat rate limit",
    },
];

#[test]
fn no_flood_fills_the_log_and_the_first_of_each_cause_is_seen() {
    for engine in ENGINES {
        for Flood { args, offend, calls, first, left_out } in &FLOODS {
            let args = [&["serve"], *args, &["--engine", engine]].concat();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            let log = File::create(&path).unwrap();
            let mut server = Program::start_with_log(command(&args).stdout(Stdio::piped()), log);
            let address = server.address(if args.iter().any(|arg| arg.starts_with("udp:")) { "udp" } else { "tcp" });
            (0..*calls).for_each(|_| offend(&address));
            server.signal(Signal::TERM);
            assert_eq!(server.wait_for_exit().code(), Some(0), "{args:?}");
            let log = std::fs::read_to_string(&path).unwrap();
            assert!(log.len() < MAX_LOG_BYTES, "{args:?}: {} bytes of log", log.len());
            assert!(log.contains(first), "{args:?}: '{first}' is not seen:\n{log}");
            assert!(log.contains(left_out), "{args:?}: '{left_out}' is not seen:\n{log}");
            assert!(log.lines().all(|line| line.len() < 1200), "{args:?}:\n{log}");
        }
    }
}

#[test]
fn rejected_newcomers_do_not_fill_the_log() {
    for engine in ENGINES {
        let args = ["serve", "echo", "--engine", engine, "--max-connections", "1", "--listen", "127.0.0.1:0"];
        let mut server = Program::start(command(&args).stdout(Stdio::piped()));
        let address = server.address("tcp");
        let first = connect(&address);
        echoes(&first);
        (0..200).for_each(|_| offend(&address, b""));
        server.signal(Signal::USR1);
        let line = server.logged("refusals: ");
        assert!(line.contains(" too_many_connections=200"), "{line}");
        drop(first);
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        let log = server.log();
        assert!(log.contains("echo: 190 more connections rejected within 10s: too many connections"), "{log}");
    }
}

#[test]
fn quiet_shows_the_statistics_that_were_asked_for() {
    for engine in ENGINES {
        let args = ["serve", "echo", "-q", "--engine", engine, "--stats-every", "100ms", "--listen", "127.0.0.1:0"];
        let mut server = Program::start(command(&args).stdout(Stdio::piped()));
        let address = server.address("tcp");
        let client = connect(&address);
        echoes(&client);
        let line = server.logged("last ");
        assert!(line.contains(" open=") && line.contains(" rss_bytes="), "{line}");
        server.signal(Signal::USR1);
        server.logged("connections: open=1 accepted=1 refused=0");
        let line = server.logged("traffic: ");
        assert!(line.contains("frames_in=1 bytes_in=9 bytes_out=9"), "{line}");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        assert!(!server.log().contains("stopped: "), "{engine}");
    }
}

#[test]
fn the_file_has_each_value_and_is_written_at_the_end() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stats.json");
        let path = file.to_str().unwrap();
        let args = ["serve", "echo", "--engine", engine, "--stats-file", path, "--listen", "127.0.0.1:0"];
        let mut server = Program::start(command(&args).stdout(Stdio::piped()));
        let address = server.address("tcp");
        echoes(&connect(&address));
        offend(&address, b"\xff\xff\xff\xff");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        let stats: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!((&stats["engine"], stats["accepted"].as_u64()), (&engine.into(), Some(2)));
        assert_eq!(stats["ends"], serde_json::json!({ "bad_frame": 1, "peer_closed": 1 }), "{engine}");
        let ends: u64 = stats["ends"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(ends, stats["closed"].as_u64().unwrap() + stats["faulted"].as_u64().unwrap());
        assert!(stats["rss_bytes"].as_u64().is_none_or(|bytes| bytes > 100_000));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
    }
}

#[test]
fn a_statistics_file_that_cannot_be_written_is_a_warning() {
    let args = ["serve", "echo", "--stats-file", "/no/such/folder/stats.json", "--listen", "127.0.0.1:0"];
    let mut server = Program::start(command(&args).stdout(Stdio::piped()));
    let address = server.address("tcp");
    let line = server.logged("statistics not written to /no/such/folder/stats.json: ");
    assert!(line.contains("WARN"), "{line}");
    echoes(&connect(&address));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn each_line_of_a_json_log_is_an_object_with_its_fields() {
    let args = ["serve", "echo", "--log-format", "json", "--listen", "127.0.0.1:0"];
    let mut server = Program::start(command(&args).stdout(Stdio::piped()));
    let address = server.address("tcp");
    offend(&address, b"\xff\xff\xff\xff");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = server.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let closed = lines.iter().find(|line| line["cause"] == "bad frame").unwrap_or_else(|| panic!("{log}"));
    assert_eq!((&closed["level"], &closed["service"]), (&"WARN".into(), &"echo".into()));
    assert_eq!(closed["time"].as_str().unwrap().len(), "2026-11-28T08:31:51.123Z".len());
    assert!(closed["message"].as_str().unwrap().contains(" closed: frame too large"), "{closed}");
}

#[test]
fn a_fatal_error_is_the_last_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let mut server = Program::start(command(&["serve", "echo", "--listen", &listen]).stdout(Stdio::piped()));
    assert_eq!(server.wait().code(), Some(1));
    assert!(server.log().lines().next_back().unwrap().starts_with("switchboard: cannot listen on"));
}
