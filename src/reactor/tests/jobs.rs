//! Jobs on worker threads: their output comes back, and their connection stays open for it.

use super::{TestLoop, framed, received};
use crate::engine::limits::Limits;

#[test]
fn a_job_output_comes_back_to_its_connection() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["job result"]));
    test.run_until_idle();
    test.wait_for_wake();
    assert_eq!(test.log(), ["open 0", "job 0 result"]);
    assert_eq!(received(&socket), ["result"]);
}

#[test]
fn a_job_output_is_sent_after_the_peers_eof() {
    let mut test = TestLoop::new(Limits::default());
    let gate = test.service.gate();
    let hold = gate.lock().unwrap();
    let socket = test.connect();
    socket.send(&framed(["job result", "hello"]));
    socket.finish();
    assert_eq!(test.run_until_idle(), None, "the loop sleeps while the job runs");
    assert_eq!(received(&socket), ["hello"]);
    assert!(!socket.is_closed());
    drop(hold);
    test.wait_for_wake();
    assert_eq!(received(&socket), ["hello", "result"]);
    assert!(socket.is_closed());
    assert_eq!(test.log(), ["open 0", "job 0 result", "close 0 the peer closed"]);
}

#[test]
fn a_job_output_for_a_removed_connection_is_not_sent() {
    let mut test = TestLoop::new(Limits::default());
    let gate = test.service.gate();
    let hold = gate.lock().unwrap();
    let socket = test.connect();
    socket.send(&framed(["job result"]));
    test.run_until_idle();
    socket.reset();
    test.run_until_idle();
    assert!(socket.is_closed());
    let next = test.connect();
    drop(hold);
    test.wait_for_wake();
    assert_eq!(test.log().last().unwrap(), "job 0 result");
    assert!(next.written().is_empty());
}

#[test]
fn jobs_beyond_the_limit_are_refused() {
    let mut test = TestLoop::new(Limits { workers: 1, max_queued_jobs: 1, ..Limits::default() });
    let gate = test.service.gate();
    let hold = gate.lock().unwrap();
    let socket = test.connect();
    socket.send(&framed(["job a", "job b", "job c"]));
    test.run_until_idle();
    let refused = received(&socket);
    assert!(
        !refused.is_empty() && refused.iter().all(|words| words == "job rejected: too many jobs are queued"),
        "{refused:?}"
    );
    drop(hold);
    for _ in refused.len()..3 {
        if received(&socket).len() < 3 {
            test.wait_for_wake();
        }
    }
    assert_eq!(received(&socket).len(), 3);
}

#[test]
fn a_job_that_panics_gives_an_error() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["panic", "hello"]));
    test.run_until_idle();
    if received(&socket).len() < 2 {
        test.wait_for_wake();
    }
    assert!(received(&socket).contains(&"the job panicked".to_owned()));
}

#[test]
fn a_job_output_after_on_close_is_not_sent() {
    let mut test = TestLoop::new(Limits::default());
    let gate = test.service.gate();
    let hold = gate.lock().unwrap();
    let socket = test.connect();
    socket.send(&framed(["job result", "close"]));
    test.run_until_idle();
    assert!(socket.is_shut_down() && !socket.is_closed(), "it lingers");
    drop(hold);
    test.wait_for_wake();
    assert_eq!(test.log(), ["open 0", "close 0 asked to", "job 0 result"]);
    assert!(received(&socket).is_empty());
    assert!(!socket.is_closed(), "its peer still has the linger timeout to read the output");
}
