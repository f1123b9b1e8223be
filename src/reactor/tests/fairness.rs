//! Fairness: what one owner's flood costs the others, counted in callbacks, which alone take time.

use std::time::Duration;

use super::{RAW, TestLoop, UDP, framed, received};
use crate::connection::scripted_stream::{ScriptedCall, ScriptedSocket};
use crate::engine::jobs::JobOwner;
use crate::engine::limits::Limits;
use crate::service::{ConnId, JobId, JobOutput, ServiceId};

const MICRO: Duration = Duration::from_micros(1);
const FLOOD: &str = "quiet";

/// The callbacks of a share of 500 µs, at 10 µs each: those that fit, and two strides.
const SHARE: usize = 75;

/// Returns a loop whose callbacks take 10 µs each.
fn slow_loop() -> TestLoop {
    let test = TestLoop::new(Limits::default());
    test.set_cost(10 * MICRO);
    test
}

fn flood(socket: &ScriptedSocket, frames: usize) {
    socket.send(&framed(vec![FLOOD; frames]));
}

fn callbacks(test: &TestLoop) -> usize {
    test.service.script().callbacks
}

/// Runs one turn and returns the number of its callbacks.
fn callbacks_of_a_turn(test: &mut TestLoop) -> usize {
    let before = callbacks(test);
    test.turn();
    callbacks(test) - before
}

/// Runs turns until the loop would sleep. Asserts that no turn makes more than `most` callbacks.
fn assert_spread(test: &mut TestLoop, most: usize) -> usize {
    let mut turns = 0;
    loop {
        let made = callbacks_of_a_turn(test);
        assert!(made <= most, "turn {turns} made {made} callbacks");
        turns += 1;
        if test.script.last_poll().timeout != Some(Duration::ZERO) && made == 0 {
            return turns;
        }
    }
}

#[test]
fn a_flood_of_tiny_frames_is_spread_over_turns() {
    let mut test = slow_loop();
    let flooder = test.connect();
    flood(&flooder, 3000);
    flooder.send(&framed(["last"]));
    let turns = assert_spread(&mut test, SHARE);
    assert!(turns >= 3000 / SHARE, "{turns} turns");
    assert_eq!(received(&flooder), ["last"]);
    assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 0);
}

#[test]
fn a_flood_of_actions_is_spread_over_turns() {
    let mut test = slow_loop();
    let flooder = test.connect();
    flooder.send(&framed(vec!["act"; 3000]));
    assert_spread(&mut test, SHARE);
    assert_eq!(received(&flooder).len(), 3000);
}

#[test]
fn the_input_that_waits_is_counted_and_answered_in_order() {
    let mut test = slow_loop();
    let flooder = test.connect();
    let requests: Vec<_> = (0..2000).map(|number| format!("{number:05}")).collect();
    flooder.send(&framed(&requests));
    test.turn();
    let counted = test.event_loop.shared.worker.stats.buffered_bytes;
    assert_eq!(flooder.unread(), 0, "all is read at once");
    assert!(counted > 7 * 1800 && counted < 7 * 2000, "{counted} bytes wait and are counted");
    flooder.finish();
    test.run_until_idle();
    assert_eq!(received(&flooder), requests);
    assert!(flooder.is_closed());
}

#[test]
fn a_drain_answers_the_input_that_waits() {
    let mut test = slow_loop();
    let flooder = test.connect();
    flooder.send(&framed(["hello"; 500]));
    test.turn();
    test.handle.drain();
    test.run_until_idle();
    assert_eq!(received(&flooder).len(), 500);
    assert!(flooder.is_shut_down());
}

#[test]
fn neighbours_are_served_in_each_turn_of_a_flood() {
    let mut test = slow_loop();
    let (flooder, other) = (test.connect(), test.connect());
    flood(&flooder, 3000);
    for turn in 1..20 {
        other.send(&framed(["hello"]));
        test.turn();
        assert_eq!(received(&other).len(), turn);
    }
    assert!(test.service.script().callbacks < 3000, "the flood is still under way");
}

#[test]
fn many_floods_cost_a_turn_as_much_as_one() {
    let mut test = slow_loop();
    let flooders: Vec<_> = (0..20).map(|_| test.connect()).collect();
    let other = test.connect();
    for flooder in &flooders {
        flood(flooder, 1000);
    }
    // Each has news once, and its first share with it: the turn is bounded all the same.
    let made = callbacks_of_a_turn(&mut test);
    assert!(made <= 16 * SHARE, "{made}");
    while test.event_loop.shared.ready.len().0 > 0 {
        test.turn();
    }
    for turn in 1..20 {
        other.send(&framed(["hello"]));
        let made = callbacks_of_a_turn(&mut test);
        assert!(made <= SHARE + 1, "{made}");
        assert_eq!(received(&other).len(), turn);
    }
}

