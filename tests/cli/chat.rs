//! The chat server as its operator runs it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::program::{Program, SocketPath, command};
use crate::serving::connect;

/// A member on the lines port.
struct Member {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Member {
    fn enter(address: &str, nick: &str) -> Self {
        let writer = connect(address);
        let reader = BufReader::new(writer.try_clone().unwrap());
        let mut member = Self { writer, reader };
        member.expect("; /help lists the commands");
        member.say(&format!("/nick {nick}"));
        member.expect(&format!(" is now {nick}"));
        member
    }

    fn say(&mut self, text: &str) {
        self.writer.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    /// The next line that contains `words`.
    fn expect(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.reader.read_line(&mut line).unwrap(), 0, "ended without '{words}'");
            if line.contains(words) {
                return line;
            }
        }
    }

    fn expect_end(mut self) {
        while self.reader.read_line(&mut String::new()).unwrap() > 0 {}
    }
}

fn serve(engine: &str, more: &[&str]) -> Program {
    let args = [&["serve", "chat", "--engine", engine, "--listen", "lines@127.0.0.1:0"], more].concat();
    Program::start(command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()))
}

fn address(server: &mut Program) -> String {
    server.address("tcp")
}

#[test]
fn operator_reads_sends_and_moderates() {
    for engine in ["reactor", "threads"] {
        let mut server = serve(engine, &["--console", "--colour", "eva=red"]);
        let address = address(&mut server);
        let mut eva = Member::enter(&address, "eva");
        eva.say("who \u{200b}runs this?");
        assert_eq!(server.printed_until("who"), "[lobby] eva: who \u{200b}runs this?", "{engine}");
        server.type_in("I do");
        assert_eq!(eva.expect("I do"), "[lobby] operator: I do\n");
        server.type_in("@eva psst");
        assert_eq!(eva.expect("psst"), "[operator -> eva] psst\n");
        eva.say("/msg operator yes?");
        assert!(server.printed_until("yes?").contains("eva"), "{engine}");
        server.type_in("/who");
        assert!(server.printed_until(" in lobby").contains("eva"), "{engine}");
        server.type_in("/stats");
        server.printed_until("1 member in 1 room");
        server.type_in("/dance");
        server.printed_until("unknown command");
        server.type_in("/kick eva");
        assert_eq!(eva.expect("bye"), "* bye: kicked by the operator\n");
        eva.expect_end();
        server.type_in("/ban 127.0.0.1");
        server.printed_until("127.0.0.1 is banned");
        BufReader::new(connect(&address))
            .lines()
            .find(|line| line.as_ref().unwrap().contains("banned"))
            .unwrap()
            .unwrap();
        server.type_in("/quit");
        assert_eq!(server.wait().code(), Some(0), "{engine}");
    }
}

#[test]
fn an_action_is_shown_to_every_client() {
    let mut server = serve("reactor", &["--listen", "127.0.0.1:0", "--listen", "udp:127.0.0.1:0", "--console"]);
    let lines = server.address("tcp");
    let json = server.address("tcp");
    let udp = server.address("udp");
    let mut bob = Member::enter(&lines, "bob");
    let zoe = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    zoe.set_read_timeout(Some(crate::guard::guard())).unwrap();
    zoe.send_to(b"zoe : hi", udp.as_str()).unwrap();
    let mut datagram = [0; 1024];
    assert_eq!(zoe.recv(&mut datagram).unwrap(), b"zoe : hi".len());
    let args = ["call", "chat", &json, "--nick", "eva"];
    let mut eva = Program::start(command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()));
    eva.type_in("/me waves");
    assert_eq!(eva.printed_until("waves"), "[lobby] * eva waves");
    assert_eq!(bob.expect("waves"), "[lobby] * eva waves\n");
    assert_eq!(server.printed_until("waves"), "[lobby] * eva waves");
    let bytes = zoe.recv(&mut datagram).unwrap();
    assert_eq!(&datagram[..bytes], b"eva : * eva waves");
    bob.say("/me nods");
    assert_eq!(eva.printed_until("nods"), "[lobby] * bob nods");
    server.type_in("/me listens");
    assert_eq!(eva.printed_until("listens"), "[lobby] * operator listens");
    assert_eq!(server.printed_until("listens"), "[lobby] * operator listens");
    zoe.send_to(b"zoe : /me smiles", udp.as_str()).unwrap();
    assert_eq!(eva.printed_until("smiles"), "[lobby] * zoe smiles");
    eva.type_in("//me too");
    assert_eq!(bob.expect("too"), "[lobby] eva: /me too\n");
}

