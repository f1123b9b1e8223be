//! Scripts that would be long: many members, many rooms.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::harness::{HERE, Table};
use super::play::play;
use super::script::Script;
use super::*;
use crate::services::chat::rules::{ROOMS_PAGE, WHO_PAGE};

#[test]
fn up_to_128_comings_and_goings_are_announced_and_beyond_only_counted() {
    let mut table = Table::new(Rules { messages_per_second: 0, ..Rules::default() });
    let mut conns = Vec::new();
    for number in 1..=130 {
        let conn = table.connect(Dialect::Json, HERE);
        conns.push(conn);
        table.say(conn, format!(r#"{{"type":"hello","nick":"m{number}"}}"#).as_bytes());
        table.settle();
        let heard = table.heard(conns[0]);
        let joined = format!(r#"{{"type":"joined","room":"lobby","nick":"m{number}"}}"#);
        let told = heard.iter().any(|payload| **payload == *joined.as_bytes());
        assert_eq!(told, number <= 128, "member {number}");
    }
    for number in (1..=130).rev().take(5) {
        table.close(conns[number - 1], &CloseReason::PeerClosed);
        table.settle();
        let left = format!(r#"{{"type":"left","room":"lobby","nick":"m{number}"}}"#);
        let told = table.heard(conns[0]).iter().any(|payload| **payload == *left.as_bytes());
        assert_eq!(told, number <= 128, "member {number}");
        table.hub.check();
    }
}

#[test]
fn entering_is_announced_up_to_128_in_other_rooms_too() {
    let mut table = Table::new(Rules { messages_per_second: 0, ..Rules::default() });
    let mut first = None;
    for number in 1..=130 {
        let conn = table.connect(Dialect::Json, HERE);
        let first = *first.get_or_insert(conn);
        table.say(conn, br#"{"type":"join","room":"hall"}"#);
        table.settle();
        let joined = format!(r#"{{"type":"joined","room":"hall","nick":"guest-{number}"}}"#);
        let told = table.heard(first).iter().any(|payload| **payload == *joined.as_bytes());
        assert_eq!(told, number <= 128, "member {number}");
    }
}

#[test]
fn who_is_paged_and_names_everybody_who_is_there_all_the_time() {
    let mut table = Table::new(Rules { messages_per_second: 0, announce_up_to: 0, ..Rules::default() });
    let dialects = [Dialect::Json, Dialect::Lines, Dialect::Raw];
    let conns: Vec<_> = (0..600).map(|number| table.connect(dialects[number % 3], HERE)).collect();
    let mut next = Value::Null;
    let mut pages = Vec::new();
    let mut nicks = BTreeSet::new();
    loop {
        table.say(conns[0], json!({"type": "who", "room": "lobby", "next": next}).to_string().as_bytes());
        let page: Value = serde_json::from_slice(table.heard(conns[0]).last().unwrap()).unwrap();
        let here = page["nicks"].as_array().unwrap();
        pages.push(here.len());
        nicks.extend(here.iter().map(|nick| nick.as_str().unwrap().to_owned()));
        next = page["next"].clone();
        if next.is_null() {
            break;
        }
        // Meanwhile some go, and others take their places.
        for gone in [pages.len() * 7, 300 + pages.len() * 5, 590 + pages.len()] {
            table.close(conns[gone], &CloseReason::PeerClosed);
        }
        table.hub.check();
    }
    assert_eq!(pages[..2], [WHO_PAGE, WHO_PAGE]);
    let stayed = (0..600).filter(|at| ![7, 14, 21, 305, 310, 315, 591, 592, 593].contains(at));
    for at in stayed {
        assert!(nicks.contains(&format!("guest-{}", at + 1)), "guest-{} was left out", at + 1);
    }
    // A number that nobody was told is no way to break anything.
    for next in [0, 1 << 32, u64::MAX, (7 << 32) | 3] {
        table.say(conns[0], json!({"type": "who", "room": "lobby", "next": next}).to_string().as_bytes());
        assert!(table.heard(conns[0]).last().unwrap().starts_with(b"{\"type\":\"who\""));
    }
}

#[test]
fn who_on_lines_says_how_it_goes_on() {
    let mut script = String::from("rule messages_per_second 0\nrule announce_up_to 0\n");
    for number in 1..=257 {
        let _ = writeln!(script, "m{number} connects lines");
        let _ = writeln!(script, "m{number} < * you are guest-{number}, in lobby; /help lists the commands");
    }
    let names: Vec<_> = (2..=257).rev().map(|number| format!("guest-{number}")).collect();
    let _ = writeln!(script, "m1 > /who\nm1 < * 257 in lobby: {}", names.join(", "));
    let next = 1_u64 << 32 | 1;
    let _ = writeln!(script, "m1 < * /who lobby {next} goes on\nm1 > /who lobby {next}\nm1 < * 257 in lobby: guest-1");
    play(&Script::parse("who on lines", &script));
}

#[test]
fn rooms_are_paged() {
    let mut table = Table::new(Rules { messages_per_second: 0, max_rooms_per_member: 1000, ..Rules::default() });
    let eva = table.connect(Dialect::Json, HERE);
    for number in 0..600 {
        table.say(eva, json!({"type": "join", "room": format!("r{number}")}).to_string().as_bytes());
    }
    table.say(eva, br#"{"type":"leave","room":"r300"}"#);
    let mut next = Value::Null;
    let mut names = Vec::new();
    loop {
        table.say(eva, json!({"type": "rooms", "next": next}).to_string().as_bytes());
        let page: Value = serde_json::from_slice(table.heard(eva).last().unwrap()).unwrap();
        let rooms = page["rooms"].as_array().unwrap();
        assert!(rooms.len() <= ROOMS_PAGE);
        names.extend(rooms.iter().map(|room| room["room"].as_str().unwrap().to_owned()));
        next = page["next"].clone();
        if next.is_null() {
            break;
        }
    }
    let rooms = (0..600).filter(|number| *number != 300).map(|number| format!("r{number}"));
    assert_eq!(names, std::iter::once("lobby".to_owned()).chain(rooms).collect::<Vec<_>>());
}

#[test]
fn a_member_is_in_32_rooms_at_most() {
    let mut table = Table::new(Rules { messages_per_second: 0, ..Rules::default() });
    let eva = table.connect(Dialect::Json, HERE);
    for number in 1..=31 {
        table.say(eva, json!({"type": "join", "room": format!("r{number}")}).to_string().as_bytes());
    }
    assert!(table.heard(eva).last().unwrap().starts_with(b"{\"type\":\"joined\",\"room\":\"r31\""));
    table.say(eva, br#"{"type":"join","room":"r32"}"#);
    let refused: Value = serde_json::from_slice(&table.heard(eva)[0]).unwrap();
    assert_eq!(refused["code"], "too-many-rooms");
    assert_eq!(table.hub.rooms.len(), 32, "and no room was made for it");
}
