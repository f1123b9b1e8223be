//! The bound on what all connections hold together.

use std::time::{Duration, Instant};

use switchboard::services::Echo;
use switchboard::{CloseReason, Limits, Service};

use crate::support::{Client, Engine, GUARD, RunningEngine, conformance, observe, serve};

conformance! {
    half_frames_that_nobody_finishes_make_room_again,
    the_largest_goes_first_though_it_waits_in_silence,
    half_frames_of_instances_of_their_own_do_so_too,
}

/// Eight peers that each send a little more than their share of a frame that they never finish.
fn hold_too_much<E: Engine>(
    service: impl Service + Send + 'static,
) -> (RunningEngine, std::net::SocketAddr, Vec<Client>) {
    let limits = Limits {
        max_frame_bytes: 1 << 20,
        max_buffered_bytes: 4 << 20,
        frame_timeout: Duration::from_mins(1),
        ..Limits::default()
    };
    let (running, addr) = serve::<E>(limits, service);
    let holders: Vec<Client> = (0..8).map(|_| Client::connect(addr)).collect();
    for holder in &holders {
        holder.send_bytes(&(1u32 << 20).to_be_bytes());
        holder.send_bytes(&vec![7; 600 * 1024]);
    }
    (running, addr, holders)
}

/// Those who stay are read again when there is room, and may hold too much once more: a newcomer comes until it is let in.
fn await_room(running: &RunningEngine, addr: std::net::SocketAddr) {
    let begun = Instant::now();
    loop {
        let before = running.counters();
        let mut newcomer = Client::connect(addr);
        running.await_counter("accepted", |accepted| {
            accepted > before["accepted"] || running.counters()["refused"] > before["refused"]
        });
        if running.counters()["accepted"] > before["accepted"] {
            return newcomer.echo(b"there is room again");
        }
        assert!(begun.elapsed() < GUARD, "there is never room");
    }
}

fn half_frames_that_nobody_finishes_make_room_again<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr, holders) = hold_too_much::<E>(service);
    running.await_counter("buffered_bytes", |bytes| bytes >= 4 << 20);
    let mut newcomer = Client::connect(addr);
    let words = newcomer.receive();
    assert!(words.starts_with(b"server is short of memory"), "{}", String::from_utf8_lossy(&words));
    newcomer.expect_end();
    assert_eq!(events.next_closed().1, CloseReason::BufferBudget(4 << 20));
    await_room(&running, addr);
    drop(holders);
    running.drain();
}

fn the_largest_goes_first_though_it_waits_in_silence<E: Engine>() {
    let limits = Limits { max_buffered_bytes: 4 << 20, frame_timeout: Duration::ZERO, ..Limits::default() };
    let (running, addr) = serve::<E>(limits, Echo);
    let begin = |bytes: usize| {
        let holder = Client::connect(addr);
        holder.send_bytes(&(1u32 << 20).to_be_bytes());
        holder.send_bytes(&vec![7; bytes]);
        holder
    };
    let mut largest = begin(900 * 1024);
    running.await_counter("buffered_bytes", |bytes| bytes >= 900 << 10);
    assert!(largest.receives_nothing_for(Duration::from_millis(300)));
    let others: Vec<Client> = (0..12).map(|_| begin(300 * 1024)).collect();
    largest.expect_end();
    await_room(&running, addr);
    drop((largest, others));
    running.drain();
}

fn half_frames_of_instances_of_their_own_do_so_too<E: Engine>() {
    let (running, addr, holders) = hold_too_much::<E>(Echo);
    running.await_counter("buffered_bytes", |bytes| bytes >= 4 << 20);
    await_room(&running, addr);
    let faulted = running.counters()["faulted"];
    assert!((1..8).contains(&faulted), "{faulted} had to go");
    drop(holders);
    running.drain();
}
