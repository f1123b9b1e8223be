//! A service that panics five times within ten seconds is stopped, and the others go on.

use std::time::Duration;

use super::{LINES, OTHER, RAW, TestLoop, UDP, framed, received};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::error::Error;
use crate::engine::limits::Limits;
use crate::service::scripted_service::ScriptedService;
use crate::service::{PanicPolicy, ServiceId, install_panic_hook};

fn two_services() -> (TestLoop, ScriptedService) {
    install_panic_hook();
    let other = ScriptedService::default();
    (TestLoop::with_other(Limits::default(), Some(other.clone())), other)
}

/// Makes the first service panic this many times, for a new client each.
fn panic_times(test: &mut TestLoop, times: usize) {
    for _ in 0..times {
        let socket = test.connect();
        socket.send(&framed(["bug"]));
        socket.finish();
        test.run_until_idle();
    }
}

fn echoes(test: &mut TestLoop, socket: &ScriptedSocket, words: &str) {
    socket.send(&framed([words]));
    test.run_until_idle();
    assert_eq!(received(socket).last().map(String::as_str), Some(words));
}

fn services_stopped(test: &TestLoop) -> u64 {
    test.event_loop.shared.worker.stats.services_stopped
}

#[test]
fn the_fifth_panic_closes_everything_that_the_service_has() {
    let (mut test, other) = two_services();
    let (idle, half) = (test.connect(), test.connect_to(LINES));
    half.send(b"half a li");
    let neighbour = test.connect_to(OTHER);
    panic_times(&mut test, PanicPolicy::MAX_PANICS - 1);
    echoes(&mut test, &idle, "still served");
    assert!(test.script.is_open(0));
    test.log();
    panic_times(&mut test, 1);
    let last = PanicPolicy::MAX_PANICS + 1;
    let stopped = |number| format!("close {number} the service was stopped after repeated panics");
    let mut log = test.log();
    log.sort_unstable();
    assert_eq!(log, [stopped(0), stopped(1), format!("close {last} the service failed"), format!("open {last}")]);
    assert!(idle.is_shut_down() && half.is_shut_down(), "the close is orderly");
    assert_eq!(
        [0, LINES, RAW, UDP, OTHER].map(|number| test.script.is_open(number)),
        [false, false, false, false, true]
    );
    let stats = &test.event_loop.shared.worker.stats;
    assert_eq!((stats.services_stopped, stats.ends.get("service stopped"), stats.ends.get("panic")), (1, 2, 5));
    echoes(&mut test, &neighbour, "untouched");
    let newcomer = test.connect_to(OTHER);
    echoes(&mut test, &newcomer, "served");
    assert!(test.event_loop.is_running() && !other.take_log().is_empty());
}

#[test]
fn panics_over_more_than_the_window_do_not_stop_it() {
    let (mut test, _) = two_services();
    for _ in 0..20 {
        panic_times(&mut test, 1);
        test.advance_time(PanicPolicy::WINDOW / 4 + Duration::from_millis(1));
    }
    assert!(test.script.is_open(0));
    assert_eq!((services_stopped(&test), test.event_loop.shared.worker.stats.panics), (0, 20));
    panic_times(&mut test, PanicPolicy::MAX_PANICS);
    assert_eq!(services_stopped(&test), 1);
}

#[test]
fn nothing_is_called_after_the_stop() {
    let (mut test, _) = two_services();
    let (client, asker) = (test.connect(), test.connect());
    client.send(&framed(["timer 100"]));
    test.handle.post(ServiceId(0), Box::new("timer 100".to_owned())).unwrap();
    test.run_until_idle();
    let gate = test.service.gate();
    let closed = gate.lock().unwrap();
    // Some of these run, the others wait in the queue.
    asker.send(&framed(["job x"; 8]));
    test.script.datagram(UDP, ([127, 0, 0, 2], 9).into(), b"hello");
    test.run_until_idle();
    assert_eq!(test.script.sent(UDP).len(), 1);
    panic_times(&mut test, PanicPolicy::MAX_PANICS);
    test.log();
    let callbacks = test.service.script().callbacks;
    drop(closed);
    while test.event_loop.connections.iter().any(|(_, conn)| conn.has_jobs()) {
        test.wait_for_wake();
    }
    test.handle.post(ServiceId(0), Box::new("act".to_owned())).unwrap();
    test.advance_time(Duration::from_secs(1));
    client.send(&framed(["hello"]));
    test.run_until_idle();
    assert_eq!((test.log(), test.service.script().callbacks), (Vec::new(), callbacks));
    assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 0);
}

#[test]
fn frames_after_the_fifth_panic_are_not_answered() {
    let (mut test, _) = two_services();
    let sockets: Vec<_> = (0..PanicPolicy::MAX_PANICS).map(|_| test.connect()).collect();
    let client = test.connect();
    test.log();
    // All in one turn: the client's step comes after those of the others.
    for socket in &sockets {
        socket.send(&framed(["bug"]));
    }
    client.send(&framed(["hello"]));
    test.run_until_idle();
    assert!(received(&client).is_empty() && client.is_shut_down());
    assert_eq!(test.log().len(), PanicPolicy::MAX_PANICS + 1, "an on_close for each");
}

#[test]
fn panics_of_jobs_count() {
    let (mut test, _) = two_services();
    let client = test.connect();
    for _ in 0..PanicPolicy::MAX_PANICS {
        client.send(&framed(["panic"]));
        test.run_until_idle();
        while test.event_loop.connections.iter().any(|(_, conn)| conn.has_jobs()) {
            test.wait_for_wake();
        }
    }
    assert_eq!(received(&client), vec!["the job panicked"; PanicPolicy::MAX_PANICS - 1]);
    assert_eq!(services_stopped(&test), 1);
}

#[test]
fn the_loop_fails_once_its_last_service_is_stopped() {
    install_panic_hook();
    let mut test = TestLoop::new(Limits::default());
    let client = test.connect();
    panic_times(&mut test, PanicPolicy::MAX_PANICS);
    assert!(client.is_shut_down());
    client.finish();
    test.run_until_idle();
    assert!(!test.event_loop.is_running(), "it drains");
    assert!(!test.log().contains(&"shutdown none".to_owned()), "the service is not called");
    let Err(Error::ServicesStopped { stats }) = test.event_loop.run() else { panic!("it has ended well") };
    assert_eq!((stats.services_stopped, stats.open), (1, 0));
}

#[test]
fn a_drain_under_way_goes_on() {
    install_panic_hook();
    let mut test = TestLoop::new(Limits::default());
    let sockets: Vec<_> = (0..PanicPolicy::MAX_PANICS).map(|_| test.connect()).collect();
    for socket in &sockets {
        socket.send(&framed(["bug"]));
        socket.finish();
    }
    test.handle.drain();
    test.run_until_idle();
    assert!(!test.event_loop.is_running());
    assert_eq!(test.event_loop.run().unwrap().panics, PanicPolicy::MAX_PANICS as u64);
}
