//! `serve files` and `call files` against each other.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use super::{call, expect, finish, fs, names, noise, start};
use crate::guard::guard;
use crate::program::{Program, SocketPath, run};

/// A server of `folder` and where it is.
fn serve(folder: &std::path::Path, more: &[&str]) -> (Program, String) {
    let mut server = start(folder, &[&["serve", "files", "--root", ".", "--listen", "127.0.0.1:0"], more].concat());
    let address = server.address("tcp");
    (server, address)
}

#[test]
fn invalid_configuration_fails_before_binding() {
    for (code, args, says) in [
        (2, &["--listen", "127.0.0.1:0"] as &[&str], "add --root DIR"),
        (
            2,
            &["--root", ".", "--dialect", "header"],
            "invalid value 'header' for '--dialect <NAME>' [possible values: framed, plain]",
        ),
        (2, &["--root", ".", "--framing", "lines"], "needs a length prefix for 1 MiB, such as u32be"),
        (2, &["--root", ".", "--framing", "u16be"], "needs a length prefix for 1 MiB, such as u32be"),
        (2, &["--root", ".", "--dialect", "plain", "--listen", "lines@127.0.0.1:0"], "unframed, so it needs raw"),
        (2, &["--root", ".", "--listen", "udp:127.0.0.1:0"], "files does not support UDP"),
        (1, &["--root", "Cargo.toml"], "cannot serve Cargo.toml: not a directory; --root must be a directory"),
        (1, &["--root", "no/such", "--dialect", "plain"], "cannot serve no/such: No such file or directory; --root"),
    ] {
        let output = run(&[&["serve", "files"], args].concat());
        assert_eq!(expect(&output, code, says), "", "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.contains(says)).count(), 1);
    }
}

#[test]
fn call_files_works_with_serve_files() {
    let content = noise(1_000_001);
    for engine in ["reactor", "threads"] {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("sub")).unwrap();
        fs::write(from.path().join("sub/x"), &content).unwrap();
        fs::write(from.path().join("odd\u{1b}[2J\n"), "").unwrap();
        let (_server, address) = serve(from.path(), &["--engine", engine]);
        let table = expect(&call(to.path(), &address, &["list"]), 0, "");
        let lines: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!((lines.len(), lines[0].as_slice()), (3, ["name", "size", "modified"].as_slice()));
        assert_eq!(lines[1][..3], [r"odd\u{1b}[2J\n", "0", "B"]);
        assert_eq!(lines[2][..3], ["sub/x", "976.56", "KiB"]);
        let listing: serde_json::Value =
            serde_json::from_str(&expect(&call(to.path(), &address, &["list", "sub", "--json"]), 0, "")).unwrap();
        assert_eq!(listing["files"][0]["size"], content.len());

        expect(&call(to.path(), &address, &["get", "sub/x"]), 0, "x: 1000001 bytes, SHA-256 verified");
        assert!(fs::read(to.path().join("x")).unwrap() == content);
        assert_eq!(names(to.path()), ["x"]);
        let quiet = call(to.path(), &address, &["-q", "get", "sub/x", "-o", "y"]);
        expect(&quiet, 0, "");
        assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty());
        assert!(fs::read(to.path().join("y")).unwrap() == content);
        expect(
            &call(to.path(), &address, &["get", "sub/no"]),
            1,
            "cannot get sub/no: there is no such file (not-found)",
        );
        expect(&call(to.path(), &address, &["list", "../"]), 1, "(refused)");
        assert_eq!(names(to.path()), ["x", "y"], "of what was refused nothing is left");
        expect(&call(to.path(), &address, &["get", "odd\u{1b}[2J\n", "-o", "-"]), 0, "0 bytes, SHA-256 verified");
        let printed = expect(&call(to.path(), &address, &["list", "--json", "--framing", "u32be"]), 0, "");
        assert!(printed.contains(r"odd\u001b[2J\n"));
    }
}

