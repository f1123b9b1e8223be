//! The examples, run as a reader starts them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::example_path;
use crate::guard::guard;

/// A running server example. Dropping it kills the process.
struct ExampleServer {
    child: Child,
    address: String,
}

impl ExampleServer {
    fn start(name: &str) -> Self {
        let mut child = Command::new(example_path(name)).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, address }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        BufReader::new(stream)
    }
}

impl Drop for ExampleServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_line(from: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line
}

#[test]
fn ten_lines_replies_in_upper_case_and_closes() {
    let server = ExampleServer::start("ten_lines");
    let mut client = server.connect();
    client.get_ref().write_all(b"hello\r\nlast words").unwrap();
    client.get_ref().shutdown(Shutdown::Write).unwrap();
    let mut replies = String::new();
    client.read_to_string(&mut replies).unwrap();
    assert_eq!(replies, "HELLO!\nLAST WORDS!\n");
}

#[test]
fn broadcast_sends_each_line_to_all_clients() {
    let server = ExampleServer::start("broadcast");
    let mut first = server.connect();
    let name = first.get_ref().local_addr().unwrap();
    assert_eq!(read_line(&mut first), format!("* {name} is here\n"));
    let mut second = server.connect();
    let other = second.get_ref().local_addr().unwrap();
    assert_eq!(read_line(&mut second), format!("* {other} is here\n"));
    assert_eq!(read_line(&mut first), format!("* {other} is here\n"));
    first.get_ref().write_all(b"good evening\n").unwrap();
    for member in [&mut first, &mut second] {
        assert_eq!(read_line(member), format!("{name}: good evening\n"));
    }
    drop(second);
    assert_eq!(read_line(&mut first), format!("* {other} has gone: the peer closed\n"));
}

#[test]
fn cutting_frames_exits_with_success() {
    assert!(Command::new(example_path("cutting_frames")).stdout(Stdio::null()).status().unwrap().success());
}

#[test]
fn three_clients_without_a_server_say_what_to_start() {
    // A bound port without a listener refuses connections, and no other process gets it.
    let unused = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&unused, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address: std::net::SocketAddr = rustix::net::getsockname(&unused).unwrap().try_into().unwrap();
    for (address, says) in [
        (&*address.to_string(), "'switchboard serve echo'"),
        ("nowhere", "nowhere is not an address: write one such as 127.0.0.1:7000"),
    ] {
        let output = Command::new(example_path("three_clients")).arg(address).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("three_clients: ") && stderr.contains(says), "{stderr}");
    }
}
