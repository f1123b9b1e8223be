//! Two hundred members in a room, one of which never reads: with every policy the others receive
//! all messages in order.
//!
//! The slow member is in a second room, too, where few members receive many messages, to fill the
//! socket buffers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use switchboard::services::chat::ChatConfig;
use switchboard::{Limits, SlowConsumer};

use super::hall::Hall;
use super::member::{Member, message};
use crate::support::{Engine, conformance};

conformance! {
    a_member_that_never_reads_is_disconnected,
    drop_newest_reports_the_missed_messages,
    drop_oldest_reports_the_missed_messages,
}

const OTHERS: usize = 199;
const LOUD_BYTES: usize = 30_000;

fn limits(slow_consumer: SlowConsumer) -> Limits {
    Limits { slow_consumer, max_write_buffer_bytes: 512 * 1024, ..Limits::default() }
}

/// The members of both rooms.
struct Crowd {
    hall: Hall,
    speaker: Member,
    others: Vec<Member>,
    slow: Member,
    /// The number of messages sent in each room.
    said: BTreeMap<&'static str, u64>,
}

impl Crowd {
    fn gather<E: Engine>(slow_consumer: SlowConsumer) -> Self {
        let config = ChatConfig {
            max_requests_per_second: 0,
            max_announcing_room_members: 2,
            max_text_bytes: 32_000,
            ..ChatConfig::default()
        };
        let hall = Hall::open::<E>(limits(slow_consumer), config, 0);
        let mut speaker = Member::enter(hall.json, "speaker");
        speaker.join("loud");
        let slow = slow_member(hall.json);
        speaker.await_event(|event| event["type"] == "joined" && event["nick"] == "slow" && event["room"] == "loud");
        let others = (0..OTHERS).map(|at| Member::enter(hall.json, &format!("m{at}"))).collect();
        Self { hall, speaker, others, slow, said: BTreeMap::from([("lobby", 0), ("loud", 0)]) }
    }

    /// Sends the next message in a room. Returns the events that the sender receives up to its own
    /// message.
    fn send(&mut self, room: &'static str, bytes: usize) -> Vec<Value> {
        let id = self.said.get_mut(room).unwrap();
        *id += 1;
        self.speaker.say_in(room, &format!("{id} {}", "x".repeat(bytes)));
        let mut heard = Vec::new();
        loop {
            let event = self.speaker.event();
            let is_own = event["type"] == "message" && event["id"] == *id && event["room"] == room;
            heard.push(event);
            if is_own {
                return heard;
            }
        }
    }

    /// Checks that the other members have received all messages.
    fn check_others(&mut self) {
        let said = self.said["lobby"];
        for other in &mut self.others {
            for id in 1..=said {
                assert_eq!(other.message().0, id);
            }
        }
    }
}

fn slow_member(at: SocketAddr) -> Member {
    let slow = Member::connect_narrow(at);
    slow.ask(&json!({"type": "hello", "nick": "slow"}));
    slow.ask(&json!({"type": "join", "room": "loud"}));
    slow
}

fn a_member_that_never_reads_is_disconnected<E: Engine>() {
    let mut crowd = Crowd::gather::<E>(SlowConsumer::Disconnect);
    let left = json!({"type": "left", "room": "loud", "nick": "slow"});
    let mut has_left = false;
    while !has_left {
        assert!(crowd.said["loud"] < 2_000, "it was never disconnected");
        // On `Threaded` the leave event may come at any time from now on.
        has_left |= crowd.send("lobby", 1).contains(&left);
        for _ in 0..5 {
            has_left |= crowd.send("loud", LOUD_BYTES).contains(&left);
        }
    }
    crowd.send("lobby", 1);
    crowd.check_others();
    let Crowd { hall, speaker, others, slow, .. } = crowd;
    drop((speaker, others, slow));
    hall.running.drain();
}

fn drop_newest_reports_the_missed_messages<E: Engine>() {
    slow_member_learns_what_it_missed::<E>(SlowConsumer::DropNewest);
}

fn drop_oldest_reports_the_missed_messages<E: Engine>() {
    slow_member_learns_what_it_missed::<E>(SlowConsumer::DropOldest);
}

fn slow_member_learns_what_it_missed<E: Engine>(policy: SlowConsumer) {
    let mut crowd = Crowd::gather::<E>(policy);
    while crowd.hall.running.counters()["frames_dropped"] < 30 {
        assert!(crowd.said["loud"] < 2_000, "nothing was dropped");
        crowd.send("lobby", 1);
        for _ in 0..5 {
            crowd.send("loud", LOUD_BYTES);
        }
    }
    crowd.check_others();
    let mut accounts = BTreeMap::from([("lobby", Account::default()), ("loud", Account::default())]);
    while accounts.iter().any(|(room, account)| account.heard + account.missed < crowd.said[room]) {
        let event = crowd.slow.event();
        let Some(account) = event["room"].as_str().and_then(|room| accounts.get_mut(room)) else { continue };
        account.note(&event);
    }
    for (room, account) in &accounts {
        assert_eq!(account.heard + account.missed, crowd.said[room], "{room}: no more is missed than is announced");
        assert_eq!(account.first_announced, account.first_missing, "{room}");
    }
    assert!(accounts["loud"].missed >= 20, "it did miss something");
    // The slow member is an ordinary member again.
    crowd.send("lobby", 1);
    assert_eq!(crowd.slow.message().0, crowd.said["lobby"]);
    let Crowd { hall, speaker, others, slow, .. } = crowd;
    drop((speaker, others, slow));
    hall.running.drain();
}

/// The slow member's account of a room.
#[derive(Default)]
struct Account {
    heard: u64,
    latest: u64,
    missed: u64,
    first_missing: Option<u64>,
    first_announced: Option<u64>,
}

impl Account {
    fn note(&mut self, event: &Value) {
        if let Some((id, _, _)) = message(event) {
            assert!(id > self.latest, "{id} comes after {}", self.latest);
            if id > self.latest + 1 {
                self.first_missing.get_or_insert(self.latest + 1);
            }
            (self.latest, self.heard) = (id, self.heard + 1);
        } else if event["code"] == "missed" {
            let first = event["first"].as_u64().unwrap();
            self.missed += event["count"].as_u64().unwrap();
            self.first_announced.get_or_insert(first);
            // A drop at the end may have no later message that reveals it.
            if first == self.latest + 1 {
                self.first_missing.get_or_insert(first);
            }
        }
    }
}
