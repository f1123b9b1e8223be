//! `max_connections`: rejection above the bound, and the reuse of a freed slot.

use std::io::Read;
use std::net::TcpStream;

use switchboard::services::Echo;
use switchboard::{Framing, Limits};

use crate::support::{
    Client, ConnectionEvent, Engine, RunningEngine, conformance, encode_frame, guard, listen_tcp, observe, serve,
};

conformance! {
    connection_beyond_max_connections_is_rejected,
    rejection_uses_the_framing_of_the_listener,
}

fn connection_beyond_max_connections_is_rejected<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits { max_connections: 2, ..Limits::default() }, service);
    let mut first = Client::connect(addr);
    first.echo(b"one");
    let mut second = Client::connect(addr);
    second.echo(b"two");
    for _ in 0..3 {
        let mut third = Client::connect(addr);
        assert_eq!(third.receive(), b"server is full: 2 connections");
        third.expect_end();
    }
    first.echo(b"still served");
    drop(first);
    events.next_closed();
    let mut fourth = Client::connect(addr);
    fourth.echo(b"the slot is free again");
    second.echo(b"still served");
    drop((second, fourth));
    let stats = running.drain();
    assert_eq!((stats.accepted, stats.refused, stats.closed), (3, 3, 3), "{stats}");
    let remaining = events.into_remaining();
    assert!(
        matches!(remaining[..], [ConnectionEvent::Opened(_), ConnectionEvent::Closed(..), ConnectionEvent::Closed(..)]),
        "a rejected connection causes no callback"
    );
}

fn rejection_uses_the_framing_of_the_listener<E: Engine>() {
    let mut engine = E::with_limits(Limits { max_connections: 1, ..Limits::default() });
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let listeners = Framing::NAMES.map(|(name, framing)| (name, listen_tcp(&mut engine, echo, framing)));
    let first = listen_tcp(&mut engine, echo, Framing::U32BE);
    let running = RunningEngine::start(engine);
    let mut only = Client::connect(first);
    only.echo(b"the only one");
    for (name, addr) in listeners {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        let expected = match name {
            // In raw framing a person may read the text on a terminal.
            "raw" => b"server is full: 1 connection\n".to_vec(),
            framing => encode_frame(framing, b"server is full: 1 connection"),
        };
        assert_eq!(String::from_utf8_lossy(&received), String::from_utf8_lossy(&expected), "{name}");
    }
    drop(only);
    running.drain();
}
