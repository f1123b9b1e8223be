//! A service that panics five times within ten seconds is stopped by itself.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use switchboard::services::Echo;
use switchboard::{Endpoint, Error, Framing, Limits, PanicPolicy};

use super::{Buggy, logged_errors, serve_both};
use crate::support::{Client, Engine, RunningEngine, conformance, guard, instances_if, listen_tcp};

conformance! {
    five_panics_stop_that_service_alone,
    panics_outside_connections_stop_the_service,
    panics_in_on_close_stop_the_service,
    the_stop_of_the_last_service_ends_the_engine_with_an_error,
}

/// Waits until nothing listens at `addr`.
fn await_closed(addr: SocketAddr) {
    let begun = Instant::now();
    loop {
        match TcpStream::connect(addr) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => break,
            // Accepted by the kernel just before the listener was closed.
            Ok(_) | Err(_) => assert!(begun.elapsed() < guard(), "{addr} still accepts"),
        }
    }
}

/// Makes a service panic five times, for a client each. All ask before the first has its answer:
/// printing a backtrace takes seconds on a busy machine, and the panics must be within ten.
fn panic_five_times(addr: SocketAddr, request: &str) {
    let mut clients = [(); PanicPolicy::MAX_PANICS].map(|()| Client::connect(addr));
    for client in &mut clients {
        client.echo(b"before");
    }
    for client in &clients {
        client.send(request.as_bytes());
    }
    for client in &mut clients {
        client.expect_end();
    }
}

fn five_panics_stop_that_service_alone<E: Engine>() {
    for per_connection in [false, true] {
        let (engine, buggy, echo) = serve_both::<E>(per_connection);
        let mut neighbour = Client::connect(echo);
        neighbour.echo(b"before");
        let (mut idle, mut half) = (Client::connect(buggy), Client::connect(buggy));
        idle.echo(b"before");
        half.echo(b"before");
        half.send_bytes(b"\0\0\0\x09half");
        panic_five_times(buggy, "on_frame");
        idle.expect_end();
        half.expect_end();
        await_closed(buggy);
        neighbour.echo(b"after");
        Client::connect(echo).echo(b"a new connection");
        drop((idle, half));
        engine.await_counter("open", |open| open <= 2);
        let stats = engine.drain();
        assert_eq!((stats.services_stopped, stats.panics), (1, PanicPolicy::MAX_PANICS as u64));
        assert_eq!(stats.ends.get("service stopped"), 2, "{stats}");
    }
}

fn panics_outside_connections_stop_the_service<E: Engine>() {
    let name = format!("stopped-{}", std::any::type_name::<E>());
    let mut engine = E::with_limits(Limits::default());
    let id = engine.add_service(name.as_str(), Buggy::default());
    let echo = engine.add_service("echo", Echo);
    let (buggy, echo) = (listen_tcp(&mut engine, id, Framing::U32BE), listen_tcp(&mut engine, echo, Framing::U32BE));
    let Endpoint::Udp(udp) = engine.listen(id, "udp:127.0.0.1:0", Framing::Raw) else { unreachable!() };
    let engine = RunningEngine::start(engine);
    let (mut client, mut neighbour) = (Client::connect(buggy), Client::connect(echo));
    client.echo(b"before");
    neighbour.echo(b"before");
    // In on_post and in the timer that it sets.
    engine.handle.post(id, Box::new("a message")).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..PanicPolicy::MAX_PANICS {
        socket.send_to(b"on_datagram", udp).unwrap();
    }
    client.expect_end();
    await_closed(buggy);
    let begun = Instant::now();
    while UdpSocket::bind(udp).is_err() {
        assert!(begun.elapsed() < guard(), "the UDP socket is still open");
    }
    engine.await_counter("services_stopped", |stopped| stopped == 1);
    let panics = engine.counters()["panics"];
    assert!(panics >= PanicPolicy::MAX_PANICS as u64);
    engine.handle.post(id, Box::new("a message")).unwrap();
    neighbour.echo(b"after");
    assert_eq!(engine.counters()["panics"], panics, "on_post is not called");
    let lines = logged_errors(&name);
    let stops: Vec<_> = lines.iter().filter(|line| line.contains(" stopped: 5 panics within 10s")).collect();
    assert_eq!(stops.len(), 1, "{lines:?}");
}

fn panics_in_on_close_stop_the_service<E: Engine>() {
    for per_connection in [false, true] {
        let (engine, buggy, echo) = serve_both::<E>(per_connection);
        let (mut idle, mut neighbour) = (Client::connect(buggy), Client::connect(echo));
        idle.echo(b"before");
        neighbour.echo(b"before");
        panic_five_times(buggy, "close, then panic");
        idle.expect_end();
        await_closed(buggy);
        neighbour.echo(b"after");
        engine.await_counter("services_stopped", |stopped| stopped == 1);
    }
}

fn the_stop_of_the_last_service_ends_the_engine_with_an_error<E: Engine>() {
    for per_connection in [false, true] {
        let mut engine = E::with_limits(Limits::default());
        let id = engine.add_service(instances_if(per_connection, Buggy::default), Buggy::default());
        let addr = listen_tcp(&mut engine, id, Framing::U32BE);
        // A service that no peer can reach does not keep the engine.
        engine.add_service("inner", Echo);
        let (ended_out, ended) = channel();
        thread::spawn(move || ended_out.send(engine.run()).unwrap());
        let mut idle = Client::connect(addr);
        idle.echo(b"before");
        panic_five_times(addr, "on_frame");
        idle.expect_end();
        drop(idle);
        let error = ended.recv_timeout(guard()).expect("the engine did not end").unwrap_err();
        assert!(error.to_string().starts_with("every service was stopped after repeated panics"), "{error}");
        let Error::ServicesStopped { stats } = error else { panic!("{error}") };
        assert_eq!((stats.services_stopped, stats.ends.get("service stopped"), stats.open), (1, 1, 0), "{stats}");
        await_closed(addr);
    }
}
