//! Property test: any sequence of inputs, against a simple model of delivery. Each member receives
//! every id of its rooms once and in order, or a `missed` notice of exactly the ids that it lacks.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use super::harness::{HubHarness, LOCALHOST};
use super::*;

const MEMBERS: usize = 5;
const ROOMS: [&str; 2] = ["lobby", "news"];

/// An input to the hub. The model skips an input that is impossible in the current state.
#[derive(Clone, Debug)]
enum HubInput {
    Connect(usize),
    Disconnect(usize),
    Join(usize, usize, Option<SinceId>),
    Leave(usize, usize),
    Say {
        member: usize,
        room: usize,
        times: usize,
        bytes: usize,
    },
    TurnEnd,
    /// The connections that wait for it become writable.
    Writable,
}

/// The `since` of a join.
#[derive(Clone, Debug)]
enum SinceId {
    /// This number of messages before the last one.
    Back(u64),
    /// An id after the last one.
    Unknown,
}

fn any_input() -> impl Strategy<Value = HubInput> {
    let member = || 0..MEMBERS;
    let room = || 0..ROOMS.len();
    let since = prop_oneof![4 => (0..50u64).prop_map(SinceId::Back), 1 => Just(SinceId::Unknown)];
    let say = |times, bytes| {
        (member(), room(), times).prop_map(move |(member, room, times)| HubInput::Say { member, room, times, bytes })
    };
    prop_oneof![
        3 => member().prop_map(HubInput::Connect),
        1 => member().prop_map(HubInput::Disconnect),
        4 => (member(), room(), prop::option::weighted(0.8, since)).prop_map(|(member, room, since)| HubInput::Join(member, room, since)),
        1 => (member(), room()).prop_map(|(member, room)| HubInput::Leave(member, room)),
        6 => say(1..4usize, 1),
        // More than one batch holds, and more than one piece of a replay holds.
        1 => say(60..70usize, 1),
        1 => say(10..30usize, 4000),
        4 => Just(HubInput::TurnEnd),
        4 => Just(HubInput::Writable),
    ]
}

/// The messages that one member must receive in one of its rooms.
struct ExpectedDelivery {
    /// The ranges to receive: from the join on, and one for each replay that reaches further back.
    ranges: Vec<IdRange>,
    received: BTreeSet<u64>,
    /// Ids that a `missed` notice has named.
    missed: BTreeSet<u64>,
    /// Ids that the test has dropped, until a notice names them.
    dropped: BTreeSet<u64>,
    /// Those of `dropped` that were reported to the hub.
    reported: BTreeSet<u64>,
}

/// Ids that arrive in order: those of one replay, or those since the join.
struct IdRange {
    first: u64,
    end: u64,
    latest: u64,
}

impl ExpectedDelivery {
    fn range(&mut self, id: u64) -> &mut IdRange {
        let range = self.ranges.iter_mut().find(|range| (range.first..range.end).contains(&id));
        range.unwrap_or_else(|| panic!("{id} was not requested"))
    }

    fn first(&self) -> u64 {
        self.ranges.last().expect("a membership begins with a range").first
    }

    fn is_accounted_for(&self, id: u64) -> bool {
        self.received.contains(&id) || self.missed.contains(&id) || self.dropped.contains(&id)
    }

    fn receive(&mut self, id: u64) {
        assert!(!self.is_accounted_for(id), "{id} arrives twice, or after it was reported missed");
        let range = self.range(id);
        assert!(id > range.latest, "{id} arrives after {}", range.latest);
        range.latest = id;
        let first = range.first;
        let skipped = (first..id).find(|id| !self.is_accounted_for(*id));
        assert_eq!(skipped, None, "{id} arrives before it");
        self.received.insert(id);
    }

    fn receive_notice(&mut self, first: u64, count: u64, oldest: u64) {
        if self.reported.contains(&first) {
            for id in first..first + count {
                assert!(self.reported.remove(&id) && self.dropped.remove(&id), "{id} is reported, and was not dropped");
                self.missed.insert(id);
            }
            assert!(!self.reported.contains(&(first + count)), "the range ends too early");
            return;
        }
        assert!(first + count <= oldest, "{count} ids from {first} are reported missed, and some are still kept");
        for id in first..first + count {
            self.range(id);
            assert!(!self.is_accounted_for(id), "{id} is reported missed, and was accounted for");
            self.missed.insert(id);
        }
    }
}

