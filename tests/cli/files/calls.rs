//! `call files` as its users run it: usage, interruptions, parts that are gone on with.

use std::os::unix::fs::symlink;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use socket2::Type;

#[cfg(target_os = "linux")]
use super::await_file;
use super::{Read, Scripted, Write, call, expect, finish, fs, json, names, noise, partial, start};
use crate::localhost::refusing;
use crate::program::run;

#[test]
fn invalid_arguments_exit_2() {
    for (args, says) in [
        (&["udp:127.0.0.1:1", "list"] as &[&str], "leave out udp:"),
        (&["127.0.0.1:0", "list"], "port 0 stands for any port"),
        (&["127.0.0.1", "list"], "is not an address"),
        (&["127.0.0.1:1"], "subcommand"),
        (&["127.0.0.1:1", "--dialect", "plain", "list"], "the dialect plain has no list"),
        (&["127.0.0.1:1", "--dialect", "odd", "list"], "[possible values: framed, plain]"),
        (&["127.0.0.1:1", "--framing", "raw", "list"], "--framing raw cannot carry frames of 1 MiB"),
        (&["127.0.0.1:1", "get", "x", "--dialect", "plain", "--framing", "u32be"], "use raw or lines"),
        (&["127.0.0.1:1", "list", "--encoding", "gbk"], "the dialect framed is always UTF-8: --encoding gbk is for"),
        (
            &["127.0.0.1:1", "--dialect", "plain", "get", "你", "--encoding", "latin1"],
            "the file's name cannot be sent: windows-1252 has no '你'",
        ),
        (&["127.0.0.1:1", "get", ""], "the file's name is empty: 'call files ADDR list' prints the names"),
        (&["127.0.0.1:1", "get", "\u{1b}/.."], r"\u{1b}/.. has no last part: add -o FILE"),
        (&["127.0.0.1:1", "get", ".."], ".. has no last part: add -o FILE"),
        (&["127.0.0.1:1", "--timeout", "5x", "list"], "not a duration"),
    ] {
        expect(&run(&[&["call", "files"], args].concat()), 2, says);
    }
}

#[test]
fn refused_connect_has_advice() {
    let folder = tempfile::tempdir().unwrap();
    let (free, _socket) = refusing(Type::STREAM);
    let free = free.to_string();
    let start = format!("'switchboard serve files --root DIR --listen {free}'");
    let says = format!("cannot reach {free}: connection refused; start one with {start}");
    expect(&call(folder.path(), &free, &["get", "x"]), 1, &says);
    assert!(names(folder.path()).is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn interrupted_download_is_resumed() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let folder = tempfile::tempdir().unwrap();
        let content = noise(400_000);
        fs::write(folder.path().join("x"), "what was there before").unwrap();
        let (first, second) = (content.clone(), content.clone());
        let server = Scripted::new(vec![
            Box::new(move |talk| {
                talk.expect(&json!({"get": "dir/x", "offset": 0}));
                talk.head(&first, 0);
                talk.send(&first[..150_000]);
                talk.await_end();
            }),
            Box::new(move |talk| {
                talk.expect(&json!({"get": "dir/x", "offset": 150_000}));
                talk.head(&second, 150_000);
                talk.send(&second[150_000..]);
            }),
        ]);
        let client = start(folder.path(), &["call", "files", &server.address, "get", "dir/x"]);
        await_file(folder.path(), 150_000);
        client.signal(signal);
        let part = partial(&server.address, "dir/x", "x");
        let says = format!("x: kept 150000 bytes in {part}; the same command resumes the download");
        expect(&finish(client), code, &says);
        assert_eq!(names(folder.path()), ["x", &part]);
        assert_eq!(fs::read_to_string(folder.path().join("x")).unwrap(), "what was there before");
        expect(&call(folder.path(), &server.address, &["get", "dir/x"]), 0, "400000 bytes, SHA-256 verified");
        assert!(fs::read(folder.path().join("x")).unwrap() == content);
        assert_eq!(names(folder.path()), ["x"]);
        server.finish();
    }
}

