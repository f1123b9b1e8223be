//! A service that panics five times within ten seconds is stopped.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Rig, TestThread, is_signaled};
use crate::connection::scripted_stream::received;
use crate::engine::limits::Limits;
use crate::engine::run_state::RunState;
use crate::service::{PanicPolicy, ServiceId, install_panic_hook};

const STOPPED: &str = "the service was stopped after repeated panics";

/// Makes the service panic this many times, for a new client each.
fn panic_times(rig: &Rig, times: usize) {
    for _ in 0..times {
        let mut client = rig.connect();
        client.send(["bug"]);
        client.socket.finish();
        client.run();
        assert!(client.has_ended());
    }
}

fn both_rigs() -> impl Iterator<Item = Rig> {
    install_panic_hook();
    [Rig::new as fn(Limits) -> Rig, Rig::with_instances].into_iter().map(|new| new(Limits::default()))
}

fn has_stopped(rig: &Rig) -> bool {
    is_signaled(&rig.shared.services[0].stop)
}

#[test]
fn the_fifth_panic_closes_the_connections_of_the_service() {
    for rig in both_rigs() {
        let mut idle = rig.connect();
        panic_times(&rig, PanicPolicy::MAX_PANICS - 1);
        idle.send(["still served"]);
        assert_eq!(received(&idle.socket), ["still served"]);
        assert!(!has_stopped(&rig));
        panic_times(&rig, 1);
        assert!(has_stopped(&rig), "the threads of listeners and sockets wait for this");
        rig.log();
        idle.run();
        assert_eq!(rig.log(), [format!("close 0 {STOPPED}")]);
        assert!(idle.socket.is_shut_down() && !idle.has_ended(), "it lingers, and does not spin");
        idle.socket.finish();
        idle.run();
        assert!(idle.has_ended());
        let stats = rig.shared.stats();
        assert_eq!((stats.services_stopped, stats.ends.get("service stopped"), stats.open), (1, 1, 0));
    }
}

#[test]
fn a_busy_connection_is_closed_after_its_read() {
    for rig in both_rigs() {
        let mut busy = rig.connect();
        busy.send(["hello"]);
        panic_times(&rig, PanicPolicy::MAX_PANICS);
        rig.log();
        busy.send(["not answered"]);
        assert_eq!(received(&busy.socket), ["hello"]);
        assert_eq!(rig.log(), [format!("close 0 {STOPPED}")]);
    }
}

#[test]
fn panics_over_more_than_the_window_do_not_stop_it() {
    for rig in both_rigs() {
        for _ in 0..20 {
            panic_times(&rig, 1);
            rig.advance_time(PanicPolicy::WINDOW / 4 + Duration::from_millis(1));
        }
        assert!(!has_stopped(&rig));
        panic_times(&rig, PanicPolicy::MAX_PANICS);
        assert!(has_stopped(&rig));
    }
}

#[test]
fn nothing_is_called_after_the_stop() {
    for mut rig in both_rigs() {
        let mut client = rig.connect();
        client.send(["timer 100"]);
        rig.handle.post(ServiceId(0), Box::new("timer 100".to_owned())).unwrap();
        rig.control.run_turn();
        panic_times(&rig, PanicPolicy::MAX_PANICS);
        rig.log();
        rig.handle.post(ServiceId(0), Box::new("act".to_owned())).unwrap();
        rig.advance_time(Duration::from_secs(1));
        rig.control.run_turn();
        client.run();
        rig.control.run_turn();
        assert_eq!(rig.log(), [format!("close 0 {STOPPED}")]);
    }
}

#[test]
fn a_connection_that_comes_too_late_is_closed_unseen() {
    for rig in both_rigs() {
        panic_times(&rig, PanicPolicy::MAX_PANICS);
        rig.log();
        let client: TestThread = rig.connect();
        assert!(client.socket.is_shut_down());
        assert!(rig.log().is_empty());
    }
}

#[test]
fn waiting_jobs_are_not_run() {
    for rig in both_rigs() {
        let mut client = rig.connect();
        rig.log();
        // The first job panics, and the others wait.
        client.send(vec!["panic"; PanicPolicy::MAX_PANICS]);
        assert!(has_stopped(&rig), "panics of jobs count");
        assert_eq!(rig.log().last(), Some(&format!("close 0 {STOPPED}")));
        let stats = rig.shared.stats();
        let answered = PanicPolicy::MAX_PANICS - 1;
        assert_eq!((stats.panics, received(&client.socket).len()), (answered as u64 + 1, answered));
    }
}

#[test]
fn the_engine_drains_once_its_last_service_is_stopped() {
    for mut rig in both_rigs() {
        panic_times(&rig, PanicPolicy::MAX_PANICS);
        rig.log();
        rig.control.run_turn();
        assert_eq!(rig.shared.state(), RunState::Draining);
        assert!(rig.shared.lifecycle.all_stopped.load(Ordering::Acquire));
        assert!(rig.log().is_empty(), "on_shutdown is not called");
    }
}

#[test]
fn a_drain_under_way_goes_on() {
    for mut rig in both_rigs() {
        let mut clients: Vec<_> = (0..=PanicPolicy::MAX_PANICS).map(|_| rig.connect()).collect();
        rig.handle.drain();
        rig.control.run_turn();
        for client in clients.iter_mut().skip(1) {
            client.send(["bug"]);
        }
        clients[0].run();
        assert_eq!(rig.log().last().map(String::as_str), Some("close 0 server is shutting down"));
        assert!(!rig.shared.lifecycle.all_stopped.load(Ordering::Acquire));
        assert_eq!(rig.shared.stats().panics, PanicPolicy::MAX_PANICS as u64);
    }
}
