//! A files service on an engine, with a port for each dialect, and an echo service beside it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use switchboard::services::Echo;
use switchboard::services::files::{Files, FilesDialect};
use switchboard::{Framing, Limits};
use tempfile::TempDir;

use crate::support::{Client, Engine, RunningEngine, guard, listen_tcp};

/// The content outside of the root, which must never be sent.
pub(crate) const CANARY: &[u8] = b"the canary is outside";

/// It, and where it is.
pub(crate) struct Depot {
    pub(crate) running: RunningEngine,
    pub(crate) framed: SocketAddr,
    pub(crate) plain: SocketAddr,
    pub(crate) echo: SocketAddr,
    pub(crate) folder: TempDir,
}

impl Depot {
    pub(crate) fn open<E: Engine>(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("canary"), CANARY).unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Self::of::<E>(limits, &folder.path().join("root"), folder)
    }

    /// Another directory's; `folder` is not served.
    pub(crate) fn of<E: Engine>(limits: Limits, root: &Path, folder: TempDir) -> Self {
        let mut engine = E::with_limits(limits);
        let files = Files::open(root, FilesDialect::Framed).unwrap();
        let service = engine.add_service(files.options("framed"), files);
        let framed = listen_tcp(&mut engine, service, Framing::U32BE);
        let files = Files::open(root, FilesDialect::Plain).unwrap();
        let service = engine.add_service(files.options("plain"), files);
        let plain = listen_tcp(&mut engine, service, Framing::Raw);
        let service = engine.add_service(Echo.options("echo"), Echo);
        let echo = listen_tcp(&mut engine, service, Framing::U32BE);
        Self { running: RunningEngine::start(engine), framed, plain, echo, folder }
    }

    /// A path below the root.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// All that the plain dialect answers to a message.
    pub(crate) fn plainly(&self, message: &[u8]) -> Vec<u8> {
        read_all(self.dial_plain(message))
    }

    pub(crate) fn dial_plain(&self, message: &[u8]) -> TcpStream {
        dial_plain(self.plain, message)
    }

    pub(crate) fn dial(&self) -> Client {
        Client::connect(self.framed)
    }
}

pub(crate) fn dial_plain(address: SocketAddr, message: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    socket.write_all(message).unwrap();
    socket
}

pub(crate) fn read_all(mut socket: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Asks for a file.
pub(crate) fn ask(client: &Client, name: &str, offset: u64) {
    client.send(json!({"get": name, "offset": offset}).to_string().as_bytes());
}

/// The next frame, which must be JSON.
pub(crate) fn hear(client: &mut Client) -> Value {
    serde_json::from_slice(&client.receive()).unwrap()
}

/// A whole answer: its head, and the bytes after it.
pub(crate) fn receive(client: &mut Client) -> (Value, Vec<u8>) {
    let head = hear(client);
    let bytes = match (head["size"].as_u64(), head["offset"].as_u64()) {
        (Some(size), Some(offset)) => receive_bytes(client, (size - offset) as usize),
        _ => Vec::new(),
    };
    (head, bytes)
}

/// Reads this many bytes of a file and checks the size of each frame.
pub(crate) fn receive_bytes(client: &mut Client, wanted: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < wanted {
        let piece = client.receive();
        assert!((1..=256 * 1024).contains(&piece.len()), "a piece of {} bytes", piece.len());
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes.len(), wanted);
    bytes
}

/// The code with which a file is refused.
pub(crate) fn code(depot: &Depot, name: &str) -> String {
    let mut client = depot.dial();
    ask(&client, name, 0);
    let (answer, bytes) = receive(&mut client);
    assert!(bytes.is_empty(), "{name:?} is served");
    assert!(!answer.to_string().contains("canary is"), "{answer}");
    answer["error"]["code"].as_str().unwrap_or_else(|| panic!("{name:?}: {answer}")).to_owned()
}

/// Bytes of which no stretch is like another.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    fastrand::Rng::with_seed(seed).fill(&mut noise);
    noise
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let sum: [u8; 32] = Sha256::digest(bytes).into();
    sum.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}