#[test]
fn part_of_another_file_is_fetched_from_the_start() {
    let content = noise(300_000);
    for part in [vec![7; 1000], vec![7; 300_000], vec![7; 300_001]] {
        let folder = tempfile::tempdir().unwrap();
        let (have, first, second) = (part.len(), content.clone(), content.clone());
        let server = Scripted::new(vec![
            Box::new(move |talk| {
                talk.expect(&json!({"get": "x", "offset": have}));
                if have > first.len() {
                    talk.send(br#"{"error":{"code":"bad-offset","text":"too far"}}"#);
                } else {
                    talk.head(&first, have);
                    // An empty frame would be one more than was announced.
                    first[have..].chunks(1 << 20).for_each(|rest| talk.send(rest));
                }
            }),
            Box::new(move |talk| {
                talk.expect(&json!({"get": "x", "offset": 0}));
                talk.head(&second, 0);
                second.chunks(1 << 16).for_each(|piece| talk.send(piece));
            }),
        ]);
        fs::write(folder.path().join(partial(&server.address, "x", "x")), &part).unwrap();
        let says = "the file has changed: fetching it from the start\nx: 300000 bytes, SHA-256 verified";
        expect(&call(folder.path(), &server.address, &["get", "x"]), 0, says);
        assert!(fs::read(folder.path().join("x")).unwrap() == content);
        assert_eq!(names(folder.path()), ["x"]);
        server.finish();
    }
}

#[test]
fn complete_part_is_only_verified() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::new(vec![Box::new(|talk| {
        talk.expect(&json!({"get": "x", "offset": 7}));
        talk.head(b"content", 7);
    })]);
    fs::write(folder.path().join(partial(&server.address, "x", "x")), "content").unwrap();
    expect(&call(folder.path(), &server.address, &["get", "x"]), 0, "7 bytes, SHA-256 verified");
    assert_eq!(fs::read_to_string(folder.path().join("x")).unwrap(), "content");
    server.finish();
}

#[test]
fn part_that_is_not_a_regular_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (address, precious) = ("127.0.0.1:1", folder.path().join("precious"));
    let part = |name| folder.path().join(partial(address, "x", name));
    fs::write(&precious, "precious").unwrap();
    symlink("precious", part("link")).unwrap();
    symlink("/nowhere", part("dangling")).unwrap();
    fs::create_dir(part("folder")).unwrap();
    mknodat(CWD, part("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let before = names(folder.path());
    for (name, what) in [
        ("link", "it is a symbolic link"),
        ("dangling", "it is a symbolic link"),
        ("folder", "is a directory"),
        ("fifo", "it is not a regular file"),
    ] {
        // Before any request is sent.
        let says = format!("cannot write {}: {what}", partial(address, "x", name));
        expect(&call(folder.path(), address, &["get", "x", "-o", name]), 1, &says);
    }
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
    assert_eq!(names(folder.path()), before);
}

#[test]
fn unrelated_file_is_not_overwritten_or_resumed() {
    let content = noise(10_000);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.part"), &content[..5000]).unwrap();
    let sent = content.clone();
    let server = Scripted::new(vec![Box::new(move |talk| {
        talk.expect(&json!({"get": "x", "offset": 0}));
        talk.head(&sent, 0);
        talk.send(&sent);
    })]);
    // The partial file of another server.
    fs::write(folder.path().join(partial("127.0.0.1:1", "x", "x")), "other").unwrap();
    expect(&call(folder.path(), &server.address, &["get", "x"]), 0, "10000 bytes, SHA-256 verified");
    assert!(fs::read(folder.path().join("x")).unwrap() == content);
    assert!(fs::read(folder.path().join("x.part")).unwrap() == content[..5000]);
    assert_eq!(fs::read_to_string(folder.path().join(partial("127.0.0.1:1", "x", "x"))).unwrap(), "other");
    server.finish();
}

#[test]
fn longest_name_can_be_downloaded() {
    for name in ["x".repeat(255), "世".repeat(85), "x".repeat(251)] {
        let folder = tempfile::tempdir().unwrap();
        let server = Scripted::new(vec![Box::new(|talk| {
            talk.request();
            talk.head(b"content", 0);
            talk.send(b"content");
        })]);
        expect(&call(folder.path(), &server.address, &["get", &name]), 0, "7 bytes, SHA-256 verified");
        assert_eq!(names(folder.path()), [name]);
        server.finish();
    }
}

#[test]
fn no_clobber_keeps_an_existing_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "old").unwrap();
    expect(
        &call(folder.path(), "127.0.0.1:1", &["get", "x", "--no-clobber"]),
        1,
        "x exists, and --no-clobber keeps it",
    );
    assert_eq!(fs::read_to_string(folder.path().join("x")).unwrap(), "old");
}

