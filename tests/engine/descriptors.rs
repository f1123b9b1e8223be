//! What happens when the process has no descriptor left. Each scenario runs in a process of its own.
#![cfg(unix)]

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use switchboard::services::Echo;
use switchboard::{Limits, Service};

use crate::support::{Client, Engine, RunningEngine, conformance, observe, serve};

conformance! {
    without_descriptors_the_old_are_served_and_the_new_wait_at_no_cost,
    a_descriptor_freed_elsewhere_in_the_process_is_found_too,
    those_who_share_a_service_wait_as_well_and_none_is_turned_away,
}

const CHILD: &str = "SWITCHBOARD_TESTED_ALONE";

/// Runs this very test once more in a process of its own, whose limits are nobody else's. `true` in that process.
pub(crate) fn alone() -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    // The harness names each test's thread after the test.
    let this = std::thread::current();
    let mut child = Command::new(std::env::current_exe().unwrap());
    let child = child.args(["--exact", this.name().unwrap(), "--nocapture"]).env(CHILD, "1");
    let output = child.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// Leaves the process room for so many more descriptors.
fn leave_descriptors(more: u64) {
    let next = File::open("/dev/null").unwrap().as_raw_fd();
    let limit = Rlimit { current: Some(u64::try_from(next).unwrap() + more), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// A server that can accept four connections, and six sockets that were opened before descriptors became scarce.
fn scarce<E: Engine>() -> (RunningEngine, SocketAddr, Vec<Socket>) {
    scarce_with::<E>(Echo, 4)
}

fn scarce_with<E: Engine>(
    service: impl Service + Send + 'static,
    more: u64,
) -> (RunningEngine, SocketAddr, Vec<Socket>) {
    let (running, addr) = serve::<E>(Limits::default(), service);
    // An answer proves that the loop runs and has all the descriptors it needs.
    let mut probe = Client::connect(addr);
    probe.echo(b"ready");
    drop(probe);
    running.await_counter("open", |open| open == 0);
    let sockets = (0..6).map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()).collect();
    leave_descriptors(more);
    (running, addr, sockets)
}

fn connect(socket: Socket, addr: SocketAddr) -> Client {
    socket.connect(&addr.into()).unwrap();
    Client::new(socket.into())
}

fn without_descriptors_the_old_are_served_and_the_new_wait_at_no_cost<E: Engine>() {
    if !alone() {
        return;
    }
    let (running, addr, sockets) = scarce::<E>();
    let mut clients: Vec<Client> = sockets.into_iter().map(|socket| connect(socket, addr)).collect();
    let mut waiting = clients.split_off(4);
    for client in &mut clients {
        client.echo(b"one of four");
    }
    for client in &waiting {
        client.send(b"waiting");
    }
    for _ in 0..100 {
        for client in &mut clients {
            client.echo(b"still served");
        }
    }
    let before = running.counters();
    assert_eq!(before["accepted"], 5, "the four, and the one that came first and has gone");
    assert!(before["accept_pauses"] > 0);

    // A loop that spun on its listener would take many thousand turns in this time.
    assert!(waiting[0].receives_nothing_for(Duration::from_millis(500)));
    let after = running.counters();
    let turns = after["turns"] - before["turns"];
    assert!(turns < 50, "{turns} turns in half a second in which nothing could be done");
    assert_eq!(after["accepted"], 5);

    // Each that leaves makes room for one that waits, in the order in which they came.
    let pauses = after["accept_pauses"];
    clients.pop();
    assert_eq!(waiting[0].receive(), b"waiting");
    clients.pop();
    assert_eq!(waiting[1].receive(), b"waiting");
    let pauses = running.counters()["accept_pauses"] - pauses;
    assert!(pauses < 20, "a free place is found within the next attempt or two, of ten a second: {pauses} were made");
    clients.iter_mut().chain(&mut waiting).for_each(|client| client.echo(b"all is well"));
    drop((clients, waiting));
    let stats = running.drain();
    assert_eq!((stats.accepted, stats.refused, stats.faulted), (7, 0, 0), "{stats}");
}

fn a_descriptor_freed_elsewhere_in_the_process_is_found_too<E: Engine>() {
    if !alone() {
        return;
    }
    let (running, addr, sockets) = scarce::<E>();
    let mut clients: Vec<Client> = sockets.into_iter().map(|socket| connect(socket, addr)).collect();
    let mut waiting = clients.split_off(4);
    for client in &mut clients {
        client.echo(b"one of four");
    }
    waiting[0].send(b"waiting");
    running.await_counter("accept_pauses", |pauses| pauses > 0);
    // No connection closes, so nothing but the loop's own patience can find out.
    let raised = Rlimit { current: getrlimit(Resource::Nofile).maximum, ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, raised).unwrap();
    assert_eq!(waiting[0].receive(), b"waiting");
    running.await_counter("open", |open| open == 6);
    drop((clients, waiting));
    running.drain();
}

/// On threads each of them takes a second descriptor, and that may be the one that is missing.
fn those_who_share_a_service_wait_as_well_and_none_is_turned_away<E: Engine>() {
    if !alone() {
        return;
    }
    let (service, _events) = observe(Echo);
    // An odd number: one that is accepted finds no second.
    let (running, addr, sockets) = scarce_with::<E>(service, 3);
    let clients: Vec<Client> = sockets.into_iter().map(|socket| connect(socket, addr)).collect();
    for client in &clients {
        client.send(b"in my turn");
    }
    for mut client in clients {
        assert_eq!(client.receive(), b"in my turn");
    }
    let stats = running.drain();
    assert_eq!((stats.accepted, stats.refused, stats.faulted), (7, 0, 0), "{stats}");
}
