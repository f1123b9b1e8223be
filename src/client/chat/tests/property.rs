//! Whatever is lost and when: each id is shown once and in order, and each message of the user
//! reaches the server.

use std::time::Duration;

use proptest::prelude::*;

use super::fake_server::FakeServer;
use super::simulation::ChatSimulation;
use crate::client::chat::{Ending, LOBBY, Notice, SessionOptions};

#[derive(Clone, Debug)]
enum SimulationStep {
    OtherSays(&'static str),
    EvaSays(&'static str),
    Transmit(usize),
    Deliver(usize),
    Pass(u64),
    Connect,
    Lose,
}

fn step() -> impl Strategy<Value = SimulationStep> {
    let room = prop_oneof![Just(LOBBY), Just("tea")];
    prop_oneof![
        4 => room.clone().prop_map(SimulationStep::OtherSays),
        3 => room.prop_map(SimulationStep::EvaSays),
        4 => (1usize..6).prop_map(SimulationStep::Transmit),
        4 => (1usize..6).prop_map(SimulationStep::Deliver),
        3 => (1u64..3000).prop_map(SimulationStep::Pass),
        2 => Just(SimulationStep::Connect),
        1 => Just(SimulationStep::Lose),
    ]
}

/// Runs the steps until nothing is in transit. Returns the simulation and the number of the user's
/// messages.
fn run(steps: Vec<SimulationStep>, server: FakeServer) -> (ChatSimulation, usize) {
    let options = SessionOptions { nick: Some("eva".into()), rooms: vec!["tea".into()], ..SessionOptions::default() };
    let mut sim = ChatSimulation::new(options, server);
    let (mut spoken, mut under_way) = (0, 0);
    for step in steps {
        match step {
            SimulationStep::OtherSays(room) => sim.server.say_times(room, "bo", "hello", 1),
            SimulationStep::EvaSays(room) => {
                spoken += 1;
                sim.command(crate::client::chat::ChatCommand::Switch(room.to_owned()));
                sim.say(&format!("eva's {spoken}."));
            }
            SimulationStep::Transmit(count) => while_some(count, || sim.transmit()),
            SimulationStep::Deliver(count) => while_some(count, || sim.deliver()),
            SimulationStep::Pass(millis) => {
                // An answer later than the limiter's REPLY_TIMEOUT could cause a flood.
                under_way += millis;
                if under_way > 4500 {
                    sim.exchange();
                    under_way = millis;
                }
                sim.advance(Duration::from_millis(millis));
            }
            SimulationStep::Connect => sim.connect(),
            SimulationStep::Lose => sim.disconnect(),
        }
    }
    sim.run_until_quiet();
    (sim, spoken)
}

fn while_some(count: usize, mut more: impl FnMut() -> bool) {
    for _ in 0..count {
        if !more() {
            break;
        }
    }
}

fn missing(sim: &ChatSimulation, name: &str) -> u64 {
    let counts = sim.notices.iter().map(|notice| match notice {
        Notice::Missing { room, count } if room == name => *count,
        _ => 0,
    });
    counts.sum()
}

fn check(
    steps: Vec<SimulationStep>,
    history_len: usize,
    rate_limit: Option<(u32, u32)>,
    faults: [bool; 2],
) -> Result<(), TestCaseError> {
    let mut server = FakeServer::with_history(history_len);
    server.rate_limit = rate_limit;
    [server.acks_after_broadcast, server.announces_start] = faults;
    let (sim, spoken) = run(steps, server);
    if let Some(Ending::NotChatServer(_)) = sim.ending {
        // Every connection was lost before its first event.
        prop_assert!(sim.shown.is_empty() && sim.server.rooms.values().flatten().all(|(nick, _)| nick != "eva"));
        return Ok(());
    }
    prop_assert!(sim.session.is_idle(), "some messages are not acknowledged");
    for room in [LOBBY, "tea"] {
        let ids = sim.ids(room);
        prop_assert!(ids.is_sorted_by(|a, b| a < b), "{room}: {ids:?}");
        if let (Some(first), Some(last_id)) = (ids.first(), ids.last()) {
            prop_assert_eq!(*last_id, sim.server.rooms[room].len() as u64, "{}: last message", room);
            // Each gap is reported, and nothing else, except messages before the first one
            // shown.
            let (gaps, notices) = (last_id - first + 1 - ids.len() as u64, missing(&sim, room));
            prop_assert!((gaps..gaps + first).contains(&notices), "{room}: {ids:?} and {notices} missing");
        }
        if history_len >= 1000 {
            prop_assert_eq!(missing(&sim, room), 0);
        }
    }
    let resent: usize =
        sim.notices.iter().map(|notice| if let Notice::Resending { count } = notice { *count } else { 0 }).sum();
    let mut duplicates = 0;
    for number in 1..=spoken {
        let times = sim.times_stored(&format!("eva's {number}."));
        prop_assert!(times >= 1, "eva's {} is lost", number);
        duplicates += times - 1;
    }
    prop_assert!(duplicates <= resent, "{} duplicates without a notice", duplicates);
    if history_len >= 1000 {
        prop_assert_eq!(duplicates, 0, "a recognisable message is not sent duplicates");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn each_id_is_shown_once_and_in_order(
        steps in proptest::collection::vec(step(), 1..120),
        history_len in prop_oneof![Just(1000usize), 1usize..8],
        rate_limit in proptest::option::of((2u32..30, 1u32..10)),
        faults: [bool; 2],
    ) {
        check(steps, history_len, rate_limit, faults)?;
    }
}
