//! `max_buffered_bytes`: the bound on the memory of all connections together.

use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{CloseReason, Limits, Service, ServiceOptions};

use crate::support::{Client, Engine, RunningEngine, conformance, observe, serve_echo, serve_with};

conformance! {
    unfinished_frames_over_the_bound_are_closed,
    largest_buffer_is_closed_first_even_if_idle,
    unfinished_frames_of_own_instances_are_closed,
}

const BOUND: usize = 16 << 20;
const HOLDERS: u64 = 30;

/// Connects clients. Each sends 600 KiB of a frame of 1 MiB, so that together they exceed the bound.
/// An eighth of it is more than what their threads may read at the same moment, so newcomers are
/// served.
fn exceed_memory_bound<E: Engine>(
    options: impl Into<ServiceOptions>,
    service: impl Service + Send + 'static,
) -> (RunningEngine, std::net::SocketAddr, Vec<Client>) {
    let limits = Limits {
        max_frame_bytes: 1 << 20,
        max_buffered_bytes: BOUND,
        frame_timeout: Duration::from_mins(1),
        ..Limits::default()
    };
    let (running, addr) = serve_with::<E>(limits, options, service);
    let holders: Vec<Client> = (0..HOLDERS).map(|_| Client::connect(addr)).collect();
    for holder in &holders {
        holder.send_bytes(&(1u32 << 20).to_be_bytes());
        holder.send_bytes(&vec![7; 600 * 1024]);
    }
    (running, addr, holders)
}

fn unfinished_frames_over_the_bound_are_closed<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr, holders) = exceed_memory_bound::<E>("test", service);
    running.await_counter("buffered_bytes", |bytes| bytes >= (BOUND / 4 * 3) as u64);
    let mut newcomer = Client::connect(addr);
    newcomer.echo(b"there is room for a newcomer");
    assert_eq!(events.next_closed().1, CloseReason::BufferBudget(BOUND));
    newcomer.echo(b"still served");
    drop((holders, newcomer));
    running.drain();
}

fn largest_buffer_is_closed_first_even_if_idle<E: Engine>() {
    let limits = Limits { max_buffered_bytes: 4 << 20, frame_timeout: Duration::ZERO, ..Limits::default() };
    let (running, addr) = serve_echo::<E>(limits);
    let start_frame = |bytes: usize| {
        let holder = Client::connect(addr);
        holder.send_bytes(&(1u32 << 20).to_be_bytes());
        holder.send_bytes(&vec![7; bytes]);
        holder
    };
    let mut largest = start_frame(900 * 1024);
    running.await_counter("buffered_bytes", |bytes| bytes >= 900 << 10);
    assert!(largest.receives_nothing_for(Duration::from_millis(300)));
    let others: Vec<Client> = (0..12).map(|_| start_frame(300 * 1024)).collect();
    largest.expect_end();
    Client::connect(addr).echo(b"a newcomer is served");
    drop((largest, others));
    running.drain();
}

fn unfinished_frames_of_own_instances_are_closed<E: Engine>() {
    let (running, addr, holders) = exceed_memory_bound::<E>(Echo.options("test"), Echo);
    running.await_counter("buffered_bytes", |bytes| bytes >= (BOUND / 4 * 3) as u64);
    Client::connect(addr).echo(b"there is room for a newcomer");
    running.await_counter("faulted", |closed| closed >= 1);
    let faulted = running.counters()["faulted"];
    assert!((1..HOLDERS).contains(&faulted), "{faulted} of {HOLDERS} connections were closed");
    drop(holders);
    running.drain();
}
