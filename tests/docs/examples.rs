//! The examples as their readers start them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Nothing waits for it to pass.
const GUARD: Duration = Duration::from_secs(20);

/// A compiled example: beside the directory of this test's own executable.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples").join(name)
}

/// An example that serves, killed when the test ends.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(name: &str) -> Self {
        let mut child = Command::new(example(name)).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, address }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(GUARD)).unwrap();
        BufReader::new(stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(from: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line
}

#[test]
fn ten_lines_shouts_back_and_closes_after_its_peer() {
    let server = Server::start("ten_lines");
    let mut client = server.connect();
    client.get_ref().write_all(b"hello\r\nlast words").unwrap();
    client.get_ref().shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert_eq!(answers, "HELLO!\nLAST WORDS!\n");
}

#[test]
fn broadcast_tells_everybody_what_anybody_says() {
    let server = Server::start("broadcast");
    let mut first = server.connect();
    let name = first.get_ref().local_addr().unwrap();
    assert_eq!(line(&mut first), format!("* {name} is here\n"));
    let mut second = server.connect();
    let other = second.get_ref().local_addr().unwrap();
    assert_eq!(line(&mut second), format!("* {other} is here\n"));
    assert_eq!(line(&mut first), format!("* {other} is here\n"));
    first.get_ref().write_all(b"good evening\n").unwrap();
    for member in [&mut first, &mut second] {
        assert_eq!(line(member), format!("{name}: good evening\n"));
    }
    drop(second);
    assert_eq!(line(&mut first), format!("* {other} has gone: the peer closed\n"));
}

#[test]
fn cutting_frames_runs() {
    assert!(Command::new(example("cutting_frames")).stdout(Stdio::null()).status().unwrap().success());
}
