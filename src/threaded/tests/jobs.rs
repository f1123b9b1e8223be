//! Jobs of a connection, which run on its own thread, and jobs without one.

use std::num::NonZeroUsize;

use super::Rig;
use crate::connection::scripted_stream::{framed, received};
use crate::engine::limits::Limits;
use crate::service::ServiceOptions;
use crate::service::scripted_service::ScriptedService;

#[test]
fn requests_after_a_job_are_answered_after_it() {
    for rig in [Rig::new, Rig::with_instances] {
        let rig = rig(Limits::default());
        let mut client = rig.connect();
        client.send(["one", "job two", "three", "job four", "five"]);
        assert_eq!(received(&client.socket), ["one", "two", "three", "four", "five"]);
        assert_eq!(rig.shared.stats().jobs, 2);
    }
}

#[test]
fn the_output_of_a_job_waits_until_no_other_thread_has_the_connection() {
    let rig = Rig::new(Limits::default());
    let (mut worker, mut other) = rig.connect_two();
    worker.socket.send(&framed(["job slow"]));
    while worker.step() && worker.thread.worker.jobs.is_empty() {}
    // Between the turn and its job, the connection is free for other threads.
    other.send(["send 0 meanwhile"]);
    worker.run();
    assert_eq!(received(&worker.socket), ["meanwhile", "slow"]);
}

#[test]
fn a_panicking_job_is_an_error_for_its_service() {
    let rig = Rig::new(Limits::default());
    let mut client = rig.connect();
    client.send(["panic", "on"]);
    let answers = received(&client.socket);
    assert_eq!(answers.len(), 2);
    assert!(answers[0].contains("panic"), "{answers:?}");
    assert!(!rig.shared.lifecycle.has_failed());
}

#[test]
fn a_stopped_engine_rejects_jobs_that_wait_for_a_permit() {
    let options = ServiceOptions::new("service").job_threads(NonZeroUsize::MIN);
    let mut rig = Rig::with_options(Limits::default(), options, ScriptedService::default());
    let slot = rig.shared.services[0].clone();
    let mut client = rig.connect();
    let permit = slot.job_semaphore.as_ref().unwrap().acquire().unwrap();
    client.socket.send(&framed(["job never"]));
    while client.step() && client.thread.worker.jobs.is_empty() {}
    rig.log();
    rig.handle.stop();
    rig.control.run_turn();
    client.run();
    let log = rig.log();
    assert!(log[0].starts_with("job 0 ") && !log[0].ends_with("never"), "{log:?}");
    drop(permit);
    assert!(slot.job_semaphore.as_ref().unwrap().acquire().is_none(), "a permit given back opens nothing");
}

#[test]
fn no_request_is_read_while_the_queue_of_jobs_is_full() {
    let rig = Rig::new(Limits { max_queued_jobs: 1, ..Limits::default() });
    let mut client = rig.connect();
    client.socket.send(&framed(["job a", "job b", "job c"]));
    for _ in 0..100 {
        assert!(client.thread.worker.jobs.len() <= 1);
        if !client.step() {
            break;
        }
    }
    assert_eq!(received(&client.socket), ["a", "b", "c"]);
}

#[test]
fn the_peer_of_a_closed_connection_does_not_wait_for_its_jobs() {
    let rig = Rig::new(Limits::default());
    let mut client = rig.connect();
    client.socket.send(&framed(["job late", "close"]));
    client.socket.finish();
    client.run();
    assert!(client.has_ended());
    assert_eq!(rig.log()[1..], ["job 0 late", "close 0 asked to"]);
}
