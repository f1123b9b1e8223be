//! The client and the real server, with a line between them that is cut again and again.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::{Value, json};

use crate::guard::guard;
use crate::program::{Program, SocketPath, command};

/// The bytes that each connection carries to the client before it is cut; further connections are
/// not cut. Each number is less than the messages sent at the connection's start, so that no cut
/// has to wait.
const CUTS: [usize; 12] = [900, 5, 2000, 150, 1400, 700, 333, 2400, 260, 1000, 1800, 480];

/// The messages sent per event of the connection. Together they fit into a room's history.
const A_FEW: usize = 30;

/// A proxy to `server` that cuts each connection, and reports the start and the cut of each.
fn bad_line(server: &SocketPath) -> (SocketPath, Receiver<()>) {
    let path = SocketPath::new();
    let listener = UnixListener::bind(path.path()).unwrap();
    let to = server.path().to_owned();
    let (happens, happened) = channel();
    thread::spawn(move || {
        for number in 0.. {
            let Ok((client, _)) = listener.accept() else { return };
            let cut = CUTS.get(number).copied();
            // Where the server is away, so is the line.
            let Ok(server) = UnixStream::connect(&to) else { continue };
            let _ = happens.send(());
            carry(client, server, cut, happens.clone());
        }
    });
    (path, happened)
}

fn carry(client: UnixStream, server: UnixStream, cut: Option<usize>, happens: Sender<()>) {
    let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut up, &mut down);
        let _ = down.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let limit = cut.map_or(u64::MAX, |bytes| bytes as u64);
        let _ = std::io::copy(&mut (&server).take(limit), &mut &client);
        for stream in [&client, &server] {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if cut.is_some() {
            let _ = happens.send(());
        }
    });
}

/// A member with an uncut connection, whose messages are numbers.
struct Bob {
    stream: UnixStream,
    said: usize,
}

impl Bob {
    fn enter(server: &SocketPath) -> Self {
        let stream = UnixStream::connect(server.path()).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        let mut bob = Self { stream, said: 0 };
        bob.ask(&json!({"type": "hello", "nick": "bob"}));
        bob.hear("welcome");
        bob
    }

    fn ask(&mut self, request: &Value) {
        let payload = request.to_string();
        let head = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.stream.write_all(&[&head, payload.as_bytes()].concat()).unwrap();
    }

    fn hear(&mut self, kind: &str) {
        loop {
            let mut head = [0; 4];
            self.stream.read_exact(&mut head).unwrap();
            let mut payload = vec![0; u32::from_be_bytes(head) as usize];
            self.stream.read_exact(&mut payload).unwrap();
            if serde_json::from_slice::<Value>(&payload).unwrap()["type"] == kind {
                return;
            }
        }
    }

    fn says(&mut self, text: &str) {
        self.ask(&json!({"type": "say", "room": "lobby", "text": text, "ref": 1}));
        self.hear("ack");
    }

    fn says_a_few(&mut self) {
        for _ in 0..A_FEW {
            self.said += 1;
            self.says(&self.said.to_string());
        }
    }
}

fn serve(path: &SocketPath, engine: &str) -> Program {
    let args = ["serve", "chat", "--engine", engine, "--messages-per-second", "0", "--listen", &path.listen()];
    let mut server = Program::start(command(&args).stdout(Stdio::piped()));
    server.address("unix");
    server
}

/// Returns the numbers that `nick` sent, from these lines.
fn numbers(lines: &[String], nick: &str) -> Vec<usize> {
    let said = lines.iter().filter_map(|line| line.strip_prefix(&format!("[lobby] {nick}: ")));
    said.filter_map(|text| text.parse().ok()).collect()
}

/// Appends what the client shows, up to this line.
fn read_until(client: &mut Program, last: &str, lines: &mut Vec<String>) {
    while lines.last().is_none_or(|line| line != last) {
        lines.push(client.line().unwrap_or_else(|| panic!("'{last}' is not shown")));
    }
}

#[test]
fn messages_are_shown_once_and_in_order_after_cuts() {
    for engine in ["reactor", "threads"] {
        let path = SocketPath::new();
        let server = serve(&path, engine);
        let (line, happened) = bad_line(&path);
        let mut bob = Bob::enter(&path);
        let args = ["call", "chat", &line.listen(), "--nick", "eva"];
        let mut eva = Program::start(command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()));
        eva.printed_until("you are eva");
        let happens = 2 * CUTS.len();
        for number in 1..=happens {
            happened.recv_timeout(guard()).unwrap();
            eva.type_in(&number.to_string());
            bob.says_a_few();
        }
        let mut lines = Vec::new();
        read_until(&mut eva, &format!("[lobby] eva: {happens}"), &mut lines);
        bob.says("enough");
        read_until(&mut eva, "[lobby] bob: enough", &mut lines);
        assert_eq!(numbers(&lines, "bob"), (1..=bob.said).collect::<Vec<_>>(), "{engine}");
        assert_eq!(numbers(&lines, "eva"), (1..=happens).collect::<Vec<_>>(), "{engine}");

        // A server that was started again counts from 1, and so does bob.
        drop(server);
        let _server = serve(&path, engine);
        let mut bob = Bob::enter(&path);
        bob.says_a_few();
        bob.says("enough");
        lines.clear();
        read_until(&mut eva, "[lobby] bob: enough", &mut lines);
        assert_eq!(numbers(&lines, "bob"), (1..=A_FEW).collect::<Vec<_>>(), "{engine}");
        eva.close_input();
        assert_eq!(eva.wait().code(), Some(0), "{engine}: {}", eva.log());
    }
}