#[test]
fn floods_share_the_time_among_themselves() {
    let mut test = slow_loop();
    let flooders: Vec<_> = (0..5).map(|_| test.connect()).collect();
    for flooder in &flooders {
        flooder.send(&framed(vec!["hello"; 2000]));
    }
    for _ in 0..40 {
        test.turn();
    }
    let answered: Vec<_> = flooders.iter().map(|flooder| received(flooder).len()).collect();
    let least = *answered.iter().min().unwrap();
    assert!(least > 200 && answered.iter().all(|most| *most < least * 3 / 2), "{answered:?}");
}

#[test]
fn a_raw_flood_in_small_pieces_is_spread_over_turns() {
    let mut test = slow_loop();
    let flooder = test.connect_to(RAW);
    flooder.send(&[b'x'; 200]);
    flooder.script_reads(vec![ScriptedCall::AtMost(1); 150]);
    // A short read proves nothing while the end of the stream is reported.
    flooder.finish();
    assert_spread(&mut test, SHARE);
    assert_eq!(test.event_loop.shared.worker.stats.bytes_in, 200);
}

#[test]
fn a_flood_of_datagrams_is_spread_over_turns() {
    let mut test = slow_loop();
    let other = test.connect();
    for port in 1..1000 {
        test.script.datagram(UDP, ([127, 0, 0, 2], port).into(), b"");
    }
    for turn in 1..10 {
        other.send(&framed(["hello"]));
        let made = callbacks_of_a_turn(&mut test);
        assert!(made <= 2 * SHARE, "turn {turn}: {made} callbacks");
        assert_eq!(received(&other).len(), turn);
    }
    test.run_until_idle();
    assert_eq!(test.script.sent(UDP).len(), 999);
}

#[test]
fn large_datagrams_are_bounded_by_their_bytes() {
    let mut test = TestLoop::new(Limits::default());
    for port in 1..200 {
        test.script.datagram(UDP, ([127, 0, 0, 2], port).into(), &vec![0; 60_000]);
    }
    test.turn();
    let mut before = test.script.waiting_datagrams(UDP);
    while before > 0 {
        test.turn();
        let waiting = test.script.waiting_datagrams(UDP);
        assert!(before - waiting <= 8, "{} datagrams of 60 kB in a turn", before - waiting);
        before = waiting;
    }
}

#[test]
fn posts_leave_time_for_the_others_and_precede_later_commands() {
    let mut test = slow_loop();
    let other = test.connect();
    other.send(&framed(["timer 1"]));
    test.run_until_idle();
    for _ in 0..1000 {
        test.handle.post(ServiceId(0), Box::new(FLOOD.to_owned())).unwrap();
    }
    test.handle.drain();
    test.log();
    for _ in 0..3 {
        let made = callbacks_of_a_turn(&mut test);
        assert!(made <= SHARE, "{made} callbacks");
    }
    assert!(test.log().contains(&"timer 0 #0".to_owned()), "the timer fired between the posts");
    test.run_until_idle();
    let log = test.log();
    let posts = log.iter().filter(|line| line.starts_with("post ")).count();
    let shutdown = log.iter().position(|line| line.starts_with("shutdown")).unwrap();
    assert!(
        posts > 0 && log[shutdown..].iter().all(|line| !line.starts_with("post ")),
        "a drain waits for earlier posts"
    );
}

#[test]
fn timers_due_at_once_are_spread_over_turns() {
    let mut test = TestLoop::new(Limits::default());
    let (owner, other) = (test.connect(), test.connect());
    owner.send(&framed(["timer 5"; 1000]));
    test.run_until_idle();
    test.set_cost(10 * MICRO);
    test.script.advance(Duration::from_millis(5));
    for turn in 1..10 {
        other.send(&framed(["hello"]));
        let made = callbacks_of_a_turn(&mut test);
        assert!(made > 10 && made <= SHARE + 1, "turn {turn}: {made} callbacks");
        assert_eq!(received(&other).len(), turn);
    }
    test.run_until_idle();
    assert_eq!(received(&owner).len(), 1000);
}