#[test]
fn a_room_in_another_case_is_the_same_room() {
    let mut server = serve("reactor", &["--listen", "127.0.0.1:0"]);
    let lines = server.address("tcp");
    let json = server.address("tcp");
    let mut bob = Member::enter(&lines, "bob");
    bob.say("/join Straße");
    bob.expect("has joined Straße");
    let args = ["call", "chat", &json, "--nick", "eva", "--room", "STRASSE"];
    let mut eva = Program::start(command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()));
    eva.type_in("hi");
    assert_eq!(eva.printed_until("hi"), "[Straße] eva: hi");
    assert_eq!(bob.expect("hi"), "[Straße] eva: hi\n");
    bob.say("hello");
    assert_eq!(eva.printed_until("hello"), "[Straße] bob: hello");
    eva.type_in("/room lobby");
    eva.type_in("/room strasse");
    eva.type_in("again");
    assert_eq!(eva.printed_until("again"), "[Straße] eva: again");
    eva.type_in("/leave STRAẞE");
    bob.expect("eva has left Straße");
    eva.type_in("in the lobby");
    assert_eq!(eva.printed_until("in the lobby"), "[lobby] eva: in the lobby");
    eva.close_input();
    assert_eq!(eva.wait().code(), Some(0), "{}", eva.log());
}

#[test]
fn a_kick_and_a_ban_are_logged_and_told_with_their_reason() {
    for engine in ["reactor", "threads"] {
        let mut server = serve(engine, &["--console", "--messages-per-second", "1", "--burst", "2"]);
        let address = address(&mut server);
        let enter = |nick: &str| {
            let member = connect(&address);
            let from = member.local_addr().unwrap();
            let reader = BufReader::new(member.try_clone().unwrap());
            let mut member = Member { writer: member, reader };
            member.say(&format!("/nick {nick}"));
            member.expect(&format!(" is now {nick}"));
            (member, from)
        };
        let (mut eva, from) = enter("eva");
        server.type_in("/kick EVA too loud");
        assert_eq!(eva.expect("bye"), "* bye: kicked by the operator: too loud\n", "{engine}");
        server.logged(&format!("chat {from} (eva) closed: kicked by the operator: too loud"));
        let (mut bob, from) = enter("bob");
        (0..2).for_each(|_| bob.say("spam"));
        bob.expect("* bye: flood");
        let rate = "rate limit exceeded: 1 message per second after a burst of 2";
        server.logged(&format!("chat {from} (bob) closed: {rate}"));
        let (mut sam, from) = enter("sam");
        server.type_in("/ban sam 1h spam");
        assert_eq!(sam.expect("bye"), "* bye: this address is banned for 1h: spam\n", "{engine}");
        server.logged(&format!("chat {from} (sam) closed: this address is banned for 1h: spam"));
        server.printed_until("127.0.0.1 is banned for 1h: spam; 1 member disconnected");
        let rejected = connect(&address);
        let from = rejected.local_addr().unwrap();
        server.logged(&format!("chat {from} rejected: this address is banned for"));
        server.type_in("/quit");
        assert_eq!(server.wait().code(), Some(0), "{engine}");
    }
}

#[test]
fn a_connection_above_the_limit_of_its_address_is_logged() {
    let mut server = serve("reactor", &["--max-per-address", "1"]);
    let address = address(&mut server);
    let _eva = Member::enter(&address, "eva");
    let second = connect(&address);
    let from = second.local_addr().unwrap();
    server.logged(&format!("chat {from} rejected: this address has 1 connection already"));
}

#[test]
fn end_of_console_input_keeps_the_server_running() {
    for engine in ["reactor", "threads"] {
        let mut server = serve(engine, &["--console", "-v"]);
        let address = address(&mut server);
        server.type_in("first");
        server.printed_until("first");
        server.close_input();
        server.logged("console closed");
        let mut eva = Member::enter(&address, "eva");
        eva.say("still there?");
        assert_eq!(eva.expect("still"), "[lobby] eva: still there?\n", "{engine}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_console_takes_no_thread_on_the_reactor() {
    let mut server = serve("reactor", &["--console"]);
    let _address = address(&mut server);
    server.type_in("/stats");
    server.printed_until("members");
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.id())).unwrap().count();
    assert_eq!(threads, 1);
}

#[test]
fn client_over_the_rate_limit_is_disconnected() {
    let mut server = serve("reactor", &["--messages-per-second", "1", "--burst", "3"]);
    let mut eva = Member::enter(&address(&mut server), "eva");
    (0..3).for_each(|n| eva.say(&format!("message {n}")));
    eva.expect("! rate limit exceeded: 1 message per second after a burst of 3");
    eva.expect("* bye: flood");
    eva.expect_end();
}

/// At a path, so that the next server is where the last one was.
#[test]
fn client_reconnects_to_a_restarted_server() {
    let path = SocketPath::new();
    let listen = path.listen();
    let start = || {
        let mut server = Program::start(command(&["serve", "chat", "--listen", &listen]).stdout(Stdio::piped()));
        server.address("unix");
        server
    };
    let call = |nick: &str| {
        let args = ["call", "chat", &listen, "--nick", nick];
        let mut client = Program::start(command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()));
        client.printed_until(&format!("you are {nick}"));
        client
    };
    let server = start();
    let mut eva = call("eva");
    eva.type_in("one");
    eva.printed_until("[lobby] eva: one");
    drop(server);
    let _server = start();
    // Sent while the client may be disconnected: it receives the message after it reconnects.
    let mut bob = call("bob");
    bob.type_in("two");
    eva.printed_until("[lobby] bob: two");
    eva.type_in("three");
    bob.printed_until("[lobby] eva: three");
    for client in [&mut eva, &mut bob] {
        client.close_input();
        assert_eq!(client.wait().code(), Some(0), "{}", client.log());
    }
}
