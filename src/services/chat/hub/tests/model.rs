//! Any order of events, against a plain account of what each member is owed: every id of a room from its first on, once and in
//! order, or a notice of exactly those that it will not get.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use super::harness::{HERE, Table};
use super::*;

const PEOPLE: usize = 5;
const ROOMS: [&str; 2] = ["lobby", "news"];

/// Something that happens, and to whom; what cannot happen just then does not.
#[derive(Clone, Debug)]
enum Step {
    Connects(usize),
    Disconnects(usize),
    Joins(usize, usize, Option<Since>),
    Leaves(usize, usize),
    Says {
        who: usize,
        room: usize,
        times: usize,
        bytes: usize,
    },
    /// The turn ends.
    Flush,
    /// Whoever waits for room has some.
    Drain,
}

/// The id that a request names.
#[derive(Clone, Debug)]
enum Since {
    /// So many before the last that was said.
    Back(u64),
    /// Beyond it.
    Unknown,
}

fn any_step() -> impl Strategy<Value = Step> {
    let who = || 0..PEOPLE;
    let room = || 0..ROOMS.len();
    let since = prop_oneof![4 => (0..50u64).prop_map(Since::Back), 1 => Just(Since::Unknown)];
    let says = |times, bytes| {
        (who(), room(), times).prop_map(move |(who, room, times)| Step::Says { who, room, times, bytes })
    };
    prop_oneof![
        3 => who().prop_map(Step::Connects),
        1 => who().prop_map(Step::Disconnects),
        4 => (who(), room(), prop::option::weighted(0.8, since)).prop_map(|(who, room, since)| Step::Joins(who, room, since)),
        1 => (who(), room()).prop_map(|(who, room)| Step::Leaves(who, room)),
        6 => says(1..4usize, 1),
        // More than leaves in one batch, more than is replayed in one piece.
        1 => says(60..70usize, 1),
        1 => says(10..30usize, 4000),
        4 => Just(Step::Flush),
        4 => Just(Step::Drain),
    ]
}

/// What somebody is owed in a room that it sits in.
struct Sitting {
    /// The first ids of what it is owed: by being there, and by each replay that reached further back.
    parts: Vec<Part>,
    heard: BTreeSet<u64>,
    told: BTreeSet<u64>,
    dropped: BTreeSet<u64>,
    /// Of these, what the hub has been told of.
    reported: BTreeSet<u64>,
}

/// Ids that come in order: a replay's, or those from where somebody came in on.
struct Part {
    first: u64,
    end: u64,
    latest: u64,
}

impl Sitting {
    fn part(&mut self, id: u64) -> &mut Part {
        let part = self.parts.iter_mut().find(|part| (part.first..part.end).contains(&id));
        part.unwrap_or_else(|| panic!("nobody asked for {id}"))
    }

    fn first(&self) -> u64 {
        self.parts.last().expect("a sitting begins with a part").first
    }

    fn is_settled(&self, id: u64) -> bool {
        self.heard.contains(&id) || self.told.contains(&id) || self.dropped.contains(&id)
    }

    fn hear(&mut self, id: u64) {
        assert!(!self.is_settled(id), "{id} comes twice, or after it was given up");
        let part = self.part(id);
        assert!(id > part.latest, "{id} comes after {}", part.latest);
        part.latest = id;
        let first = part.first;
        // Nothing is passed over in silence.
        let owed = (first..id).find(|id| !self.is_settled(*id));
        assert_eq!(owed, None, "{id} comes before it");
        self.heard.insert(id);
    }

    fn be_told(&mut self, first: u64, count: u64, oldest: u64) {
        if self.reported.first() == Some(&first) && self.reported.len() as u64 == count {
            for id in std::mem::take(&mut self.reported) {
                self.dropped.remove(&id);
                self.told.insert(id);
            }
            return;
        }
        assert!(first + count <= oldest, "what is announced as missed, {first} and {count} in all, is still kept");
        for id in first..first + count {
            self.part(id);
            assert!(!self.is_settled(id), "{id} is announced as missed, and was not");
            self.told.insert(id);
        }
    }
}

