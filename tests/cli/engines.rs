//! Each engine that can be named serves, drains and counts alike.

use std::io::Read;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::guard::guard;
use crate::program::{Program, Signal, SocketPath};
use crate::serving::{assert_echoes, connect, connect_unix};

const HELLO: &[u8] = b"\0\0\0\x05hello";

fn ask(socket: &UdpSocket, address: &str) {
    socket.set_read_timeout(Some(guard())).unwrap();
    socket.send_to(b"hello", address).unwrap();
    let mut answer = [0; 16];
    let len = socket.recv(&mut answer).unwrap();
    assert_eq!(&answer[..len], b"hello");
}

#[test]
fn each_engine_serves_every_transport_and_obeys_signals() {
    for engine in ["reactor", "threads"] {
        let unix = SocketPath::new();
        let listens = ["--listen", "127.0.0.1:0", "--listen", "udp:127.0.0.1:0", "--listen", &unix.listen()];
        let mut server = Program::serve(&[&["--engine", engine], &listens[..]].concat());
        let mut client = connect(&server.address("tcp"));
        assert_echoes(&client, HELLO);
        ask(&UdpSocket::bind("127.0.0.1:0").unwrap(), &server.address("udp"));
        let other = connect_unix(&server.address("unix"));
        assert_echoes(&other, HELLO);

        // A thread counts its work after it has sent the answer.
        let begun = Instant::now();
        loop {
            server.signal(Signal::USR1);
            let lines = ["connections: ", "traffic: ", "datagrams: "].map(|group| server.logged(group)).concat();
            if lines.contains("open=2 ") && lines.contains("frames_in=2 ") && lines.contains("datagrams_out=1 ") {
                break;
            }
            assert!(begun.elapsed() < guard(), "{engine}: {lines}");
        }

        server.signal(Signal::TERM);
        server.logged("draining 2 connections");
        assert_eq!(client.read(&mut [0; 16]).unwrap(), 0, "{engine}");
        drop((client, other));
        assert_eq!(server.wait().code(), Some(0), "{engine}");
        assert!(server.log().contains("stopped: open=0"), "{engine}");
        assert!(!unix.path().exists(), "{engine}");
    }
}

#[test]
fn work_takes_its_time_on_each_engine_and_over_each_transport() {
    for engine in ["reactor", "threads"] {
        let listens = ["--listen", "127.0.0.1:0", "--listen", "udp:127.0.0.1:0"];
        let mut server = Program::serve(&[&["--engine", engine, "--work-us", "20000"], &listens[..]].concat());
        let client = connect(&server.address("tcp"));
        let begun = Instant::now();
        assert_echoes(&client, HELLO);
        assert!(begun.elapsed() >= Duration::from_millis(20), "{engine}");
        let begun = Instant::now();
        ask(&UdpSocket::bind("127.0.0.1:0").unwrap(), &server.address("udp"));
        assert!(begun.elapsed() >= Duration::from_millis(20), "{engine}");
    }
}
