//! The system calls that a message costs on its socket, as the README states them.

use super::{TestLoop, framed, received};
use crate::engine::limits::Limits;

fn calls_for(requests: &[u8]) -> (usize, usize) {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    assert_eq!(socket.calls_made(), (0, 0), "a silent connection costs no call");
    socket.send(requests);
    test.run_until_idle();
    socket.calls_made()
}

#[test]
fn a_small_request_costs_one_read_and_one_write() {
    assert_eq!(calls_for(&framed(["hello"])), (1, 1));
}

#[test]
fn a_pipeline_in_one_read_costs_one_read_and_one_write() {
    assert_eq!(calls_for(&framed(["hello"; 1000])), (1, 1));
}

#[test]
fn large_requests_in_one_read_cost_one_read_and_one_write() {
    let large = "L".repeat(30_000);
    assert_eq!(calls_for(&framed([&large, &large, &large])), (1, 1));
}

#[test]
fn a_frame_in_two_pieces_costs_two_reads_and_one_write() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    let request = framed(["L".repeat(60_000)]);
    let (first, second) = request.split_at(20_000);
    socket.send(first);
    test.run_until_idle();
    socket.send(second);
    test.run_until_idle();
    assert_eq!(socket.calls_made(), (2, 1));
}

#[test]
fn a_turns_broadcasts_cost_each_member_one_write() {
    let mut test = TestLoop::new(Limits::default());
    let members = [test.connect(), test.connect(), test.connect()];
    members[0].send(&framed(["all one", "all two"]));
    members[1].send(&framed(["all three"]));
    test.run_until_idle();
    assert_eq!(received(&members[2]), ["one", "two", "three"]);
    assert_eq!(members[2].calls_made(), (0, 1));
}