struct Person {
    conn: ConnId,
    rooms: BTreeMap<usize, Sitting>,
}

/// The hub beside the account.
struct Model {
    table: Table,
    people: [Option<Person>; PEOPLE],
    said: [Vec<String>; 2],
    drops: Vec<bool>,
}

impl Model {
    fn new(rules: Rules, drops: Vec<bool>) -> Self {
        let mut table = Table::new(rules);
        table.out.held = Some(Vec::new());
        Self { table, people: Default::default(), said: Default::default(), drops }
    }

    fn last(&self, room: usize) -> u64 {
        self.said[room].len() as u64
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Connects(who) => {
                if self.people[who].is_none() {
                    let conn = self.table.connect(Dialect::Json, HERE);
                    self.people[who] = Some(Person { conn, rooms: BTreeMap::from([(0, self.sitting(0))]) });
                }
            }
            Step::Disconnects(who) => {
                if let Some(person) = self.people[who].take() {
                    self.table.close(person.conn, &CloseReason::PeerClosed);
                }
            }
            Step::Joins(who, room, ref since) => self.join(who, room, since.as_ref()),
            Step::Leaves(who, room) => {
                if let Some(Person { conn, .. }) = self.people[who] {
                    let request = format!(r#"{{"type":"leave","room":"{}"}}"#, ROOMS[room]);
                    self.table.say(conn, request.as_bytes());
                    self.listen();
                    self.people[who].as_mut().unwrap().rooms.remove(&room);
                }
            }
            Step::Says { who, room, times, bytes } => self.say(who, room, times, bytes),
            Step::Flush => self.table.flush(),
            Step::Drain => {
                self.table.drain();
            }
        }
        self.listen();
        self.table.hub.check();
    }

    fn sitting(&self, room: usize) -> Sitting {
        let first = self.last(room) + 1;
        let (heard, told, dropped, reported) = Default::default();
        Sitting { parts: vec![Part { first, end: u64::MAX, latest: 0 }], heard, told, dropped, reported }
    }

