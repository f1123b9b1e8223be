//! Many members and many rooms, where a script would be too long.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::harness::{HubHarness, LOCALHOST};
use super::play::play;
use super::script::Script;
use super::*;
use crate::services::chat::config::{MAX_NICKS_PER_REPLY, MAX_ROOMS_PER_REPLY};

#[test]
fn joins_and_leaves_are_announced_up_to_128_members() {
    let mut chat = HubHarness::new(ChatConfig { max_requests_per_second: 0, ..ChatConfig::default() });
    let mut conns = Vec::new();
    for number in 1..=130 {
        let conn = chat.connect(ChatDialect::Json, LOCALHOST);
        conns.push(conn);
        chat.receive(conn, format!(r#"{{"type":"hello","nick":"m{number}"}}"#).as_bytes());
        chat.run_until_idle();
        let delivered = chat.take_delivered(conns[0]);
        let joined = format!(r#"{{"type":"joined","room":"lobby","nick":"m{number}"}}"#);
        let is_announced = delivered.iter().any(|payload| **payload == *joined.as_bytes());
        assert_eq!(is_announced, number <= 128, "member {number}");
    }
    for number in (1..=130).rev().take(5) {
        chat.close(conns[number - 1], &CloseReason::PeerClosed);
        chat.run_until_idle();
        let left = format!(r#"{{"type":"left","room":"lobby","nick":"m{number}"}}"#);
        let is_announced = chat.take_delivered(conns[0]).iter().any(|payload| **payload == *left.as_bytes());
        assert_eq!(is_announced, number <= 128, "member {number}");
        chat.hub.check();
    }
}

#[test]
fn joins_are_announced_up_to_128_members_in_any_room() {
    let mut chat = HubHarness::new(ChatConfig { max_requests_per_second: 0, ..ChatConfig::default() });
    let mut first = None;
    for number in 1..=130 {
        let conn = chat.connect(ChatDialect::Json, LOCALHOST);
        let first = *first.get_or_insert(conn);
        chat.receive(conn, br#"{"type":"join","room":"hall"}"#);
        chat.run_until_idle();
        let joined = format!(r#"{{"type":"joined","room":"hall","nick":"guest-{number}"}}"#);
        let is_announced = chat.take_delivered(first).iter().any(|payload| **payload == *joined.as_bytes());
        assert_eq!(is_announced, number <= 128, "member {number}");
    }
}

#[test]
fn who_pages_list_every_member_that_stays() {
    let mut chat = HubHarness::new(ChatConfig {
        max_requests_per_second: 0,
        max_announcing_room_members: 0,
        ..ChatConfig::default()
    });
    let dialects = [ChatDialect::Json, ChatDialect::Lines, ChatDialect::Raw];
    let conns: Vec<_> = (0..600).map(|number| chat.connect(dialects[number % 3], LOCALHOST)).collect();
    let mut next = Value::Null;
    let mut pages = Vec::new();
    let mut nicks = BTreeSet::new();
    loop {
        chat.receive(conns[0], json!({"type": "who", "room": "lobby", "next": next}).to_string().as_bytes());
        let page: Value = serde_json::from_slice(chat.take_delivered(conns[0]).last().unwrap()).unwrap();
        let here = page["nicks"].as_array().unwrap();
        pages.push(here.len());
        nicks.extend(here.iter().map(|nick| nick.as_str().unwrap().to_owned()));
        next = page["next"].clone();
        if next.is_null() {
            break;
        }
        // Some members leave between the pages, and others move to their positions.
        for gone in [pages.len() * 7, 300 + pages.len() * 5, 590 + pages.len()] {
            chat.close(conns[gone], &CloseReason::PeerClosed);
        }
        chat.hub.check();
    }
    assert_eq!(pages[..2], [MAX_NICKS_PER_REPLY, MAX_NICKS_PER_REPLY]);
    let stayed = (0..600).filter(|at| ![7, 14, 21, 305, 310, 315, 591, 592, 593].contains(at));
    for at in stayed {
        assert!(nicks.contains(&format!("guest-{}", at + 1)), "guest-{} is missing", at + 1);
    }
    // A `next` that the server never sent is answered, too.
    for next in [0, 1 << 32, u64::MAX, (7 << 32) | 3] {
        chat.receive(conns[0], json!({"type": "who", "room": "lobby", "next": next}).to_string().as_bytes());
        assert!(chat.take_delivered(conns[0]).last().unwrap().starts_with(b"{\"type\":\"who\""));
    }
}

#[test]
fn who_on_lines_names_the_next_page() {
    let mut script = String::from("config max_requests_per_second 0\nconfig max_announcing_room_members 0\n");
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
    let mut chat =
        HubHarness::new(ChatConfig { max_requests_per_second: 0, max_rooms_per_member: 1000, ..ChatConfig::default() });
    let eva = chat.connect(ChatDialect::Json, LOCALHOST);
    for number in 0..600 {
        chat.receive(eva, json!({"type": "join", "room": format!("r{number}")}).to_string().as_bytes());
    }
    chat.receive(eva, br#"{"type":"leave","room":"r300"}"#);
    let mut next = Value::Null;
    let mut names = Vec::new();
    loop {
        chat.receive(eva, json!({"type": "rooms", "next": next}).to_string().as_bytes());
        let page: Value = serde_json::from_slice(chat.take_delivered(eva).last().unwrap()).unwrap();
        let rooms = page["rooms"].as_array().unwrap();
        assert!(rooms.len() <= MAX_ROOMS_PER_REPLY);
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
fn member_joins_at_most_32_rooms() {
    let mut chat = HubHarness::new(ChatConfig { max_requests_per_second: 0, ..ChatConfig::default() });
    let eva = chat.connect(ChatDialect::Json, LOCALHOST);
    for number in 1..=31 {
        chat.receive(eva, json!({"type": "join", "room": format!("r{number}")}).to_string().as_bytes());
    }
    assert!(chat.take_delivered(eva).last().unwrap().starts_with(b"{\"type\":\"joined\",\"room\":\"r31\""));
    chat.receive(eva, br#"{"type":"join","room":"r32"}"#);
    let reply: Value = serde_json::from_slice(&chat.take_delivered(eva)[0]).unwrap();
    assert_eq!(reply["code"], "too-many-rooms");
    assert_eq!(chat.hub.rooms.len(), 32, "the rejected join creates no room");
}
