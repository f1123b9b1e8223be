//! Servers that send a greeting before the first request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{call, ended, expect};
use crate::peer::Fake;

/// The number of further tries on a busy machine.
const TRIES: usize = 10;

fn speaks_within(stream: &TcpStream, millis: i64) -> bool {
    let limit = Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
    poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&limit)).unwrap() > 0
}

/// Greets a client after `wait` without a request, then replies to every request.
fn greet_and_answer(mut peer: TcpStream, after_millis: i64) {
    // A client with an early request is greeted, too.
    speaks_within(&peer, after_millis);
    peer.write_all(b"welcome").unwrap();
    let mut bytes = [0; 64];
    for answer in 1.. {
        if peer.read(&mut bytes).unwrap() == 0 {
            break;
        }
        peer.write_all(format!("A{answer}").as_bytes()).unwrap();
    }
}

#[test]
fn greeting_is_not_a_reply() {
    let told_apart = |_| {
        let server = Fake::new();
        let address = server.address();
        let serving = thread::spawn(move || greet_and_answer(server.accept_raw(), 4));
        let result = ended(call(&["robot", &address, "--json"], b"a\nb\n"));
        serving.join().unwrap();
        let lines =
            [r#"{"sent":null,"answer":"welcome"}"#, r#"{"sent":"a","answer":"A1"}"#, r#"{"sent":"b","answer":"A2"}"#];
        result == (Some(0), lines.join("\n") + "\n", String::new())
    };
    assert!((0..TRIES).any(told_apart));
}

#[test]
fn late_greeting_loses_no_reply() {
    let server = Fake::new();
    let program = call(&["robot", &server.address()], b"a\nb\n");
    let mut peer = server.accept_raw();
    expect(&mut peer, b"a");
    peer.write_all(b"welcome").unwrap();
    expect(&mut peer, b"b");
    peer.write_all(b"A1").unwrap();
    // The client has sent everything and reads the remaining replies.
    assert_eq!(peer.read(&mut [0; 64]).unwrap(), 0);
    peer.write_all(b"A2").unwrap();
    drop(peer);
    assert_eq!(ended(program), (Some(0), "welcome\nA1\nA2\n".to_owned(), String::new()));
}
