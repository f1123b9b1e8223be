//! What a download shows at a terminal: a bar that goes away.

use std::io::Read;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use super::{Scripted, noise};
use crate::program::GUARD;

const ROWS: u16 = 8;
const COLUMNS: u16 = 100;

/// What stands on a terminal.
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
            let more = self.output.recv_timeout(GUARD);
            self.parser.process(&more.unwrap_or_else(|_| panic!("the screen stays at\n{}", self.text())));
        }
        self.text()
    }
}

#[test]
fn a_bar_is_shown_while_there_is_something_to_wait_for() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, go) = channel();
    let server = Scripted::new(vec![Box::new(move |talk| {
        let content = noise(100_000);
        talk.request();
        talk.head(&content, 0);
        content.chunks(10_000).take(5).for_each(|piece| talk.send(piece));
        go.recv_timeout(GUARD).unwrap();
        content.chunks(10_000).skip(5).for_each(|piece| talk.send(piece));
    })]);
    let pair = native_pty_system().openpty(PtySize { rows: ROWS, cols: COLUMNS, ..PtySize::default() }).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(["call", "files", &server.address, "get", "x"]);
    command.env("TERM", "xterm");
    command.env_remove("RUST_LOG");
    command.cwd(folder.path());
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut terminal = pair.master.try_clone_reader().unwrap();
    let (drawn, output) = channel();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = terminal.read(&mut bytes) {
            if drawn.send(bytes[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut screen = Screen { output, parser: vt100::Parser::new(ROWS, COLUMNS, 0) };
    let bar = screen.until(|text| text.contains("97.66 KiB"));
    assert!(bar.contains(" % · ") && bar.contains("/s · "), "{bar}");
    seen.send(()).unwrap();
    let end = screen.until(|text| text.contains("verified"));
    assert_eq!(end.trim(), "x: 100000 bytes, SHA-256 verified", "the bar has gone");
    assert!(child.wait().unwrap().success());
    server.finish();
}
