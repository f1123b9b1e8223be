//! The same over UDP, where replies may be lost, late, or from another sender.

use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;

use super::{call, ended, python};
use crate::guard::guard;
use crate::program::{Program, command};

/// A server as `recvfrom(1024)` and `sendto` make it, and its address.
pub(crate) fn socket() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    let address = format!("udp:{}", socket.local_addr().unwrap());
    (socket, address)
}

/// The next datagram, which must be this, and its sender.
#[track_caller]
pub(crate) fn expect(socket: &UdpSocket, bytes: &[u8]) -> SocketAddr {
    let mut read = [0; 1024];
    let (count, from) = socket.recv_from(&mut read).unwrap();
    assert_eq!(read[..count].escape_ascii().to_string(), bytes.escape_ascii().to_string());
    from
}

#[test]
fn lost_reply_is_reported_and_the_next_line_sent() {
    let (server, address) = socket();
    let program = call(&["robot", &address, "--timeout", "2s", "--json"], b"one\n\n");
    expect(&server, b"one");
    let from = expect(&server, b"");
    server.send_to(b"here", from).unwrap();
    let (code, printed, log) = ended(program);
    assert_eq!(
        (code, &*printed),
        (Some(1), "{\"sent\":\"one\",\"answer\":null}\n{\"sent\":\"\",\"answer\":\"here\"}\n")
    );
    let says =
        ["* 'one': no reply within 2s: UDP may have lost the request or the reply", "switchboard: 1 line got no reply"];
    assert_eq!(log.lines().collect::<Vec<_>>(), says);
}

#[test]
fn late_reply_is_discarded() {
    let (server, address) = socket();
    let mut command = command(&["call", "robot", &address, "--timeout", "2s"]);
    let (mut program, mut input) = Program::start_with_input(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    std::io::Write::write_all(&mut input, b"one\n").unwrap();
    let from = expect(&server, b"one");
    program.logged("'one': no reply");
    server.send_to(b"to one", from).unwrap();
    std::io::Write::write_all(&mut input, b"two\n").unwrap();
    drop(input);
    expect(&server, b"two");
    server.send_to(b"to two", from).unwrap();
    let (code, printed, _) = ended(program);
    assert_eq!((code, &*printed), (Some(1), "to two\n"));
}

#[test]
fn reply_with_other_content_is_ignored() {
    let (server, address) = socket();
    for (service, answers) in [("echo", ["one", "zwei", "two"]), ("upper", ["ONE", "ZWEI", "TWO"])] {
        let program = call(&[service, &address], b"two\n");
        let from = expect(&server, b"two");
        for answer in answers {
            server.send_to(answer.as_bytes(), from).unwrap();
        }
        assert_eq!(ended(program), (Some(0), format!("{}\n", answers[2]), String::new()));
    }
}

#[test]
fn datagram_of_another_sender_is_ignored() {
    let (server, address) = socket();
    let program = call(&["robot", &address], b"hi\n");
    let from = expect(&server, b"hi");
    socket().0.send_to(b"I am the robot", from).unwrap();
    server.send_to(b"it lies", from).unwrap();
    assert_eq!(ended(program), (Some(0), "it lies\n".to_owned(), String::new()));
}

#[test]
fn bye_over_udp_expects_no_reply() {
    let (server, address) = socket();
    let program = call(&["parrot", &address], b"Bye\nnot said\n");
    expect(&server, b"Bye");
    assert_eq!(ended(program), (Some(0), String::new(), String::new()));
}

#[test]
fn line_longer_than_a_datagram_is_an_error() {
    let (server, address) = socket();
    let program = call(&["robot", &address], &[&vec![b'x'; 65_508][..], b"\nok\n"].concat());
    let from = expect(&server, b"ok");
    server.send_to(&vec![b'y'; 65_507], from).unwrap();
    let (code, printed, log) = ended(program);
    assert_eq!((code, printed.len()), (Some(1), 65_508));
    assert!(log.contains("text too large for one datagram: 65508 bytes (maximum 65507)"), "{log}");
}

#[test]
fn closed_udp_port_has_advice() {
    let (server, address) = socket();
    // The bound socket keeps the port; connected to itself, it accepts no other datagram.
    server.connect(server.local_addr().unwrap()).unwrap();
    let says = format!(
        "switchboard: cannot reach {address}: no server listens there; start one with 'switchboard serve robot --listen {address}'\n"
    );
    assert_eq!(ended(call(&["robot", &address], b"hi\nho\n")), (Some(1), String::new(), says));
}

#[test]
fn python_upper_server_works() {
    let script = "
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
while True:
    said, client = server.recvfrom(65535)
    server.sendto(said.upper(), client)
";
    let Some((_server, port)) = python(script) else { return };
    let program = call(&["upper", &format!("127.0.0.1:{port}"), "--udp"], b"one\n\nTwo\n");
    assert_eq!(ended(program), (Some(0), "ONE\n\nTWO\n".to_owned(), String::new()));
}

/// In GBK the second byte of 乥 is a lower-case ASCII letter, which `upper` changes: the expected
/// reply is another character.
#[test]
fn upper_reply_is_matched_by_its_bytes() {
    let (server, address) = socket();
    let program = call(&["upper", &address, "--encoding", "gbk"], "乥\n".as_bytes());
    let from = expect(&server, b"\x81\x62");
    server.send_to(b"\x81\x42", from).unwrap();
    let (code, printed, _) = ended(program);
    assert_eq!((code, &*printed), (Some(0), "丅\n"));
}

/// `serve` answers 1,000 datagrams of one source in a second.
#[test]
fn a_long_pipe_keeps_to_the_rate_of_the_server() {
    let args = ["serve", "upper", "--listen", "udp:127.0.0.1:0"];
    let mut server = Program::start(crate::program::command(&args).stdout(Stdio::piped()));
    let address = format!("udp:{}", server.address("udp"));
    let program = call(&["upper", &address], "hello\n".repeat(1500).as_bytes());
    assert_eq!(ended(program), (Some(0), "HELLO\n".repeat(1500), String::new()));
}

#[test]
fn the_longest_datagram_of_each_family_is_echoed() {
    for engine in ["reactor", "threads"] {
        let args = ["--engine", engine, "--listen", "udp:127.0.0.1:0", "--listen", "udp:[::1]:0"];
        let mut server = Program::serve(&args);
        for longest in [65_507, 65_527] {
            let address = format!("udp:{}", server.address("udp"));
            let line = "x".repeat(longest);
            let echoed = ended(call(&["echo", &address], line.as_bytes()));
            assert_eq!(echoed, (Some(0), line.clone() + "\n", String::new()), "{engine} {address}");
            let (code, printed, log) = ended(call(&["echo", &address], format!("{line}x").as_bytes()));
            assert_eq!((code, &*printed), (Some(1), ""), "{engine} {address}");
            let limit = format!("{} bytes (maximum {longest})", longest + 1);
            assert!(log.contains(&limit), "{engine} {address}: {log}");
        }
    }
}
