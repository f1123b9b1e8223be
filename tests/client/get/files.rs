use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::Value;

use super::server::{Server, close, expect_failure, expect_success, run};
use crate::guard::guard;
use crate::program::{Program, Signal, command};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: \x80\r\n\r\nhello";

/// A directory that goes with the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Returns the content of the file.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn only_a_complete_response_replaces_the_file() {
    let folder = Folder::new();
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
    let server = Server::answering([short, &b"HTTP/1.1 404 Not Found\r\n\r\nhello"[..], OK]);
    fs::write(folder.path("x"), "old").unwrap();
    for (code, written) in [(1, "old"), (1, "old"), (0, "hello")] {
        let output = server.get(&["-o", &folder.file("x")]);
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(code), &b""[..]));
        assert_eq!(fs::read_to_string(folder.path("x")).unwrap(), written);
        assert_eq!(folder.names(), ["x"]);
    }
}

#[test]
fn a_file_is_named_after_the_url_or_is_standard_output() {
    let (folder, server) = (Folder::new(), Server::answering([OK, OK]));
    let url = server.url("/a/b%2fc.txt?d");
    let mut program = Program::start(command(&["get", "-O", &url]).current_dir(folder.path("")));
    assert!(program.wait().success(), "{}", program.log());
    assert_eq!(folder.names(), ["b%2fc.txt"]);
    assert_eq!(expect_success(server.get(&["--output", "-"])), "hello");
}

#[test]
fn an_unwritable_output_fails_before_the_request() {
    let folder = Folder::new();
    for (place, expected) in [(folder.file(""), "it is a directory"), (folder.file("no/x"), "No such file")] {
        let output = run(&["get", "127.0.0.1:1/", "-o", &place]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(!stderr.contains("at path"), "the temporary file's name is shown: {stderr}");
        assert!(stderr.starts_with(&format!("switchboard: cannot write to {place}: {expected}")), "{stderr}");
    }
}

#[test]
fn json_describes_the_response() {
    let (folder, server) = (Folder::new(), Server::answering([OK]));
    let told: Value = serde_json::from_str(&expect_success(server.get(&["--json", "-o", &folder.file("x")]))).unwrap();
    assert_eq!((&told["status"], &told["bytes"], &told["reason"]), (&200.into(), &5.into(), &"OK".into()));
    assert_eq!((&told["url"], &told["file"]), (&server.url("/").into(), &folder.file("x").into()));
    assert_eq!(told["headers"][1], serde_json::json!({"name": "X-One", "value": "\u{fffd}"}));
    assert!(told["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
#[cfg(target_os = "linux")]
fn full_disk_is_reported_with_the_output_path() {
    let output = Server::answering([OK]).get(&["-o", "/dev/full"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.starts_with("switchboard: cannot write to /dev/full: No space left on device"), "{stderr}");
}

/// Starts a server that sends half of a body and then waits. `begun` receives a message after the
/// first half; the server continues when the test drops the sender.
fn half() -> (Server, Receiver<()>, Sender<()>) {
    let ((tell, begun), (client_done, done_receiver)) = (channel(), channel::<()>());
    let server = Server::start(move |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").unwrap();
        tell.send(()).unwrap();
        let _ = done_receiver.recv_timeout(guard());
        close(stream);
    });
    (server, begun, client_done)
}

#[test]
fn signal_removes_the_temporary_file() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let (folder, (server, begun, _client_done)) = (Folder::new(), half());
        let mut program = Program::start(&mut command(&["get", &server.url("/"), "-o", &folder.file("x")]));
        begun.recv_timeout(guard()).unwrap();
        assert_eq!(folder.names().len(), 1, "there is no temporary file");
        program.signal(signal);
        assert_eq!(program.wait().code(), Some(code));
        assert_eq!((folder.names(), program.log()), (vec![], String::new()));
    }
}

/// The test does not read the program's output, so the program blocks on it and not on the network.
#[test]
fn ctrl_c_ends_a_blocked_write() {
    let (tell, stuck) = channel();
    let server = Server::start(move |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        stream.set_write_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        while stream.write_all(&vec![b'x'; 1 << 16]).is_ok() {}
        tell.send(()).unwrap();
    });
    let (reader, writer) = std::io::pipe().unwrap();
    let mut program = Program::start(command(&["get", &server.url("/")]).stdout(Stdio::from(writer)));
    stuck.recv_timeout(guard()).unwrap();
    program.signal(Signal::INT);
    assert_eq!(program.wait().code(), Some(130));
    drop(reader);
}

#[test]
fn closed_output_pipe_is_not_a_failure() {
    let server = Server::start(|stream| {
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while sent.is_ok() {
            sent = stream.write_all(&vec![b'x'; 1 << 16]);
        }
    });
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut program = Program::start(command(&["get", &server.url("/")]).stdout(Stdio::from(writer)));
    assert_eq!(program.wait().code(), Some(0));
    assert_eq!(program.log(), "");
}

/// A device is written to as it is, and not replaced by a file.
#[test]
fn device_output_is_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let server = Server::answering([OK]);
    assert_eq!(expect_success(server.get(&["-o", "/dev/null"])), "");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_body() {
    static PIECE: [u8; 1 << 20] = [b'x'; 1 << 20];
    let ((tell, sent), (go_on, wait)) = (channel(), channel::<()>());
    let server = Server::start(move |stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 100 * PIECE.len() + 1).unwrap();
        (0..100).for_each(|_| stream.write_all(&PIECE).unwrap());
        tell.send(()).unwrap();
        wait.recv_timeout(guard()).unwrap();
        stream.write_all(b"y").unwrap();
        close(stream);
    });
    let folder = Folder::new();
    let mut program = Program::start(&mut command(&["get", &server.url("/"), "-o", &folder.file("x")]));
    // All but what the kernel holds has been received.
    sent.recv_timeout(3 * guard()).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let peak_kib: u64 = peak.strip_suffix(" kB").unwrap().trim().parse().unwrap();
    go_on.send(()).unwrap();
    assert!(program.wait().success(), "{}", program.log());
    assert_eq!(fs::metadata(folder.path("x")).unwrap().len(), 100 * PIECE.len() as u64 + 1);
    assert!(peak_kib < 40 << 10, "{peak_kib} KiB");
}

#[test]
fn error_status_writes_no_file() {
    let (folder, server) = (Folder::new(), Server::answering(["HTTP/1.1 404 Not Found\r\n\r\nbody"]));
    let stderr = expect_failure(&server.get(&["-i", "-o", &folder.file("x")]));
    assert!(stderr.contains("404 Not Found"), "{stderr}");
    assert_eq!(folder.names(), [""; 0]);
}
