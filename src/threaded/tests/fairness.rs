//! Fairness: what a flood costs those that share a service with it, counted in callbacks. Each
//! callback takes 10 us on the engine's clock.

use std::sync::Arc;
use std::time::Duration;

use super::Rig;
use crate::connection::scripted_stream::{framed, received};
use crate::engine::limits::Limits;
use crate::engine::run_state::RunState;
use crate::service::ServiceId;

const COST: Duration = Duration::from_micros(10);

/// The callbacks of a share of 500 us: those that fit, and two strides.
const SHARE: usize = 75;

fn slow_rig() -> Rig {
    let rig = Rig::new(Limits::default());
    let system = rig.system.clone();
    rig.service.script().cost = Some(Arc::new(move || system.state().now += COST));
    rig
}

fn callbacks(rig: &Rig) -> usize {
    rig.service.script().callbacks
}

#[test]
fn a_flood_holds_a_shared_service_for_a_share_at_a_time() {
    let rig = slow_rig();
    let (mut flooder, mut other) = rig.connect_two();
    flooder.socket.send(&framed(vec!["quiet"; 3000]));
    flooder.socket.send(&framed(["last"]));
    let mut answers = 0;
    while received(&flooder.socket).is_empty() {
        let before = callbacks(&rig);
        flooder.step();
        let made = callbacks(&rig) - before;
        assert!(made <= SHARE, "{made} callbacks in a turn");
        other.send(["hello"]);
        answers += 1;
        assert_eq!(received(&other.socket).len(), answers);
    }
    assert!(answers >= 3000 / SHARE, "{answers}");
    assert_eq!(received(&flooder.socket), ["last"]);
}

#[test]
fn the_input_that_waits_is_counted() {
    let rig = slow_rig();
    let mut flooder = rig.connect();
    flooder.socket.send(&framed(["hello"; 500]));
    flooder.step();
    assert!(received(&flooder.socket).len() < 500);
    assert!(rig.shared.stats().buffered_bytes > 1000, "{}", rig.shared.stats());
    flooder.run();
    assert_eq!((received(&flooder.socket).len(), rig.shared.stats().buffered_bytes), (500, 0));
}

#[test]
fn posts_are_spread_over_turns_and_precede_later_commands() {
    let mut rig = slow_rig();
    for _ in 0..1000 {
        rig.handle.post(ServiceId(0), Box::new("quiet".to_owned())).unwrap();
    }
    rig.handle.drain();
    while callbacks(&rig) < 1000 {
        assert_eq!(rig.shared.state(), RunState::Serving, "a drain waits for earlier posts");
        let before = callbacks(&rig);
        rig.control.run_turn();
        let made = callbacks(&rig) - before;
        assert!(made > 0 && made <= SHARE, "{made} callbacks in a turn");
    }
    rig.control.run_turn();
    assert_ne!(rig.shared.state(), RunState::Serving);
}

#[test]
fn timers_due_at_once_are_spread_over_turns() {
    let mut rig = slow_rig();
    for _ in 0..500 {
        rig.handle.post(ServiceId(0), Box::new("timer 50".to_owned())).unwrap();
    }
    while callbacks(&rig) < 500 {
        rig.control.run_turn();
    }
    rig.advance_time(Duration::from_millis(50));
    let mut turns = 0;
    while callbacks(&rig) < 1000 {
        let before = callbacks(&rig);
        rig.control.run_turn();
        let made = callbacks(&rig) - before;
        assert!(made > 0 && made <= SHARE, "{made} callbacks in a turn");
        turns += 1;
    }
    assert!(turns >= 500 / SHARE, "{turns}");
}
