//! Replies over every transport, and to clients of another protocol.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

use crate::guard::guard;
use crate::program::{Program, SocketPath};

/// A connection on which nothing waits for ever.
pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(guard())).unwrap();
    stream.set_write_timeout(Some(guard())).unwrap();
    stream
}

/// As [`connect`], at a path.
pub(crate) fn connect_unix(path: &str) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(guard())).unwrap();
    stream.set_write_timeout(Some(guard())).unwrap();
    stream
}

/// Sends bytes and expects the very same back.
pub(crate) fn assert_echoes(mut stream: impl Read + Write, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, bytes);
}

pub(crate) const HELLO: &[u8] = b"\0\0\0\x05hello";

#[test]
fn echoes_over_every_transport_at_once() {
    let unix = SocketPath::new();
    let mut args = Vec::new();
    for address in ["127.0.0.1:0", "udp:127.0.0.1:0", &unix.listen(), "[::1]:0", "lines@127.0.0.1:0"] {
        args.extend(["--listen", address].map(str::to_owned));
    }
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut server = Program::serve(&args);

    assert_echoes(connect(&server.address("tcp")), HELLO);

    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(guard())).unwrap();
    let address = server.address("udp");
    peer.send_to(b"hello", &address).unwrap();
    let mut answer = [0; 16];
    let (len, from) = peer.recv_from(&mut answer).unwrap();
    assert_eq!((&answer[..len], from.to_string()), (&b"hello"[..], address));

    assert_echoes(connect_unix(&server.address("unix")), HELLO);

    let v6 = server.address("tcp");
    assert!(v6.starts_with("[::1]:"), "{v6}");
    assert_echoes(connect(&v6), HELLO);

    assert_echoes(connect(&server.address("tcp")), b"hello\nworld\n");
}

#[test]
fn a_framing_applies_to_the_listeners_without_one() {
    let mut server =
        Program::serve(&["--framing", "u16le", "--listen", "127.0.0.1:0", "--listen", "varint@127.0.0.1:0"]);
    assert_echoes(connect(&server.address("tcp")), b"\x05\0hello");
    assert_echoes(connect(&server.address("tcp")), b"\x05hello");
}

#[test]
fn flags_before_and_after_the_service_apply_together() {
    let args = ["serve", "--framing", "u16le", "--listen", "127.0.0.1:0", "echo", "--listen", "varint@127.0.0.1:0"];
    let mut server = Program::start(crate::program::command(&args).stdout(std::process::Stdio::piped()));
    assert_echoes(connect(&server.address("tcp")), b"\x05\0hello");
    assert_echoes(connect(&server.address("tcp")), b"\x05hello");
}

#[test]
fn an_address_is_of_one_service() {
    let output = crate::program::run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr).unwrap().contains("--listen needs a service: name one of echo upper greet")
    );
}

#[test]
fn other_protocol_is_rejected_and_logged() {
    let mut server = Program::serve(&["--listen", "127.0.0.1:0"]);
    let address = server.address("tcp");
    for (bytes, says) in [
        (&b"hello\n"[..], "look like text"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "look like HTTP"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "look like TLS"),
    ] {
        let mut client = connect(&address);
        client.write_all(bytes).unwrap();
        assert_eq!(client.read(&mut [0; 64]).unwrap(), 0, "closed without an answer");
        let line = server.logged(says);
        assert!(line.contains("WARN") && line.contains(&client.local_addr().unwrap().to_string()), "{line}");
    }
    assert_echoes(connect(&address), HELLO);
}