#[test]
#[cfg(target_os = "linux")]
fn interrupted_plain_download_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::new(vec![Box::new(|talk| {
        let mut name = [0];
        std::io::Read::read_exact(&mut talk.socket, &mut name).unwrap();
        assert_eq!(&name, b"x");
        talk.socket.write_all(&[1; 1000]).unwrap();
        talk.await_end();
    })]);
    let client = start(folder.path(), &["call", "files", &server.address, "--dialect", "plain", "get", "x"]);
    await_file(folder.path(), 1000);
    client.signal(Signal::TERM);
    expect(&finish(client), 143, "");
    assert!(names(folder.path()).is_empty());
    server.finish();
}

#[test]
fn plain_request_under_lines_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::new(vec![Box::new(|talk| {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(&talk.socket), &mut line).unwrap();
        assert_eq!(line, "x y\n");
        talk.socket.write_all(b"content").unwrap();
    })]);
    let args = ["--dialect", "plain", "--framing", "lines", "get", "x y", "-o", "-"];
    assert_eq!(expect(&call(folder.path(), &server.address, &args), 0, "7 bytes"), "content\n");
    server.finish();
}

#[test]
fn encoding_applies_to_the_name_under_plain() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::new(vec![Box::new(|talk| {
        let mut name = [0; 8];
        talk.socket.read_exact(&mut name).unwrap();
        assert_eq!(&name, b"\xc4\xe3\xba\xc3.txt");
        talk.socket.write_all(b"\xc4\xe3").unwrap();
    })]);
    let args = ["--dialect", "plain", "get", "你好.txt", "--encoding", "gbk"];
    expect(&call(folder.path(), &server.address, &args), 0, "2 bytes");
    server.finish();
    assert_eq!(names(folder.path()), ["你好.txt"]);
    assert_eq!(fs::read(folder.path().join("你好.txt")).unwrap(), b"\xc4\xe3", "a file's bytes are not text");
}

#[test]
fn python_server_is_understood() {
    const SERVER: &str = "
import socket
s = socket.create_server(('127.0.0.1', 0))
print('listening python tcp 127.0.0.1:%d' % s.getsockname()[1], flush=True)
c, _ = s.accept()
c.settimeout(20)
assert c.recv(1024) == b'x'
c.sendall(bytes(range(256)) * 4000)
c.close()
";
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no python3");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut python = Command::new("python3");
    let mut server = crate::program::Program::start(python.args(["-c", SERVER]).stdout(std::process::Stdio::piped()));
    let address = server.address("tcp");
    expect(&call(folder.path(), &address, &["--dialect", "plain", "get", "x"]), 0, "1024000 bytes");
    let content: Vec<_> = (0..1_024_000).map(|number: u32| number.to_le_bytes()[0]).collect();
    assert!(fs::read(folder.path().join("x")).unwrap() == content);
}

#[test]
fn closed_output_pipe_is_not_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::new(vec![Box::new(|talk| {
        talk.request();
        let content = noise(1 << 20);
        talk.head(&content, 0);
        content.chunks(1 << 16).for_each(|piece| talk.send(piece));
        talk.await_end();
    })]);
    let program = env!("CARGO_BIN_EXE_switchboard");
    let line =
        format!("{program} call files {} get x -o - | head -c 10 >/dev/null; exit ${{PIPESTATUS[0]}}", server.address);
    let output = Command::new("bash").args(["-c", &line]).current_dir(folder.path()).output();
    match output {
        Ok(output) => _ = expect(&output, 0, ""),
        Err(error) => eprintln!("skipped: there is no bash: {error}"),
    }
    server.finish();
}
