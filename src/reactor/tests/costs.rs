//! What a message costs in calls on its socket. These are the numbers that the README states.

use super::{Rig, heard, wire};
use crate::engine::limits::Limits;

fn calls_for(requests: &[u8]) -> (usize, usize) {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    assert_eq!(socket.calls_made(), (0, 0), "a newcomer that says nothing costs no call");
    socket.send(requests);
    rig.settle();
    socket.calls_made()
}

#[test]
fn a_small_request_costs_one_read_and_one_write() {
    assert_eq!(calls_for(&wire(["hello"])), (1, 1));
}

#[test]
fn a_pipeline_in_one_read_costs_one_read_and_one_write() {
    assert_eq!(calls_for(&wire(["hello"; 1000])), (1, 1));
}

#[test]
fn large_requests_in_one_read_cost_one_read_and_one_write() {
    let large = "L".repeat(30_000);
    assert_eq!(calls_for(&wire([&large, &large, &large])), (1, 1));
}

#[test]
fn a_frame_in_two_pieces_costs_two_reads_and_one_write() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    let request = wire(["L".repeat(60_000)]);
    let (first, second) = request.split_at(20_000);
    socket.send(first);
    rig.settle();
    socket.send(second);
    rig.settle();
    assert_eq!(socket.calls_made(), (2, 1));
}

#[test]
fn what_a_room_says_in_one_turn_costs_each_member_one_write() {
    let mut rig = Rig::new(Limits::default());
    let members = [rig.connect(), rig.connect(), rig.connect()];
    members[0].send(&wire(["all one", "all two"]));
    members[1].send(&wire(["all three"]));
    rig.settle();
    assert_eq!(heard(&members[2]), ["one", "two", "three"]);
    assert_eq!(members[2].calls_made(), (0, 1));
}
