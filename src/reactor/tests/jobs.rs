//! Jobs on worker threads: their output comes back, and their connection stays open for it.

use super::{TestLoop, framed, received};
use crate::engine::limits::Limits;

#[test]
fn a_job_output_comes_back_to_its_connection() {
    let mut test = TestLoop::new(Limits::default());
    let gate = test.service.gate();
    let hold = gate.lock().unwrap();
    let socket = test.connect();
    socket.send(&framed(["job result"]));
    test.run_until_idle();
    drop(hold);
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

#[test]
fn a_connection_with_the_most_jobs_is_not_read() {
    let mut test = TestLoop::new(Limits { max_jobs_per_connection: 2, ..Limits::default() });
    let gate = test.service.gate();
    let hold = gate.lock().unwrap();
    let (socket, other) = (test.connect(), test.connect());
    socket.send(&framed(["job a", "job b", "one"]));
    test.run_until_idle();
    socket.send(&framed(["two"]));
    other.send(&framed(["job c", "three"]));
    assert_eq!(test.run_until_idle(), None, "the loop sleeps while the jobs run");
    assert!(received(&socket).is_empty() && socket.unread() > 0, "what follows the jobs waits");
    assert_eq!(received(&other), ["three"]);
    assert_eq!(test.event_loop.shared.worker.stats.jobs, 3);
    assert_eq!(test.event_loop.shared.worker.stats.read_pauses, 1);
    drop(hold);
    while received(&socket).len() < 4 || received(&other).len() < 2 {
        test.wait_for_wake();
    }
    let mut answers = received(&socket);
    answers.sort_unstable();
    assert_eq!(answers, ["a", "b", "one", "two"]);
}
