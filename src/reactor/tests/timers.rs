//! Timers that services set: in order, once, and no longer than the connection they belong to.

use std::time::Duration;

use super::{Rig, heard, wire};
use crate::engine::limits::Limits;
use crate::service::ServiceId;

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn timers_fire_in_the_order_of_their_time_and_then_of_their_setting() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["timer 30", "timer 10", "timer 20", "timer 10"]));
    rig.settle();
    rig.log();
    rig.elapse(9 * MILLI);
    assert!(rig.log().is_empty());
    rig.elapse(MILLI);
    assert_eq!(rig.log(), ["timer 0 #1", "timer 0 #3"]);
    rig.elapse(100 * MILLI);
    assert_eq!(rig.log(), ["timer 0 #2", "timer 0 #0"]);
    assert_eq!(heard(&socket), ["tick"; 4]);
}

#[test]
fn the_loop_sleeps_until_the_next_timer() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["timer 30", "timer 20"]));
    assert_eq!(rig.settle(), Some(20 * MILLI));
}

#[test]
fn a_timer_set_for_a_connection_ends_with_it() {
    let mut rig = Rig::new(Limits::default());
    let (leaving, staying) = (rig.connect(), rig.connect());
    leaving.send(&wire(["timer 10", "timer 20"]));
    staying.send(&wire(["timer 10"]));
    leaving.finish();
    rig.settle();
    rig.log();
    rig.elapse(50 * MILLI);
    assert_eq!(rig.log(), ["timer 1 #2"]);
    assert!(rig.turn.timers_by_conn.is_empty());
}

#[test]
fn a_timer_taken_back_does_not_fire() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["timer 10", "timer 20", "cancel"]));
    rig.settle();
    rig.log();
    rig.elapse(50 * MILLI);
    assert!(rig.log().is_empty());
    assert_eq!(rig.settle(), None, "nothing is left to wake for");
    assert!(rig.turn.timers_by_conn.is_empty());
}

#[test]
fn a_timer_of_no_connection_belongs_to_the_service() {
    let mut rig = Rig::new(Limits::default());
    rig.handle.post(ServiceId(0), Box::new("timer 10".to_owned())).unwrap();
    rig.settle();
    rig.log();
    rig.elapse(10 * MILLI);
    assert_eq!(rig.log(), ["timer nobody #0"]);
}

#[test]
fn a_timer_set_again_and_again_for_now_leaves_the_others_their_turn() {
    let mut rig = Rig::new(Limits::default());
    let (restless, other) = (rig.connect(), rig.connect());
    rig.puppet.strings().rearms = true;
    restless.send(&wire(["timer 0"]));
    let far: Vec<String> = (0..100).map(|_| "timer 60000".to_owned()).collect();
    other.send(&wire(&far));
    rig.turn();
    rig.log();
    other.send(&wire(["hello"]));
    rig.turn();
    assert_eq!(heard(&other), ["hello"]);
    assert_eq!(rig.log().len(), 1, "once a turn, however many others are set");
    rig.puppet.strings().rearms = false;
    rig.settle();
}

#[test]
fn a_timer_does_not_outlive_its_connections_goodbye() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["timer 10", "close"]));
    rig.settle();
    assert!(socket.is_shut_down() && !socket.is_closed(), "it lingers");
    rig.log();
    rig.elapse(10 * MILLI);
    assert!(rig.log().is_empty());
    assert!(rig.turn.timers_by_conn.is_empty());
}
