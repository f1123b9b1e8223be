//! Many members and many messages: every member receives every message once and in the same order,
//! even if connections break.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::json;
use switchboard::Limits;
use switchboard::services::chat::ChatConfig;

use super::hall::Hall;
use super::member::{Member, message};
use crate::support::{Engine, conformance};

conformance! {
    a_hundred_members_receive_the_same_messages,
    reconnecting_members_miss_no_message,
}

fn config() -> ChatConfig {
    ChatConfig { max_requests_per_second: 0, max_announcing_room_members: 0, ..ChatConfig::default() }
}

fn a_hundred_members_receive_the_same_messages<E: Engine>() {
    const MEMBERS: usize = 100;
    const PUBLISHERS: usize = 5;
    const EACH: usize = 400;
    let hall = Hall::open::<E>(Limits { max_write_buffer_bytes: 8 << 20, ..Limits::default() }, config(), 0);
    let members: Vec<_> = (0..MEMBERS).map(|at| Member::enter(hall.json, &format!("m{at}"))).collect();
    let publishers = (0..PUBLISHERS).map(|at| (format!("p{at}"), Member::enter(hall.json, &format!("p{at}"))));
    let speaking: Vec<_> =
        publishers.map(|(nick, member)| thread::spawn(move || send_bursts(member, &nick, EACH))).collect();
    let hearing: Vec<_> = members
        .into_iter()
        .map(|mut member| {
            thread::spawn(move || {
                let heard: Vec<_> = (0..PUBLISHERS * EACH).map(|_| member.message_bytes()).collect();
                (member, heard)
            })
        })
        .collect();
    let mut all = Vec::new();
    let mut members = Vec::new();
    for one in hearing {
        let (member, heard) = one.join().unwrap();
        members.push(member);
        all.push(heard);
    }
    let publishers: Vec<_> = speaking.into_iter().map(|one| one.join().unwrap()).collect();
    let mut counts = HashMap::new();
    for (at, bytes) in all[0].iter().enumerate() {
        let (id, from, text) = message(&serde_json::from_slice(bytes).unwrap()).unwrap();
        assert_eq!(id, at as u64 + 1, "ids are consecutive");
        let count: &mut usize = counts.entry(from).or_default();
        assert_eq!(text, count.to_string(), "each is heard in the order in which it spoke");
        *count += 1;
    }
    assert!(counts.values().all(|count| *count == EACH), "{counts:?}");
    for heard in &all[1..] {
        assert!(*heard == all[0], "everybody hears the same");
    }
    drop((members, publishers));
    hall.running.drain();
}

/// Sends `times` messages in bursts, so that the server batches them, and receives all of them.
fn send_bursts(mut member: Member, nick: &str, times: usize) -> Member {
    for at in 0..times {
        member.say(&at.to_string());
        if at % 20 == 19 {
            while !matches!(member.message(), (_, from, text) if from == nick && text == at.to_string()) {}
        }
    }
    member
}

fn reconnecting_members_miss_no_message<E: Engine>() {
    const MEMBERS: usize = 200;
    const THREADS: usize = 4;
    const MESSAGES: u64 = 600;
    let hall = Hall::open::<E>(Limits::default(), config(), 0);
    let mut speaker = Member::enter(hall.json, "speaker");
    speaker.join("news");
    let said = Arc::new(AtomicU64::new(0));
    let storms: Vec<_> = (0..THREADS)
        .map(|_| {
            let (at, said) = (hall.json, Arc::clone(&said));
            thread::spawn(move || storm(at, MEMBERS / THREADS, MESSAGES, &said))
        })
        .collect();
    for id in 1..=MESSAGES {
        speaker.say_in("news", &id.to_string());
        assert_eq!(speaker.message().0, id);
        said.store(id, Ordering::Release);
    }
    let reconnections: usize = storms.into_iter().map(|one| one.join().unwrap()).sum();
    assert!(reconnections >= MEMBERS * 3, "it was no storm: {reconnections}");
    drop(speaker);
    hall.running.drain();
}

/// Runs members that each receive some messages, disconnect, and rejoin with the last id. Returns
/// the number of reconnects.
fn storm(at: SocketAddr, members: usize, messages: u64, said: &AtomicU64) -> usize {
    let mut last = vec![0; members];
    let mut reconnections = 0;
    let mut round = 0;
    while last.iter().any(|last| *last < messages) {
        let mut here: Vec<_> = last.iter().map(|last| rejoin(at, *last)).collect();
        reconnections += here.len();
        round += 1;
        // Each member receives up to a different message of those sent so far.
        let known = said.load(Ordering::Acquire);
        for (member, (here, last)) in here.iter_mut().zip(&mut last).enumerate() {
            let until = if round < 4 { (known * (member as u64 % 4 + 1) / 4).max(*last) } else { messages };
            while *last < until {
                let (id, _, text) = here.message();
                assert_eq!((id, text), (*last + 1, id.to_string()), "nothing is missing, nothing comes twice");
                *last = id;
            }
        }
    }
    reconnections
}

fn rejoin(at: SocketAddr, since: u64) -> Member {
    let member = Member::connect(at);
    member.ask(&json!({"type": "join", "room": "news", "since": since}));
    member
}
