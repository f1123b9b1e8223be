//! Runs over real sockets every script of `scripts/` that needs neither a virtual clock nor another
//! machine.
//!
//! A test cannot wait for the absence of output. Instead, each client reads to the end of the
//! server, and any output that its script does not expect is a failure.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;

use socket2::{Domain, Socket, Type};
use switchboard::Limits;

use super::hall::Hall;
use super::script::{ClientKind, Script, ScriptAction, ScriptStep};
use crate::support::{Engine, conformance, encode_frame, guard};

conformance! {
    every_script_passes,
}

fn every_script_passes<E: Engine>() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/chat/scripts");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut failed = Vec::new();
    let mut played = 0;
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let script = Script::parse(&name, &fs::read_to_string(&path).unwrap());
        if script.is_virtual() {
            continue;
        }
        played += 1;
        if std::panic::catch_unwind(|| play::<E>(&script)).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "these scripts do not hold, see above: {failed:?}");
    assert!(played > 20, "the scripts have gone");
}

fn play<E: Engine>(script: &Script) {
    let is_console = |step: &&ScriptStep| matches!(step.action, ScriptAction::Connect(ClientKind::Console, _));
    let consoles = script.steps.iter().filter(is_console).count();
    let mut hall = Hall::open::<E>(Limits::default(), script.config.clone(), consoles);
    let mut peers: HashMap<&str, Peer> = HashMap::new();
    for ScriptStep { line_number, client, action } in &script.steps {
        let at = format!("{}:{line_number}: {client}", script.name);
        match action {
            ScriptAction::Connect(kind, from) => {
                peers.insert(client, Peer::connect(&mut hall, *kind, *from));
            }
            ScriptAction::Send(bytes) => peers.get_mut(&**client).expect(&at).send(bytes),
            ScriptAction::Expect(expected) => {
                let heard = peers.get_mut(&**client).expect(&at).receive();
                let heard = heard.unwrap_or_else(|what| panic!("{at}: {what} instead of {expected:?}"));
                assert!(expected.matches(&heard), "{at}: hears {}", String::from_utf8_lossy(&heard));
            }
            ScriptAction::ExpectEnd => {
                let heard = peers.remove(&**client).expect(&at).receive();
                assert_eq!(heard, Err(NoMessage::End), "{at}: is still connected");
            }
            ScriptAction::Close => drop(peers.remove(&**client)),
            ScriptAction::ExpectNothing | ScriptAction::AdvanceClock(_) => {}
        }
    }
    hall.running.handle.drain();
    // UDP clients come last: only after the server has ended is it certain that no datagram is
    // left.
    let (by_datagram, connected): (Vec<_>, Vec<_>) =
        peers.into_iter().partition(|(_, peer)| peer.kind == ClientKind::Udp);
    for (client, peer) in connected {
        peer.expect_end(&format!("{}, at its end: {client}", script.name));
    }
    hall.running.join();
    for (client, peer) in by_datagram {
        peer.expect_end(&format!("{}, at its end: {client}", script.name));
    }
}

/// A client in a script.
struct Peer {
    kind: ClientKind,
    line: Line,
}

enum Line {
    Tcp(BufReader<TcpStream>),
    Udp(UdpSocket),
    Console(BufReader<UnixStream>),
}

/// The reason why a client has received no message.
#[derive(Debug, PartialEq, Eq)]
enum NoMessage {
    End,
    Yet,
}

impl std::fmt::Display for NoMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::End { "the end" } else { "nothing" })
    }
}

impl Peer {
    fn connect(hall: &mut Hall, kind: ClientKind, from: IpAddr) -> Self {
        let line = match kind {
            ClientKind::Json => Line::tcp(hall.json, from),
            ClientKind::Lines => Line::tcp(hall.lines, from),
            ClientKind::Raw => Line::tcp(hall.raw, from),
            ClientKind::Udp => {
                let socket = UdpSocket::bind((from, 0)).unwrap();
                socket.connect(hall.udp).unwrap();
                socket.set_read_timeout(Some(guard())).unwrap();
                Line::Udp(socket)
            }
            ClientKind::Console => {
                let console = hall.consoles.remove(0);
                console.set_read_timeout(Some(guard())).unwrap();
                Line::Console(BufReader::new(console))
            }
        };
        Self { kind, line }
    }

    fn send(&mut self, bytes: &[u8]) {
        let framing = match self.kind {
            ClientKind::Json => "u32be",
            ClientKind::Lines | ClientKind::Console => "lines",
            ClientKind::Raw | ClientKind::Udp => "raw",
        };
        let bytes = encode_frame(framing, bytes);
        match &mut self.line {
            Line::Tcp(stream) => stream.get_mut().write_all(&bytes).unwrap(),
            Line::Console(stream) => stream.get_mut().write_all(&bytes).unwrap(),
            Line::Udp(socket) => assert_eq!(socket.send(&bytes).unwrap(), bytes.len()),
        }
    }

    /// Returns the next frame, line or datagram.
    fn receive(&mut self) -> Result<Vec<u8>, NoMessage> {
        match &mut self.line {
            Line::Udp(socket) => {
                let mut datagram = vec![0; 64 * 1024];
                match socket.recv(&mut datagram) {
                    Ok(bytes) => Ok(datagram[..bytes].to_vec()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Err(NoMessage::Yet),
                    // The server's socket is already closed when the test looks for its end.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => Err(NoMessage::Yet),
                    Err(error) => panic!("{error}"),
                }
            }
            Line::Tcp(stream) if self.kind == ClientKind::Json => frame(stream),
            Line::Tcp(stream) => text_line(stream),
            Line::Console(stream) => text_line(stream),
        }
    }

    /// Checks that only the server's `bye` follows, if its dialect has one.
    fn expect_end(mut self, at: &str) {
        let (goodbye, nothing) = match &self.line {
            Line::Tcp(_) if self.kind == ClientKind::Json => {
                (Some(r#"{"type":"bye","reason":"server is shutting down"}"#), NoMessage::End)
            }
            Line::Tcp(_) => (Some("* bye: server is shutting down"), NoMessage::End),
            Line::Console(_) => (None, NoMessage::End),
            Line::Udp(socket) => {
                socket.set_nonblocking(true).unwrap();
                (None, NoMessage::Yet)
            }
        };
        let mut hear = || self.receive().map(|heard| String::from_utf8_lossy(&heard).into_owned());
        if let Some(goodbye) = goodbye {
            assert_eq!(hear(), Ok(goodbye.to_owned()), "{at}");
        }
        assert_eq!(hear(), Err(nothing), "{at}");
    }
}

impl Line {
    fn tcp(to: SocketAddr, from: IpAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        Self::Tcp(BufReader::new(stream))
    }
}

fn frame(stream: &mut impl Read) -> Result<Vec<u8>, NoMessage> {
    let mut head = [0; 4];
    match stream.read(&mut head[..1]) {
        Ok(0) => return Err(NoMessage::End),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(NoMessage::Yet),
        Err(error) => panic!("{error}"),
    }
    stream.read_exact(&mut head[1..]).unwrap();
    let mut payload = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut payload).unwrap();
    Ok(payload)
}

fn text_line(stream: &mut impl BufRead) -> Result<Vec<u8>, NoMessage> {
    let mut line = Vec::new();
    match stream.read_until(b'\n', &mut line) {
        Ok(0) => Err(NoMessage::End),
        Ok(_) => {
            assert_eq!(line.pop(), Some(b'\n'), "a line that is not ended: {}", String::from_utf8_lossy(&line));
            Ok(line)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(NoMessage::Yet),
        Err(error) => panic!("{error}"),
    }
}
