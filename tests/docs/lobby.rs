//! The README's lobby, with its four visitors: their commands are those that are shown, and so is what one of them sees.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Stdio;

use crate::program::{Program, command};
use crate::readme::block;

fn call(address: &str, typed: &str) -> Program {
    let args = typed.strip_prefix("switchboard call chat ").unwrap();
    let args: Vec<_> = ["call", "chat", address].into_iter().chain(args.split(' ')).collect();
    Program::start(command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()))
}

#[test]
fn four_kinds_of_visitors_share_the_lobby() {
    let listens = ["--listen", "127.0.0.1:0", "--listen", "lines@127.0.0.1:0", "--listen", "udp:127.0.0.1:0"];
    let mut server = Program::start(command(&[&["serve", "chat"], &listens[..]].concat()).stdout(Stdio::piped()));
    let [json, lines, udp] = ["tcp", "tcp", "udp"].map(|transport| server.address(transport));
    let typed = block("sh", "call chat --nick");
    let typed: Vec<_> = typed.lines().collect();
    let datagram = typed[3].strip_prefix("echo '").unwrap().split_once('\'').unwrap().0;

    let shown = block("text", "* you are eva");
    let mut shown = shown.lines();
    let mut eva = call(&json, typed[0]);
    let mut eva_sees = |count: usize| {
        for _ in 0..count {
            assert_eq!(eva.line().as_deref(), shown.next());
        }
    };
    eva_sees(1);
    let mut bob = call(&json, typed[1]);
    eva_sees(1);
    bob.type_in("hello, everybody");
    eva_sees(1);
    assert_eq!(typed[2], "nc 127.0.0.1 8001");
    let mut nc = TcpStream::connect(lines).unwrap();
    nc.write_all(b"/nick sam\n").unwrap();
    eva_sees(1);
    nc.write_all(b"by telnet, or nearly\n").unwrap();
    eva_sees(1);
    let zoe = UdpSocket::bind("127.0.0.1:0").unwrap();
    zoe.send_to(format!("{datagram}\n").as_bytes(), udp).unwrap();
    eva_sees(2);
    bob.type_in("/msg eva who is zoe?");
    eva_sees(1);
    assert_eq!(shown.next(), None);
    // The others have seen the same.
    assert!(BufReader::new(nc).lines().any(|line| line.unwrap() == "[lobby] zoe: hello from a datagram"));
    assert_eq!(zoe.recv(&mut [0; 100]).unwrap(), datagram.len());
}
