//! A download at a terminal: a progress bar that is removed, and no control sequences from the
//! server.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

use super::{Script, Scripted, noise};
use crate::guard::guard;

const ROWS: u16 = 8;
const COLUMNS: u16 = 100;

/// The content of a terminal's screen.
struct Screen {
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
}

impl Screen {
    fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Waits until the screen is as wished.
    fn until(&mut self, is_so: impl Fn(&str) -> bool) -> String {
        while !is_so(&self.text()) {
            let more = self.output.recv_timeout(guard());
            self.parser.process(&more.unwrap_or_else(|_| panic!("the screen stays at\n{}", self.text())));
        }
        self.text()
    }
}

/// Runs `call files` at a terminal of its own.
fn at_terminal(folder: &Path, address: &str, args: &[&str]) -> (Screen, Box<dyn Child + Send + Sync>) {
    let pair = native_pty_system().openpty(PtySize { rows: ROWS, cols: COLUMNS, ..PtySize::default() }).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(["call", "files", address]);
    command.args(args);
    command.env("TERM", "xterm");
    command.env_remove("RUST_LOG");
    command.cwd(folder);
    let child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut terminal = pair.master.try_clone_reader().unwrap();
    let (drawn, output) = channel();
    thread::spawn(move || {
        let _master = pair.master;
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = terminal.read(&mut bytes) {
            if drawn.send(bytes[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    (Screen { output, parser: vt100::Parser::new(ROWS, COLUMNS, 0) }, child)
}

#[test]
fn control_sequences_in_files_and_names_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let content = "red: \u{1b}[31m\r\n\té\u{7}\n".as_bytes();
    let framed: Script = Box::new(move |talk| {
        talk.request();
        talk.head(content, 0);
        // A character in two pieces is one all the same.
        content.chunks(1).for_each(|piece| talk.send(piece));
    });
    let plain: Script = Box::new(move |talk| {
        talk.socket.read_exact(&mut [0; 2]).unwrap();
        talk.socket.write_all(content).unwrap();
    });
    let server = Scripted::new(vec![framed, plain]);
    for (dialect, name) in [("framed", "x"), ("plain", "xy")] {
        let args = ["get", name, "-o", "-", "--dialect", dialect];
        let (mut screen, mut child) = at_terminal(folder.path(), &server.address, &args);
        let shown = screen.until(|text| text.contains(" bytes"));
        assert!(shown.starts_with("red: \\u{1b}[31m\n        é\\u{7}\n17 bytes"), "{dialect}: {shown:?}");
        assert!(child.wait().unwrap().success());
    }
    server.finish();

    let server = Scripted::new(vec![Box::new(|talk| {
        talk.request();
        talk.head(b"content", 0);
        talk.send(b"content");
    })]);
    let (mut screen, mut child) = at_terminal(folder.path(), &server.address, &["get", "a/esc\u{1b}[31mred"]);
    let shown = screen.until(|text| text.contains("verified"));
    assert_eq!(shown.trim(), r"esc\u{1b}[31mred: 7 bytes, SHA-256 verified");
    assert!(child.wait().unwrap().success());
    server.finish();
}

#[test]
fn progress_bar_is_shown_during_a_download() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, go) = channel();
    let server = Scripted::new(vec![Box::new(move |talk| {
        let content = noise(100_000);
        talk.request();
        talk.head(&content, 0);
        content.chunks(10_000).take(5).for_each(|piece| talk.send(piece));
        go.recv_timeout(guard()).unwrap();
        content.chunks(10_000).skip(5).for_each(|piece| talk.send(piece));
    })]);
    let (mut screen, mut child) = at_terminal(folder.path(), &server.address, &["get", "x"]);
    let bar = screen.until(|text| text.contains("97.66 KiB"));
    assert!(bar.contains(" % · ") && bar.contains("/s · "), "{bar}");
    seen.send(()).unwrap();
    let end = screen.until(|text| text.contains("verified"));
    assert_eq!(end.trim(), "x: 100000 bytes, SHA-256 verified", "the bar has gone");
    assert!(child.wait().unwrap().success());
    server.finish();
}