#[test]
fn results_of_jobs_are_spread_over_turns() {
    let mut test = slow_loop();
    let other = test.connect();
    for number in 0..500 {
        let owner = JobOwner { service: ServiceId(0), conn: ConnId::NONE, job: JobId(number), bytes: 0 };
        let output = JobOutput::of(Box::new(|| Box::new("done".to_owned())));
        test.event_loop.shared.threads.done_jobs.push_back((owner, output));
    }
    test.event_loop.shared.threads.woken = true;
    for turn in 1..7 {
        other.send(&framed(["hello"]));
        let made = callbacks_of_a_turn(&mut test);
        assert!(made > 10 && made <= SHARE + 1, "turn {turn}: {made} callbacks");
        assert_eq!(received(&other).len(), turn);
    }
    test.run_until_idle();
    assert_eq!(test.log().iter().filter(|line| line.starts_with("job ")).count(), 500);
}

#[test]
fn an_accept_storm_and_live_connections_share_the_turn() {
    let mut test = slow_loop();
    let live = test.connect();
    let storm: Vec<_> = (0..500).map(|_| test.script.connect(0)).collect();
    let mut turns = 0;
    while test.script.backlog(0) > 0 {
        turns += 1;
        live.send(&framed(["hello"]));
        let made = callbacks_of_a_turn(&mut test);
        assert!(made <= SHARE + 1, "{made} callbacks");
        assert_eq!(received(&live).len(), turns);
    }
    assert!(turns >= 500 / SHARE);
    storm[499].send(&framed(["hello"]));
    test.run_until_idle();
    assert_eq!(received(&storm[499]), ["hello"]);
}

#[test]
fn a_flood_does_not_keep_newcomers_out() {
    let mut test = slow_loop();
    let flooders: Vec<_> = (0..10).map(|_| test.connect()).collect();
    for flooder in &flooders {
        flood(flooder, 2000);
    }
    for _ in 0..10 {
        test.turn();
    }
    let newcomer = test.script.connect(0);
    newcomer.send(&framed(["hello"]));
    (0..3).for_each(|_| _ = test.turn());
    assert_eq!(received(&newcomer), ["hello"]);
}

#[test]
fn timers_fire_under_load() {
    let mut test = slow_loop();
    let (flooder, owner) = (test.connect(), test.connect());
    owner.send(&framed(["timer 1"]));
    test.run_until_idle();
    flood(&flooder, 3000);
    let before = callbacks(&test);
    while received(&owner).is_empty() {
        test.turn();
    }
    let delay = 10 * MICRO * u32::try_from(callbacks(&test) - before).unwrap();
    assert!(delay < Duration::from_millis(3), "{delay:?}");
}

#[test]
fn a_flush_for_many_is_spread_over_turns() {
    let mut test = TestLoop::new(Limits::default());
    let members: Vec<_> = (0..200).map(|_| test.connect()).collect();
    members[0].send(&framed(["all hello"]));
    test.script.set_cost_of_looking(MICRO * 1000);
    test.event_loop.run_turn().unwrap();
    let served = members.iter().filter(|member| !received(member).is_empty()).count();
    assert!(served > 0 && served < 200, "{served}");
    members[1].send(&framed(["all again"]));
    test.script.set_cost_of_looking(Duration::ZERO);
    test.run_until_idle();
    for member in &members {
        assert_eq!(received(member), ["hello", "again"]);
    }
}

#[test]
fn a_peer_that_waits_for_its_step_is_not_late() {
    let limits = Limits { frame_timeout: Duration::from_secs(1), ..Limits::default() };
    let mut test = TestLoop::new(limits);
    let flooders: Vec<_> = (0..20).map(|_| test.connect()).collect();
    let peer = test.connect();
    let request = framed(["hello"]);
    peer.send(&request[..3]);
    test.run_until_idle();
    // The rest is there in time. The steps of the others take longer than its deadline.
    test.set_cost(Duration::from_millis(100));
    for flooder in &flooders {
        flood(flooder, 5);
    }
    peer.send(&request[3..]);
    for _ in 0..30 {
        test.turn();
    }
    assert_eq!(received(&peer), ["hello"]);
    assert!(!peer.is_shut_down());
}

#[test]
fn without_a_budget_a_step_takes_its_time() {
    let mut test = TestLoop::new(Limits { turn_budget: Duration::ZERO, ..Limits::default() });
    test.set_cost(10 * MICRO);
    let flooder = test.connect();
    flood(&flooder, 3000);
    assert_eq!(callbacks_of_a_turn(&mut test), 3000);
}
