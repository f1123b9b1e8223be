//! Work on other threads: its value comes back to the loop, and the connection it is for waits for it.

use super::{Rig, heard, wire};
use crate::engine::limits::Limits;

#[test]
fn a_value_comes_back_to_the_connection_that_asked() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["job result"]));
    rig.settle();
    rig.await_wake();
    assert_eq!(rig.log(), ["open 0", "job 0 result"]);
    assert_eq!(heard(&socket), ["result"]);
}

#[test]
fn a_peer_that_has_sent_its_end_still_gets_the_result() {
    let mut rig = Rig::new(Limits::default());
    let gate = rig.puppet.gate();
    let hold = gate.lock().unwrap();
    let socket = rig.connect();
    socket.send(&wire(["job result", "hello"]));
    socket.finish();
    assert_eq!(rig.settle(), None, "the loop sleeps while the work is done");
    assert_eq!(heard(&socket), ["hello"]);
    assert!(!socket.is_closed());
    drop(hold);
    rig.await_wake();
    assert_eq!(heard(&socket), ["hello", "result"]);
    assert!(socket.is_closed());
    assert_eq!(rig.log(), ["open 0", "job 0 result", "close 0 the peer closed"]);
}

#[test]
fn a_result_for_a_connection_that_has_gone_reaches_the_service_and_nobody_else() {
    let mut rig = Rig::new(Limits::default());
    let gate = rig.puppet.gate();
    let hold = gate.lock().unwrap();
    let socket = rig.connect();
    socket.send(&wire(["job result"]));
    rig.settle();
    socket.reset();
    rig.settle();
    assert!(socket.is_closed());
    let heir = rig.connect();
    drop(hold);
    rig.await_wake();
    assert_eq!(rig.log().last().unwrap(), "job 0 result");
    assert!(heir.written().is_empty());
}

#[test]
fn work_beyond_the_limit_is_refused_and_said_so() {
    let mut rig = Rig::new(Limits { workers: 1, max_queued_jobs: 1, ..Limits::default() });
    let gate = rig.puppet.gate();
    let hold = gate.lock().unwrap();
    let socket = rig.connect();
    socket.send(&wire(["job a", "job b", "job c"]));
    rig.settle();
    let refused = heard(&socket);
    assert!(
        !refused.is_empty() && refused.iter().all(|words| words == "job rejected: too many jobs are queued"),
        "{refused:?}"
    );
    drop(hold);
    for _ in refused.len()..3 {
        if heard(&socket).len() < 3 {
            rig.await_wake();
        }
    }
    assert_eq!(heard(&socket).len(), 3);
}

#[test]
fn work_that_panics_is_an_error_and_not_the_end() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["panic", "hello"]));
    rig.settle();
    if heard(&socket).len() < 2 {
        rig.await_wake();
    }
    assert!(heard(&socket).contains(&"the job panicked".to_owned()));
}

#[test]
fn a_result_that_comes_after_our_goodbye_is_not_sent() {
    let mut rig = Rig::new(Limits::default());
    let gate = rig.puppet.gate();
    let hold = gate.lock().unwrap();
    let socket = rig.connect();
    socket.send(&wire(["job result", "close"]));
    rig.settle();
    assert!(socket.is_shut_down() && !socket.is_closed(), "it lingers");
    drop(hold);
    rig.await_wake();
    assert_eq!(rig.log(), ["open 0", "close 0 asked to", "job 0 result"]);
    assert!(heard(&socket).is_empty());
    assert!(!socket.is_closed(), "and its peer still has time to read what was");
}
