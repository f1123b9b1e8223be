//! The engines when the process has no free descriptor. Each scenario runs in a separate process.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use switchboard::services::Echo;
use switchboard::{Limits, Service, ServiceOptions};

use crate::support::{
    Client, Engine, RunningEngine, conformance, in_own_process, leave_descriptors, observe, serve_with,
};

conformance! {
    without_descriptors_clients_wait_and_the_loop_sleeps,
    descriptor_freed_elsewhere_resumes_accepting,
    without_descriptors_shared_service_rejects_no_client,
}

/// Starts a server that can accept four connections. Returns six sockets that were opened before
/// the limit was set.
fn serve_without_descriptors<E: Engine>() -> (RunningEngine, SocketAddr, Vec<Socket>) {
    serve_with_few_descriptors::<E>(Echo.options("test"), Echo, 4)
}

fn serve_with_few_descriptors<E: Engine>(
    options: impl Into<ServiceOptions>,
    service: impl Service + Send + 'static,
    more: u64,
) -> (RunningEngine, SocketAddr, Vec<Socket>) {
    let (running, addr) = serve_with::<E>(Limits::default(), options, service);
    // A reply proves that the engine runs and has opened all the descriptors it needs.
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

fn without_descriptors_clients_wait_and_the_loop_sleeps<E: Engine>() {
    if !in_own_process() {
        return;
    }
    let (running, addr, sockets) = serve_without_descriptors::<E>();
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
    assert_eq!(before["accepted"], 5, "four connections and the probe");
    assert!(before["accept_pauses"] > 0);

    // A loop that spins on its listener takes many thousand turns in this time.
    assert!(waiting[0].receives_nothing_for(Duration::from_millis(500)));
    let after = running.counters();
    let turns = after["turns"] - before["turns"];
    assert!(turns < 50, "{turns} turns in 500 ms without work");
    assert_eq!(after["accepted"], 5);

    // Each close lets one waiting client in, in the order of their connects.
    let pauses = after["accept_pauses"];
    clients.pop();
    assert_eq!(waiting[0].receive(), b"waiting");
    clients.pop();
    assert_eq!(waiting[1].receive(), b"waiting");
    let pauses = running.counters()["accept_pauses"] - pauses;
    assert!(pauses < 20, "accepting is retried at a close or after 100 ms: {pauses} pauses for two closes");
    clients.iter_mut().chain(&mut waiting).for_each(|client| client.echo(b"all is well"));
    drop((clients, waiting));
    let stats = running.drain();
    assert_eq!((stats.accepted, stats.refused, stats.faulted), (7, 0, 0), "{stats}");
}

fn descriptor_freed_elsewhere_resumes_accepting<E: Engine>() {
    if !in_own_process() {
        return;
    }
    let (running, addr, sockets) = serve_without_descriptors::<E>();
    let mut clients: Vec<Client> = sockets.into_iter().map(|socket| connect(socket, addr)).collect();
    let mut waiting = clients.split_off(4);
    for client in &mut clients {
        client.echo(b"one of four");
    }
    waiting[0].send(b"waiting");
    running.await_counter("accept_pauses", |pauses| pauses > 0);
    // No connection closes, so only the retry after 100 ms can find the free descriptor.
    let raised = Rlimit { current: getrlimit(Resource::Nofile).maximum, ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, raised).unwrap();
    assert_eq!(waiting[0].receive(), b"waiting");
    running.await_counter("open", |open| open == 6);
    drop((clients, waiting));
    running.drain();
}

/// On the threaded engine each connection needs a second descriptor, and the limit may leave only
/// one.
fn without_descriptors_shared_service_rejects_no_client<E: Engine>() {
    if !in_own_process() {
        return;
    }
    let (service, _events) = observe(Echo);
    // An odd number: one accepted connection finds no second descriptor.
    let (running, addr, sockets) = serve_with_few_descriptors::<E>("test", service, 3);
    let clients: Vec<Client> = sockets.into_iter().map(|socket| connect(socket, addr)).collect();
    for client in &clients {
        client.send(b"waiting");
    }
    for mut client in clients {
        assert_eq!(client.receive(), b"waiting");
    }
    let stats = running.drain();
    assert_eq!((stats.accepted, stats.refused, stats.faulted), (7, 0, 0), "{stats}");
}
