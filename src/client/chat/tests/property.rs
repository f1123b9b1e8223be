//! Whatever is lost and whenever: each id is shown once and in order, and what the user said is said.

use std::time::Duration;

use proptest::prelude::*;

use super::fake_server::Server;
use super::simulation::World;
use crate::client::chat::{LOBBY, Notice, Wishes};

#[derive(Clone, Debug)]
enum Step {
    OtherSays(&'static str),
    EvaSays(&'static str),
    Transmit(usize),
    Deliver(usize),
    Pass(u64),
    Connect,
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let room = prop_oneof![Just(LOBBY), Just("tea")];
    prop_oneof![
        4 => room.clone().prop_map(Step::OtherSays),
        3 => room.prop_map(Step::EvaSays),
        4 => (1usize..6).prop_map(Step::Transmit),
        4 => (1usize..6).prop_map(Step::Deliver),
        3 => (1u64..3000).prop_map(Step::Pass),
        2 => Just(Step::Connect),
        1 => Just(Step::Lose),
    ]
}

/// Runs the steps; gives the world at its end, when all has come to rest, and how often eva spoke.
fn run(steps: Vec<Step>, server: Server) -> (World, usize) {
    let wishes = Wishes { nick: Some("eva".into()), rooms: vec!["tea".into()], ..Wishes::default() };
    let mut world = World::new(wishes, server);
    let (mut spoken, mut under_way) = (0, 0);
    for step in steps {
        match step {
            Step::OtherSays(room) => world.server.say_often(room, "bo", "hello", 1),
            Step::EvaSays(room) => {
                spoken += 1;
                world.command(crate::client::chat::Command::Switch(room.to_owned()));
                world.say(&format!("eva's {spoken}."));
            }
            Step::Transmit(count) => while_some(count, || world.transmit()),
            Step::Deliver(count) => while_some(count, || world.deliver()),
            Step::Pass(millis) => {
                // An answer that takes longer than the pace waits for one could make it a flood.
                under_way += millis;
                if under_way > 4500 {
                    world.exchange();
                    under_way = millis;
                }
                world.pass(Duration::from_millis(millis));
            }
            Step::Connect => world.connect(),
            Step::Lose => world.lose(),
        }
    }
    world.settle();
    (world, spoken)
}

fn while_some(count: usize, mut more: impl FnMut() -> bool) {
    for _ in 0..count {
        if !more() {
            break;
        }
    }
}

fn missing(world: &World, wanted: &str) -> u64 {
    let counts = world.told.iter().map(|notice| match notice {
        Notice::Missing { room, count } if room == wanted => *count,
        _ => 0,
    });
    counts.sum()
}

fn check(steps: Vec<Step>, keep: usize, allows: Option<(u32, u32)>, odd: [bool; 2]) -> Result<(), TestCaseError> {
    let mut server = Server::keeping(keep);
    server.allows = allows;
    [server.acks_late, server.tells_start] = odd;
    let (world, spoken) = run(steps, server);
    prop_assert!(world.session.is_idle(), "something is still unsaid");
    for room in [LOBBY, "tea"] {
        let ids = world.ids(room);
        prop_assert!(ids.is_sorted_by(|a, b| a < b), "{room}: {ids:?}");
        if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
            prop_assert_eq!(*last, world.server.rooms[room].len() as u64, "{} to its end", room);
            // Every gap is told of, and nothing else; but what was said before the first that was shown may be told of, too.
            let (gaps, told) = (last - first + 1 - ids.len() as u64, missing(&world, room));
            prop_assert!((gaps..gaps + first).contains(&told), "{room}: {ids:?} and {told} missing");
        }
        if keep >= 1000 {
            prop_assert_eq!(missing(&world, room), 0);
        }
    }
    let again: usize =
        world.told.iter().map(|notice| if let Notice::Again { count } = notice { *count } else { 0 }).sum();
    let mut twice = 0;
    for number in 1..=spoken {
        let times = world.times_said(&format!("eva's {number}."));
        prop_assert!(times >= 1, "eva's {} is lost", number);
        twice += times - 1;
    }
    prop_assert!(twice <= again, "{} stand twice and nobody was told", twice);
    if keep >= 1000 {
        prop_assert_eq!(twice, 0, "what can be recognised is not said twice");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn each_id_is_shown_once_and_in_order(
        steps in proptest::collection::vec(step(), 1..120),
        keep in prop_oneof![Just(1000usize), 1usize..8],
        allows in proptest::option::of((2u32..30, 1u32..10)),
        odd: [bool; 2],
    ) {
        check(steps, keep, allows, odd)?;
    }
}
