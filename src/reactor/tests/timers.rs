//! Timers of services: in order, once, and not after their connection has closed.

use std::time::Duration;

use super::{TestLoop, framed, received};
use crate::engine::limits::Limits;
use crate::service::ServiceId;

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn timers_fire_by_time_then_in_the_order_set() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["timer 30", "timer 10", "timer 20", "timer 10"]));
    test.run_until_idle();
    test.log();
    test.advance_time(9 * MILLI);
    assert!(test.log().is_empty());
    test.advance_time(MILLI);
    assert_eq!(test.log(), ["timer 0 #1", "timer 0 #3"]);
    test.advance_time(100 * MILLI);
    assert_eq!(test.log(), ["timer 0 #2", "timer 0 #0"]);
    assert_eq!(received(&socket), ["tick"; 4]);
}

#[test]
fn the_loop_sleeps_until_the_next_timer() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["timer 30", "timer 20"]));
    assert_eq!(test.run_until_idle(), Some(20 * MILLI));
}

#[test]
fn a_timer_set_for_a_connection_ends_with_it() {
    let mut test = TestLoop::new(Limits::default());
    let (leaving, staying) = (test.connect(), test.connect());
    leaving.send(&framed(["timer 10", "timer 20"]));
    staying.send(&framed(["timer 10"]));
    leaving.finish();
    test.run_until_idle();
    test.log();
    test.advance_time(50 * MILLI);
    assert_eq!(test.log(), ["timer 1 #2"]);
    assert!(test.event_loop.shared.timers.of_connections() == 0);
}

#[test]
fn a_cancelled_timer_does_not_fire() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["timer 10", "timer 20", "cancel"]));
    test.run_until_idle();
    test.log();
    test.advance_time(50 * MILLI);
    assert!(test.log().is_empty());
    assert_eq!(test.run_until_idle(), None, "no timer is set");
    assert!(test.event_loop.shared.timers.of_connections() == 0);
}

#[test]
fn a_timer_without_a_connection_belongs_to_the_service() {
    let mut test = TestLoop::new(Limits::default());
    test.handle.post(ServiceId(0), Box::new("timer 10".to_owned())).unwrap();
    test.run_until_idle();
    test.log();
    test.advance_time(10 * MILLI);
    assert_eq!(test.log(), ["timer none #0"]);
}

#[test]
fn a_timer_that_resets_itself_fires_once_a_turn() {
    let mut test = TestLoop::new(Limits::default());
    let (repeating, other) = (test.connect(), test.connect());
    test.service.script().rearms_timers = true;
    repeating.send(&framed(["timer 0"]));
    let far: Vec<String> = (0..100).map(|_| "timer 60000".to_owned()).collect();
    other.send(&framed(&far));
    test.turn();
    test.log();
    other.send(&framed(["hello"]));
    test.turn();
    assert_eq!(received(&other), ["hello"]);
    assert_eq!(test.log().len(), 1, "once a turn, for any number of other timers");
    test.service.script().rearms_timers = false;
    test.run_until_idle();
}

#[test]
fn a_timer_ends_with_its_connections_on_close() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["timer 10", "close"]));
    test.run_until_idle();
    assert!(socket.is_shut_down() && !socket.is_closed(), "it lingers");
    test.log();
    test.advance_time(10 * MILLI);
    assert!(test.log().is_empty());
    assert!(test.event_loop.shared.timers.of_connections() == 0);
}

#[test]
fn timers_fire_under_load() {
    let mut test = TestLoop::new(Limits::default());
    test.set_cost(Duration::from_micros(10));
    let (flooder, owner) = (test.connect(), test.connect());
    owner.send(&framed(["timer 1"]));
    test.run_until_idle();
    flooder.send(&framed(vec!["quiet"; 3000]));
    let before = test.service.script().callbacks;
    while received(&owner).is_empty() {
        test.turn();
    }
    let made = test.service.script().callbacks - before;
    assert!(made < 300, "{made} callbacks, of 10 us each, came before a timer of 1 ms");
}
