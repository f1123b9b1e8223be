//! Loop lag: long turns are counted for the work that took their time.

use std::time::Duration;

use super::{TestLoop, framed};
use crate::engine::lag::LongTurns;
use crate::engine::limits::Limits;

const MILLI: Duration = Duration::from_millis(1);

/// Returns a loop whose service takes `cost` in each callback, and its log, emptied.
fn loop_with_cost(cost: Duration) -> TestLoop {
    let test = TestLoop::new(Limits::default());
    test.set_cost(cost);
    test
}

/// Returns the long turns: step, work, service, number, longest.
fn long_turns(test: &TestLoop) -> Vec<(u8, &'static str, &str, u64, Duration)> {
    let stats = &test.event_loop.shared.worker.stats;
    let by_work = stats.long_turns_by_work.iter();
    assert_eq!(stats.long_turns, by_work.clone().map(|it| it.turns).sum::<u64>());
    by_work
        .map(|LongTurns { service, step, work, turns, longest }| (*step, *work, &**service, *turns, *longest))
        .collect()
}

#[test]
fn short_turns_are_not_counted() {
    let mut test = loop_with_cost(MILLI);
    let socket = test.connect();
    for _ in 0..20 {
        socket.send(&framed(["hello"; 8]));
        test.run_until_idle();
    }
    assert!(long_turns(&test).is_empty());
    assert_eq!(test.event_loop.shared.worker.stats.longest_turn, 8 * MILLI);
}

#[test]
fn a_long_turn_is_counted_for_its_callback() {
    let mut test = loop_with_cost(Duration::ZERO);
    let (slow, other) = (test.connect(), test.connect());
    test.set_cost(20 * MILLI);
    slow.send(&framed(["hello"]));
    test.run_until_idle();
    assert_eq!(long_turns(&test), [(5, "on_frame", "service", 1, 20 * MILLI)]);
    test.set_cost(6 * MILLI);
    slow.send(&framed(["hello"]));
    other.send(&framed(["hello"]));
    test.run_until_idle();
    assert_eq!(long_turns(&test), [(5, "on_frame", "service", 2, 20 * MILLI)], "two short steps are one long turn");
    other.finish();
    test.set_cost(30 * MILLI);
    test.run_until_idle();
    assert_eq!(long_turns(&test)[1], (8, "on_close", "service", 1, 30 * MILLI));
}

#[test]
fn a_long_turn_is_counted_for_the_work_that_took_most_of_it() {
    let mut test = loop_with_cost(Duration::ZERO);
    let socket = test.connect();
    socket.send(&framed(["timer 0", "timer 0", "timer 0", "timer 0"]));
    test.set_cost(4 * MILLI);
    test.turn();
    assert!(test.log().len() > 1);
    test.run_until_idle();
    let works: Vec<_> = long_turns(&test).into_iter().map(|(step, work, ..)| (step, work)).collect();
    assert!(works.iter().all(|work| [(5, "on_frame"), (6, "on_timer")].contains(work)), "{works:?}");
    assert!(!works.is_empty());
}

#[test]
fn the_statistics_name_the_long_turns() {
    let mut test = loop_with_cost(11 * MILLI);
    let socket = test.connect();
    socket.send(&framed(["hello"]));
    test.run_until_idle();
    let line = test.event_loop.shared.worker.stats.to_string();
    assert!(line.contains(" long_turns=2 longest_turn_us=11000 long_turns_by_work/5/on_open/service=1"), "{line}");
    assert!(line.ends_with(" long_turns_by_work/5/on_frame/service=1"), "{line}");
}
