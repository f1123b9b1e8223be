//! A test server without code of this crate: it accepts one connection after the other, reads a
//! request, and runs the test's script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::guard::guard;
use crate::program::command;

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    requests: Receiver<String>,
}

impl Server {
    /// Has `serve` deal with every connection, once its request was read.
    pub(crate) fn start(mut serve: impl FnMut(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(guard())).unwrap();
                stream.set_write_timeout(Some(guard())).unwrap();
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
                drop(lines);
                let _ = sender.send(head.join("\n"));
                serve(&mut stream);
            }
        });
        Self { addr, requests }
    }

    /// Answers with these bytes, one after the other, and closes each connection behind them.
    pub(crate) fn answering<T: AsRef<[u8]>>(answers: impl IntoIterator<Item = T>) -> Self {
        let answers: Vec<Vec<u8>> = answers.into_iter().map(|answer| answer.as_ref().to_vec()).collect();
        let mut answers = answers.into_iter();
        Self::start(move |stream| {
            // A client may close before it has received everything.
            let _ = stream.write_all(&answers.next().unwrap());
            close(stream);
        })
    }

    /// The URL of a path here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The next request's head, its lines ended with line feeds alone.
    pub(crate) fn request(&self) -> String {
        self.requests.recv_timeout(guard()).unwrap()
    }

    /// Gets the root, with further arguments.
    pub(crate) fn get(&self, args: &[&str]) -> Output {
        let url = self.url("/");
        run(&[&["get", &url], args].concat())
    }
}

/// Runs the program to its end. What it prints is here as it is, to the byte.
pub(crate) fn run(args: &[&str]) -> Output {
    let (sender, outputs) = channel();
    let mut command = command(args);
    thread::spawn(move || sender.send(command.output().unwrap()));
    outputs.recv_timeout(guard()).unwrap_or_else(|error| panic!("the program does not end: {error}"))
}

/// Closes after the client, so that no reset takes away what it has not read yet.
pub(crate) fn close(stream: &mut TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
}

/// Returns the error text of a failed run. Panics unless it is one line and the status is 1.
pub(crate) fn expect_failure(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("switchboard: cannot fetch http://"), "{stderr}");
    stderr
}

/// Returns the output of a successful run. Panics on another status or a message.
pub(crate) fn expect_success(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}