#[test]
fn plain_dialect_works_with_a_plain_socket() {
    let content = noise(700_000);
    for engine in ["reactor", "threads"] {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("x"), &content).unwrap();
        let (mut server, address) = serve(from.path(), &["--engine", engine, "--dialect", "plain"]);
        let mut socket = TcpStream::connect(&address).unwrap();
        socket.set_read_timeout(Some(guard())).unwrap();
        socket.write_all(b"x\n").unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        assert!(bytes == content);
        let says = "x: 700000 bytes; the dialect plain cannot verify that the file is complete";
        expect(&call(to.path(), &address, &["--dialect", "plain", "get", "x"]), 0, says);
        assert!(fs::read(to.path().join("x")).unwrap() == content);
        let says = "no is empty or was refused, which the dialect plain cannot distinguish";
        expect(&call(to.path(), &address, &["--dialect", "plain", "get", "no"]), 1, says);
        assert_eq!(names(to.path()), ["x"]);
        server.logged("rejected 'no': there is no such file");
        let mut socket = TcpStream::connect(&address).unwrap();
        socket.write_all(b"../\x1b[31m").unwrap();
        server.logged(r"rejected '../\u{1b}[31m': '..' leads nowhere here");
    }
}

/// Bytes that a process has read, whatever from.
#[cfg(target_os = "linux")]
fn read_by(process: u32) -> u64 {
    let told = fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    told.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn simultaneous_requests_hash_a_file_once() {
    const CLIENTS: usize = 8;
    // The checksum of a file that was written within the last second is not shared, because the
    // file may change within the same clock tick. The largest dependency in this test's own
    // directory is older than that.
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap();
    let libraries = names(folder)
        .into_iter()
        .filter(|name| name.strip_suffix(".rlib").is_some_and(|it| !it.contains("switchboard")));
    let length = |name: &String| fs::metadata(folder.join(name)).map_or(0, |found| found.len());
    let name = libraries.max_by_key(length).unwrap();
    let content = fs::read(folder.join(&name)).unwrap();
    let (size, sum) = (content.len(), super::sha256(&content));
    assert!(size > 4 << 20, "{name} has {size} bytes");
    for engine in ["reactor", "threads"] {
        let (server, address) = serve(folder, &["--engine", engine]);
        let request = format!(r#"{{"get":"{name}","offset":{size}}}"#);
        let frame = [&u32::try_from(request.len()).unwrap().to_be_bytes(), request.as_bytes()].concat();
        let mut sockets: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(&address).unwrap()).collect();
        let before = read_by(server.id());
        for socket in &mut sockets {
            socket.write_all(&frame).unwrap();
        }
        for mut socket in sockets {
            socket.set_read_timeout(Some(guard())).unwrap();
            let mut head = [0; 4];
            socket.read_exact(&mut head).unwrap();
            let mut head = vec![0; u32::from_be_bytes(head) as usize];
            socket.read_exact(&mut head).unwrap();
            assert!(String::from_utf8(head).unwrap().contains(&sum), "{engine}");
        }
        let times = (read_by(server.id()) - before) / size as u64;
        assert_eq!(times, 1, "{engine}: the file was read {times} times");
    }
}

#[test]
fn wrong_dialect_has_advice() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "content").unwrap();
    let (_framed, framed) = serve(folder.path(), &[]);
    let (_plain, plain) = serve(folder.path(), &["--dialect", "plain"]);
    for args in [&["get", "a.txt"][..], &["list"]] {
        expect(&call(folder.path(), &plain, args), 1, "without a reply; check whether the server uses --dialect plain");
    }
    let args = ["--dialect", "plain", "get", "a.txt"];
    expect(&call(folder.path(), &framed, &args), 1, "no file written; check whether the server uses --dialect framed");
    assert_eq!(names(folder.path()), ["a.txt"]);
}

#[test]
fn files_are_served_over_a_unix_socket() {
    let (from, socket) = (tempfile::tempdir().unwrap(), SocketPath::new());
    fs::write(from.path().join("x"), "content").unwrap();
    let mut server = start(from.path(), &["serve", "files", "--root", ".", "--listen", &socket.listen()]);
    server.address("unix");
    let output = call(from.path(), &socket.listen(), &["get", "x", "-o", "-"]);
    assert_eq!(expect(&output, 0, "verified"), "content\n", "as lines are read here");
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(finish(server).status.code(), Some(0));
}
