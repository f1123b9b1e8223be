//! `serve files` and `call files` as users run them: against each other, against other servers, and
//! against faulty servers.

mod calls;
mod liars;
mod serving;
mod terminal;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::guard::guard;
use crate::peer::Fake;
use crate::program::{Program, command};

/// Starts the program in a directory.
fn start(folder: &Path, args: &[&str]) -> Program {
    Program::start(command(args).current_dir(folder).stdout(Stdio::piped()))
}

/// Runs `call files` in a directory to its end.
fn call(folder: &Path, address: &str, args: &[&str]) -> Output {
    finish(start(folder, &[&["call", "files", address], args].concat()))
}

fn finish(mut program: Program) -> Output {
    let status = program.wait();
    Output { status, stdout: program.printed().into_bytes(), stderr: program.log().into_bytes() }
}

/// Panics unless it ended with this code and these words; returns what it printed.
fn expect(output: &Output, code: i32, words: &str) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(words), "'{words}' is not in: {stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Names in a directory.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    fastrand::Rng::with_seed(bytes as u64).fill(&mut noise);
    noise
}

fn sha256(bytes: &[u8]) -> String {
    let sum: [u8; 32] = Sha256::digest(bytes).into();
    sum.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}

/// The name of the partial file of a download from `address`.
fn partial(address: &str, name: &str, output: &str) -> String {
    let counted = |text: &str| [&(text.len() as u64).to_be_bytes()[..], text.as_bytes()].concat();
    let sum = sha256(&[address, name, output].map(counted).concat());
    format!("{output}.{}.part", &sum[..16])
}

/// Waits until a directory has a file of this size: until the program has written what it was sent.
#[cfg(target_os = "linux")]
fn await_file(folder: &Path, bytes: usize) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

    let watch = init(CreateFlags::CLOEXEC).unwrap();
    add_watch(&watch, folder, WatchFlags::CREATE | WatchFlags::MODIFY).unwrap();
    let limit = Timespec::try_from(guard()).unwrap();
    let length = |name: String| fs::metadata(folder.join(name)).map_or(0, |found| found.len());
    while !names(folder).into_iter().any(|name| length(name) == bytes as u64) {
        let changes = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&limit)).unwrap();
        assert_eq!(changes, 1, "no file of {bytes} bytes in {:?}", names(folder));
        rustix::io::read(&watch, &mut [0; 4096]).unwrap();
    }
}

/// A server made of nothing but sockets; each script answers one connection.
struct Scripted {
    address: String,
    thread: JoinHandle<()>,
}

type Script = Box<dyn FnOnce(&mut Talk) + Send>;

impl Scripted {
    fn new(scripts: Vec<Script>) -> Self {
        let fake = Fake::new();
        let address = fake.address();
        let thread = thread::spawn(move || {
            for script in scripts {
                script(&mut Talk { socket: fake.accept_raw() });
            }
        });
        Self { address, thread }
    }

    /// Every script has been played.
    fn finish(self) {
        self.thread.join().unwrap();
    }
}

/// One connection of it.
struct Talk {
    socket: TcpStream,
}

impl Talk {
    fn request(&mut self) -> Value {
        let mut head = [0; 4];
        self.socket.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes(head) as usize];
        self.socket.read_exact(&mut payload).unwrap();
        serde_json::from_slice(&payload).unwrap()
    }

    fn expect(&mut self, request: &Value) {
        assert_eq!(self.request(), *request);
    }

    /// The client may have gone by now.
    fn send(&mut self, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let _ = self.socket.write_all(&[&length, payload].concat());
    }

    /// The head of a file, from an offset on.
    fn head(&mut self, content: &[u8], offset: usize) {
        let head = json!({"name": "x", "size": content.len(), "offset": offset, "sha256": sha256(content)});
        self.send(head.to_string().as_bytes());
    }

    /// Waits until the client has gone.
    fn await_end(&mut self) {
        let mut rest = Vec::new();
        let _ = self.socket.read_to_end(&mut rest);
    }
}
