//! At a terminal: nothing that a server sends commands it, and a bar shows how far a file is.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use super::files::Folder;
use super::server::{Server, close};
use crate::guard::guard;

/// Runs get at a terminal of its own. What it prints there comes piece by piece, up to its end.
fn at_terminal(args: &[&str]) -> Receiver<String> {
    let pair = native_pty_system().openpty(PtySize { rows: 10, cols: 100, ..PtySize::default() }).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_switchboard"));
    command.arg("get");
    command.args(args);
    command.env("TERM", "xterm");
    command.env_remove("RUST_LOG");
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut output = pair.master.try_clone_reader().unwrap();
    let (sender, pieces) = channel();
    thread::spawn(move || {
        let _master = pair.master;
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut bytes) {
            let _ = sender.send(String::from_utf8_lossy(&bytes[..count]).into_owned());
        }
        let _ = child.wait();
    });
    pieces
}

/// All pieces up to one that completes `words`.
fn shown_until(pieces: &Receiver<String>, words: &str) -> String {
    let mut shown = String::new();
    while !shown.contains(words) {
        shown += &pieces.recv_timeout(guard()).unwrap_or_else(|_| panic!("no '{words}' in {shown:?}"));
    }
    shown
}

#[test]
fn control_sequences_in_the_body_are_escaped() {
    let server = Server::answering(["HTTP/1.1 200 OK\r\n\r\nred: \x1b[31m\r\n\tend\n"]);
    let shown = shown_until(&at_terminal(&[&server.url("/")]), "end");
    assert!(shown.contains(r"red: \u{1b}[31m") && !shown.contains('\x1b'), "{shown:?}");
}

#[test]
fn progress_bar_shows_the_received_bytes() {
    let (go_on, wait) = channel::<()>();
    let server = Server::start(move |stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2048\r\n\r\n{}", "x".repeat(1024)).unwrap();
        let _ = wait.recv_timeout(guard());
        stream.write_all(&[b'x'; 1024]).unwrap();
        close(stream);
    });
    let folder = Folder::new();
    let pieces = at_terminal(&[&server.url("/"), "-o", &folder.file("x")]);
    shown_until(&pieces, "2.00 KiB");
    drop(go_on);
    // The terminal ends with its program.
    while pieces.recv_timeout(guard()).is_ok() {}
    assert_eq!(folder.names(), ["x"]);
}
