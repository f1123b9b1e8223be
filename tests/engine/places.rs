//! The bound on connections: who is let in, what the others are told, and when a place is free again.

use std::io::Read;
use std::net::TcpStream;

use switchboard::services::Echo;
use switchboard::{Framing, Limits};

use crate::support::{
    Client, ConnectionEvent, Engine, GUARD, RunningEngine, conformance, encode_frame, listen_tcp, observe, serve,
};

conformance! {
    a_newcomer_beyond_the_bound_is_told_why_and_its_place_is_nobodys,
    the_refusal_is_framed_as_the_listener_is,
}

fn a_newcomer_beyond_the_bound_is_told_why_and_its_place_is_nobodys<E: Engine>() {
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
    first.echo(b"undisturbed");
    drop(first);
    events.next_closed();
    let mut fourth = Client::connect(addr);
    fourth.echo(b"the place is free again");
    second.echo(b"undisturbed");
    drop((second, fourth));
    let stats = running.drain();
    assert_eq!((stats.accepted, stats.refused, stats.closed), (3, 3, 3), "{stats}");
    let told = events.into_remaining();
    assert!(
        matches!(told[..], [ConnectionEvent::Opened(_), ConnectionEvent::Closed(..), ConnectionEvent::Closed(..)]),
        "of refusals no service hears"
    );
}

fn the_refusal_is_framed_as_the_listener_is<E: Engine>() {
    let mut engine = E::with_limits(Limits { max_connections: 1, ..Limits::default() });
    let echo = engine.add_service("echo", Echo);
    let listeners = Framing::NAMES.map(|(name, framing)| (name, listen_tcp(&mut engine, echo, framing)));
    let first = listen_tcp(&mut engine, echo, Framing::U32BE);
    let running = RunningEngine::start(engine);
    let mut only = Client::connect(first);
    only.echo(b"the only one");
    for (name, addr) in listeners {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(GUARD)).unwrap();
        let mut told = Vec::new();
        stream.read_to_end(&mut told).unwrap();
        let expected = match name {
            // Somebody may be looking at it on a terminal.
            "raw" => b"server is full: 1 connections\n".to_vec(),
            framing => encode_frame(framing, b"server is full: 1 connections"),
        };
        assert_eq!(String::from_utf8_lossy(&told), String::from_utf8_lossy(&expected), "{name}");
    }
    drop(only);
    running.drain();
}
