//! `call chat` at a terminal: what stands on the screen, exactly.

use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::json;

use crate::guard::guard;
use crate::peer::{Fake, Peer};
use crate::program::Signal;

const ROWS: u16 = 12;
const COLUMNS: u16 = 60;

/// The program at a terminal of its own.
pub(crate) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    screen: Arc<(Mutex<vt100::Parser>, Condvar)>,
    /// Reads the output, and returns all of it.
    reader: Option<JoinHandle<Vec<u8>>>,
    master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    fn call(address: &str, args: &[&str]) -> Self {
        Self::run(&[&["call", "chat", address], args].concat())
    }

    pub(crate) fn run(args: &[&str]) -> Self {
        Self::run_with(args, &[("TERM", "xterm"), ("NO_COLOR", "1")])
    }

    /// Runs the program with these environment variables.
    pub(crate) fn run_with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: ROWS, cols: COLUMNS, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_switchboard"));
        command.args(args);
        for name in ["TERM", "NO_COLOR", "RUST_LOG", "RUST_LOG_STYLE", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let screen = Arc::new((Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)), Condvar::new()));
        let drawn = Arc::clone(&screen);
        let reader = thread::spawn(move || {
            let (mut bytes, mut all) = ([0; 4096], Vec::new());
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                all.extend_from_slice(&bytes[..count]);
                drawn.0.lock().unwrap().process(&bytes[..count]);
                drawn.1.notify_all();
            }
            all
        });
        Self { child, keys, screen, reader: Some(reader), master: pair.master }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.types_bytes(keys.as_bytes());
    }

    pub(crate) fn types_bytes(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until a line of the screen contains `words`, and returns the line.
    #[track_caller]
    pub(crate) fn shows_text(&self, words: &str) -> String {
        let (screen, drawn) = &*self.screen;
        let begun = Instant::now();
        let mut parser = screen.lock().unwrap();
        loop {
            let contents = parser.screen().contents();
            if let Some(line) = contents.lines().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            let left = guard().checked_sub(begun.elapsed());
            let left = left.unwrap_or_else(|| panic!("'{words}' is not in\n{contents}"));
            parser = drawn.wait_timeout(parser, left).unwrap().0;
        }
    }

    /// Waits until the screen shows exactly these lines, with the cursor at the end of the last.
    #[track_caller]
    pub(crate) fn shows(&self, lines: &[&str]) {
        let (screen, drawn) = &*self.screen;
        let begun = Instant::now();
        let mut parser = screen.lock().unwrap();
        loop {
            let rows: Vec<_> = parser.screen().rows(0, COLUMNS).collect();
            let mut shown: Vec<_> = rows.iter().map(|row| row.trim_end()).collect();
            let wanted: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
            let (row, column) = parser.screen().cursor_position();
            let cursor = (usize::from(row) + 1, usize::from(column));
            let written = shown.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
            shown.truncate(written.max(lines.len()));
            let at = (lines.len(), lines.last().map_or(0, |line| line.chars().count()));
            if shown == wanted && cursor == at {
                return;
            }
            let left = guard().checked_sub(begun.elapsed());
            let left = left.unwrap_or_else(|| {
                panic!("cursor at {cursor:?} of\n{}\ninstead of {at:?} of\n{}", shown.join("\n"), lines.join("\n"))
            });
            parser = drawn.wait_timeout(parser, left).unwrap().0;
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.process_id().unwrap().try_into().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for the program's end. Returns all bytes that it has written to the terminal.
    pub(crate) fn output(mut self) -> String {
        self.code();
        String::from_utf8_lossy(&self.reader.take().unwrap().join().unwrap()).into_owned()
    }

    pub(crate) fn code(&mut self) -> u32 {
        self.child.wait().unwrap().exit_code()
    }

    /// Returns true if the terminal is back in its normal mode: echo and line editing.
    pub(crate) fn is_cooked(&self) -> bool {
        let modes = format!("{:?}", self.master.get_termios().unwrap().local_flags);
        modes.contains("ICANON") && modes.contains("ECHO")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client called eva, with its prompt on the screen.
fn eva(args: &[&str]) -> (Fake, Peer, Terminal) {
    let server = Fake::new();
    let terminal = Terminal::call(&server.address(), &[&["--nick", "eva"], args].concat());
    let peer = server.greet();
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> "]);
    (server, peer, terminal)
}

#[test]
fn messages_appear_above_the_input_line() {
    let (_server, mut peer, mut terminal) = eva(&[]);
    terminal.types("half a");
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> half a"]);
    for (id, text) in (1..).zip(["one", "two", "a line that is longer than the screen is wide, so it goes on"]) {
        peer.message("lobby", id, "bo", text);
    }
    let above = [
        "* you are eva, in lobby",
        "[lobby] bo: one",
        "[lobby] bo: two",
        "[lobby] bo: a line that is longer than the screen is wide, s",
        "o it goes on",
    ];
    terminal.shows(&[&above[..], &["[lobby] eva> half a"]].concat());
    terminal.types(" line");
    terminal.shows(&[&above[..], &["[lobby] eva> half a line"]].concat());
    terminal.types("\r");
    peer.hear("lobby", "half a line", 4);
    peer.message("lobby", 4, "eva", "half a line");
    let below = ["[lobby] eva> half a line", "[lobby] eva: half a line", "[lobby] eva> "];
    terminal.shows(&[&above[..], &below].concat());
    terminal.types("\x04");
    while peer.next().is_some() {}
    assert_eq!(terminal.code(), 0);
    assert!(terminal.is_cooked());
}

#[test]
fn many_messages_keep_the_input_line() {
    let (_server, mut peer, mut terminal) = eva(&[]);
    terminal.types("patience");
    for id in 1..=500 {
        peer.message("lobby", id, "bo", &format!("number {id}"));
    }
    let rows = usize::from(ROWS) - 1;
    let last: Vec<_> = (501 - rows..=500).map(|id| format!("[lobby] bo: number {id}")).collect();
    let mut lines: Vec<_> = last.iter().map(String::as_str).collect();
    lines.push("[lobby] eva> patience");
    terminal.shows(&lines);
    terminal.types("!\r");
    peer.hear("lobby", "patience!", 501);
}

#[test]
fn tab_completes_commands_rooms_and_nicks() {
    let (_server, mut peer, mut terminal) = eva(&[]);
    peer.send(&json!({"type": "joined", "room": "lobby", "nick": "Bodo"}));
    let above = ["* you are eva, in lobby", "* Bodo entered lobby"];
    terminal.shows(&[&above[..], &["[lobby] eva> "]].concat());
    terminal.types("/ms\t");
    terminal.shows(&[&above[..], &["[lobby] eva> /msg "]].concat());
    terminal.types("bo\t");
    terminal.shows(&[&above[..], &["[lobby] eva> /msg Bodo "]].concat());
    terminal.types("psst\r");
    assert_eq!(peer.expect("whisper")["to"], "Bodo");
    let lines =
        ["* you are eva, in lobby", "* Bodo entered lobby", "[lobby] eva> /msg Bodo psst", "[lobby] eva> /join lobby "];
    terminal.types("/j\tlo\t");
    terminal.shows(&lines);
}

#[test]
fn the_prompt_follows_room_and_nick() {
    let (_server, mut peer, mut terminal) = eva(&[]);
    terminal.types("/join tea\r");
    peer.expect("join");
    peer.send(&json!({"type": "joined", "room": "tea", "nick": "eva"}));
    let above = ["* you are eva, in lobby", "[lobby] eva> /join tea", "* eva entered tea"];
    terminal.shows(&[&above[..], &["[tea] eva> "]].concat());
    terminal.types("/nick zoe\r");
    peer.expect("nick");
    peer.send(&json!({"type": "renamed", "was": "eva", "nick": "zoe"}));
    let above = [&above[..], &["[tea] eva> /nick zoe", "* eva is zoe now"]].concat();
    terminal.shows(&[&above[..], &["[tea] zoe> "]].concat());
}

#[test]
fn pasted_lines_are_one_message() {
    let (_server, mut peer, mut terminal) = eva(&[]);
    terminal.types("\x1b[200~two\rlines\x1b[201~");
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> two", "lines"]);
    terminal.types("\r");
    peer.hear("lobby", "two\nlines", 1);
}

#[test]
fn ctrl_c_clears_the_line_or_exits_on_an_empty_one() {
    let (_server, mut peer, mut terminal) = eva(&[]);
    terminal.types("no");
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> no"]);
    terminal.types("\x03");
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> no", "[lobby] eva> "]);
    terminal.types("yes\r");
    peer.hear("lobby", "yes", 1);
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> no", "[lobby] eva> yes", "[lobby] eva> "]);
    // A line that was emptied by hand is empty.
    terminal.types("x\x7f");
    terminal.types("\x03");
    assert_eq!(terminal.code(), 0);
    assert!(terminal.is_cooked());
}

#[test]
fn exit_reports_unacknowledged_lines() {
    let (_server, mut peer, mut terminal) = eva(&[]);
    terminal.types("one\r");
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> one", "[lobby] eva> "]);
    terminal.types("/msg bo two\r");
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> one", "[lobby] eva> /msg bo two", "[lobby] eva> "]);
    peer.expect("say");
    peer.expect("whisper");
    terminal.types("\x04");
    assert_eq!(terminal.code(), 1);
    terminal.shows(&[
        "* you are eva, in lobby",
        "[lobby] eva> one",
        "[lobby] eva> /msg bo two",
        "[lobby] eva>",
        "switchboard: lines possibly not delivered: 2",
        "",
    ]);
}

#[test]
fn session_end_restores_the_terminal() {
    let (_server, peer, mut terminal) = eva(&["--no-reconnect"]);
    terminal.types("half");
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> half"]);
    assert!(!terminal.is_cooked());
    peer.message("lobby", 1, "bo", "last words");
    drop(peer);
    assert_eq!(terminal.code(), 1);
    assert!(terminal.is_cooked());
    let lines = [
        "* you are eva, in lobby",
        "[lobby] bo: last words",
        "switchboard: connection lost; --no-reconnect forbids a new c",
        "onnection",
        "",
    ];
    terminal.shows(&lines);
}

#[test]
fn lost_connection_is_reported_above_the_input() {
    let (server, peer, mut terminal) = eva(&[]);
    terminal.types("half");
    terminal.shows(&["* you are eva, in lobby", "[lobby] eva> half"]);
    drop(peer);
    let mut peer = server.greet();
    peer.expect("join");
    peer.expect("ping");
    peer.message("lobby", 1, "bo", "missed");
    peer.send(&json!({"type": "pong"}));
    peer.message("lobby", 2, "bo", "live");
    let (screen, drawn) = &*terminal.screen;
    let parser = screen.lock().unwrap();
    let (parser, time) =
        drawn.wait_timeout_while(parser, guard(), |parser| !parser.screen().contents().contains("live")).unwrap();
    let contents = parser.screen().contents();
    assert!(!time.timed_out(), "{contents}");
    let lines: Vec<_> = contents.lines().collect();
    assert!(lines[1].starts_with("* connection lost; trying again in 0."), "{contents}");
    assert_eq!(lines[2..4], ["* reconnected; 1 missed message follows", "[lobby] bo: missed"]);
    drop(parser);
    terminal.types("!\r");
    peer.hear("lobby", "half!", 3);
}