/// A member of the model.
struct ModelMember {
    conn: ConnId,
    rooms: BTreeMap<usize, ExpectedDelivery>,
}

/// The hub and the model of what it must deliver.
struct DeliveryModel {
    chat: HubHarness,
    members: [Option<ModelMember>; MEMBERS],
    /// The texts published in each room.
    published: [Vec<String>; 2],
    /// For each receiver of a batch, from the end: true if the batch is dropped.
    drops: Vec<bool>,
}

impl DeliveryModel {
    fn new(config: ChatConfig, drops: Vec<bool>) -> Self {
        let mut chat = HubHarness::new(config);
        chat.out.held = Some(Vec::new());
        Self { chat, members: Default::default(), published: Default::default(), drops }
    }

    fn last(&self, room: usize) -> u64 {
        self.published[room].len() as u64
    }

    fn apply(&mut self, input: &HubInput) {
        match *input {
            HubInput::Connect(member) => {
                if self.members[member].is_none() {
                    let conn = self.chat.connect(ChatDialect::Json, LOCALHOST);
                    self.members[member] =
                        Some(ModelMember { conn, rooms: BTreeMap::from([(0, self.new_delivery(0))]) });
                }
            }
            HubInput::Disconnect(member) => {
                if let Some(member_state) = self.members[member].take() {
                    self.chat.close(member_state.conn, &CloseReason::PeerClosed);
                }
            }
            HubInput::Join(member, room, ref since) => self.join(member, room, since.as_ref()),
            HubInput::Leave(member, room) => {
                if let Some(ModelMember { conn, .. }) = self.members[member] {
                    let request = format!(r#"{{"type":"leave","room":"{}"}}"#, ROOMS[room]);
                    self.chat.receive(conn, request.as_bytes());
                    self.deliver();
                    self.members[member].as_mut().unwrap().rooms.remove(&room);
                }
            }
            HubInput::Say { member, room, times, bytes } => self.say(member, room, times, bytes),
            HubInput::TurnEnd => self.chat.end_turn(),
            HubInput::Writable => {
                self.chat.report_writable();
            }
        }
        self.deliver();
        self.chat.hub.check();
    }

    fn new_delivery(&self, room: usize) -> ExpectedDelivery {
        let first = self.last(room) + 1;
        let (received, missed, dropped, reported) = Default::default();
        let ranges = vec![IdRange { first, end: u64::MAX, latest: 0 }];
        ExpectedDelivery { ranges, received, missed, dropped, reported }
    }

    fn join(&mut self, member: usize, room: usize, since: Option<&SinceId>) {
        let Some(ModelMember { conn, .. }) = self.members[member] else { return };
        let last = self.last(room);
        let is_replaying = self.is_replaying(conn, room);
        let since_id = since.map(|since| match since {
            SinceId::Back(back) => last.saturating_sub(*back),
            SinceId::Unknown => last + 1,
        });
        let since = since_id.map_or_else(String::new, |since| format!(r#","since":{since}"#));
        let request = format!(r#"{{"type":"join","room":"{}"{since}}}"#, ROOMS[room]);
        self.chat.receive(conn, request.as_bytes());
        let fresh = self.new_delivery(room);
        let delivery = self.members[member].as_mut().unwrap().rooms.entry(room).or_insert(fresh);
        // An unknown id requests all messages.
        let since_id = since_id.map(|since| if since > last { 0 } else { since });
        // The hub rejects a second replay of the same room.
        if let Some(since) = since_id.filter(|since| since + 1 < delivery.first() && !is_replaying) {
            let end = delivery.first();
            delivery.ranges.push(IdRange { first: since + 1, end, latest: 0 });
        }
    }

    fn is_replaying(&self, conn: ConnId, room: usize) -> bool {
        let hub = &self.chat.hub;
        let member = hub.members.by_conn(conn).and_then(|id| hub.members.get(id)).expect("the member exists");
        let room = hub.rooms.find(ROOMS[room]);
        room.and_then(|room| member.membership(room)).is_some_and(|membership| membership.is_replaying)
    }

    fn say(&mut self, member: usize, room: usize, times: usize, bytes: usize) {
        let Some(ModelMember { conn, rooms }) = &self.members[member] else { return };
        let (conn, is_joined) = (*conn, rooms.contains_key(&room));
        for _ in 0..times {
            let text = format!("{member} {} {}", self.last(room) + 1, "x".repeat(bytes));
            let request = format!(r#"{{"type":"say","room":"{}","text":"{text}"}}"#, ROOMS[room]);
            self.chat.receive(conn, request.as_bytes());
            if is_joined {
                self.published[room].push(text);
            }
        }
    }

    /// Delivers the sent batches to the members, except the dropped ones, and reports those to the
    /// hub.
    fn deliver(&mut self) {
        let mut dropped = Vec::new();
        for sent in std::mem::take(self.chat.out.held.as_mut().unwrap()) {
            for conn in &sent.to {
                let member_state = self.members.iter_mut().flatten().find(|member_state| member_state.conn == *conn);
                if let Some(member_state) = member_state.filter(|_| self.drops.pop() == Some(true)) {
                    for payload in &sent.payloads {
                        let (room, id, _) = message(&serde_json::from_slice(payload).unwrap());
                        member_state.rooms.get_mut(&room).unwrap().dropped.insert(id);
                    }
                    dropped.push((*conn, sent.batch, sent.payloads.len() as u32));
                } else {
                    self.chat.out.deliver(&sent, |to| to == *conn);
                }
            }
        }
        for member in 0..MEMBERS {
            self.receive(member);
        }
        for (conn, batch, frames) in dropped {
            let member_state =
                self.members.iter_mut().flatten().find(|member_state| member_state.conn == conn).unwrap();
            for delivery in member_state.rooms.values_mut() {
                delivery.reported.extend(&delivery.dropped);
            }
            self.chat.report_dropped(conn, batch, frames);
        }
    }

    fn receive(&mut self, member: usize) {
        let Some(member_state) = &mut self.members[member] else { return };
        for payload in self.chat.take_delivered(member_state.conn) {
            let event: Value = serde_json::from_slice(&payload).unwrap();
            if event["type"] == "message" {
                let (room, id, text) = message(&event);
                assert_eq!(text, self.published[room][id as usize - 1], "{id} differs from the published text");
                member_state.rooms.get_mut(&room).expect("the member is in the room").receive(id);
            } else if event["code"] == "missed" {
                let room = room(&event);
                let hub_room = self.chat.hub.rooms.find(ROOMS[room]).and_then(|room| self.chat.hub.rooms.get(room));
                let oldest = hub_room.unwrap().history.oldest_id();
                let number = |name: &str| event[name].as_u64().unwrap();
                assert_eq!(number("last") + 1, number("first") + number("count"));
                let delivery = member_state.rooms.get_mut(&room).expect("the member is in the room");
                delivery.receive_notice(number("first"), number("count"), oldest);
            }
        }
    }

    /// Delivers all outstanding output, and checks that no id is left.
    fn finish(mut self) {
        self.drops.clear();
        while self.chat.out.held.as_ref().is_some_and(|held| !held.is_empty()) || self.chat.is_busy() {
            self.apply(&HubInput::TurnEnd);
            self.apply(&HubInput::Writable);
        }
        for member_state in self.members.iter().flatten() {
            for (room, delivery) in &member_state.rooms {
                assert!(delivery.dropped.is_empty(), "no notice of the dropped ids {:?}", delivery.dropped);
                let undelivered = (delivery.first()..=self.last(*room)).find(|id| !delivery.is_accounted_for(*id));
                assert_eq!(undelivered, None, "the id was never delivered");
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
    fn every_message_is_delivered_or_reported_missed(
        inputs in prop::collection::vec(any_input(), 1..60),
        drops in prop::collection::vec(prop::bool::weighted(0.15), 0..200),
        max_kept_messages in prop_oneof![Just(0), 1..5usize, Just(100)],
        max_kept_bytes in prop_oneof![Just(0), Just(1500), Just(200_000usize)],
    ) {
        let config = ChatConfig { max_requests_per_second: 0, max_kept_messages, max_kept_bytes, max_rooms: 2, ..ChatConfig::default() };
        let mut model = DeliveryModel::new(config, drops);
        for input in &inputs {
            model.apply(input);
        }
        model.finish();
    }
}