    fn join(&mut self, who: usize, room: usize, since: Option<&Since>) {
        let Some(Person { conn, .. }) = self.people[who] else { return };
        let last = self.last(room);
        let is_replaying = self.is_replaying(conn, room);
        let asked = since.map(|since| match since {
            Since::Back(back) => last.saturating_sub(*back),
            Since::Unknown => last + 1,
        });
        let since = asked.map_or_else(String::new, |since| format!(r#","since":{since}"#));
        let request = format!(r#"{{"type":"join","room":"{}"{since}}}"#, ROOMS[room]);
        self.table.say(conn, request.as_bytes());
        let fresh = self.sitting(room);
        let sitting = self.people[who].as_mut().unwrap().rooms.entry(room).or_insert(fresh);
        // A number that was never given out: everything, then.
        let asked = asked.map(|since| if since > last { 0 } else { since });
        // One replay at a time.
        if let Some(since) = asked.filter(|since| since + 1 < sitting.first() && !is_replaying) {
            let end = sitting.first();
            sitting.parts.push(Part { first: since + 1, end, latest: 0 });
        }
    }

    fn is_replaying(&self, conn: ConnId, room: usize) -> bool {
        let hub = &self.table.hub;
        let member = hub.members.by_conn(conn).and_then(|id| hub.members.get(id)).expect("it is there");
        let room = hub.rooms.find(ROOMS[room]);
        room.and_then(|room| member.seat(room)).is_some_and(|seat| seat.catching_up)
    }

    fn say(&mut self, who: usize, room: usize, times: usize, bytes: usize) {
        let Some(Person { conn, rooms }) = &self.people[who] else { return };
        let (conn, is_there) = (*conn, rooms.contains_key(&room));
        for _ in 0..times {
            let text = format!("{who} {} {}", self.last(room) + 1, "x".repeat(bytes));
            let request = format!(r#"{{"type":"say","room":"{}","text":"{text}"}}"#, ROOMS[room]);
            self.table.say(conn, request.as_bytes());
            if is_there {
                self.said[room].push(text);
            }
        }
    }

    /// Gives everybody what it was sent, but for what is lost; the hub is told of that.
    fn listen(&mut self) {
        let mut lost = Vec::new();
        for batch in std::mem::take(self.table.out.held.as_mut().unwrap()) {
            for conn in &batch.to {
                let person = self.people.iter_mut().flatten().find(|person| person.conn == *conn);
                if let Some(person) = person.filter(|_| self.drops.pop() == Some(true)) {
                    for payload in &batch.payloads {
                        let (room, id, _) = message(&serde_json::from_slice(payload).unwrap());
                        person.rooms.get_mut(&room).unwrap().dropped.insert(id);
                    }
                    lost.push((*conn, batch.ticket, batch.payloads.len() as u32));
                } else {
                    self.table.out.deliver(&batch, |to| to == *conn);
                }
            }
        }
        for who in 0..PEOPLE {
            self.hear(who);
        }
        for (conn, ticket, frames) in lost {
            let person = self.people.iter_mut().flatten().find(|person| person.conn == conn).unwrap();
            for sitting in person.rooms.values_mut() {
                sitting.reported.extend(&sitting.dropped);
            }
            self.table.tell_dropped(conn, ticket, frames);
        }
    }

    fn hear(&mut self, who: usize) {
        let Some(person) = &mut self.people[who] else { return };
        for payload in self.table.heard(person.conn) {
            let event: Value = serde_json::from_slice(&payload).unwrap();
            if event["type"] == "message" {
                let (room, id, text) = message(&event);
                assert_eq!(text, self.said[room][id as usize - 1], "{id} is what everybody hears");
                person.rooms.get_mut(&room).expect("it sits there").hear(id);
            } else if event["code"] == "missed" {
                let room = room(&event);
                let there = self.table.hub.rooms.find(ROOMS[room]).and_then(|room| self.table.hub.rooms.get(room));
                let oldest = there.unwrap().history.oldest_id();
                let number = |name: &str| event[name].as_u64().unwrap();
                let sitting = person.rooms.get_mut(&room).expect("it sits there");
                sitting.be_told(number("first"), number("count"), oldest);
            }
        }
    }

    /// Everybody gets what is left.
    fn end(mut self) {
        self.drops.clear();
        while self.table.out.held.as_ref().is_some_and(|held| !held.is_empty()) || self.table.is_busy() {
            self.step(&Step::Flush);
            self.step(&Step::Drain);
        }
        for person in self.people.iter().flatten() {
            for (room, sitting) in &person.rooms {
                assert!(sitting.dropped.is_empty(), "it was not told of {:?}", sitting.dropped);
                let owed = (sitting.first()..=self.last(*room)).find(|id| !sitting.is_settled(*id));
                assert_eq!(owed, None, "it never came");
            }
        }
    }
}

fn room(event: &Value) -> usize {
    ROOMS.iter().position(|room| event["room"] == *room).unwrap()
}

fn message(event: &Value) -> (usize, u64, String) {
    (room(event), event["id"].as_u64().unwrap(), event["text"].as_str().unwrap().to_owned())
}

proptest! {
    #[test]
    fn nobody_misses_anything_in_silence(
        steps in prop::collection::vec(any_step(), 1..60),
        drops in prop::collection::vec(prop::bool::weighted(0.15), 0..200),
        max_kept_messages in prop_oneof![Just(0), 1..5usize, Just(100)],
        max_kept_bytes in prop_oneof![Just(0), Just(1500), Just(200_000usize)],
    ) {
        let rules = Rules { messages_per_second: 0, max_kept_messages, max_kept_bytes, max_rooms: 2, ..Rules::default() };
        let mut model = Model::new(rules, drops);
        for step in &steps {
            model.step(step);
        }
        model.end();
    }
}
