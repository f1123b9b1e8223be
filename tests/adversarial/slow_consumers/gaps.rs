//! Gaps: readers of random speed in several rooms, under both drop policies, with write buffers
//! down to a few bytes. Each id of each room arrives once and in order, or lies in exactly one
//! announced range, and every request has its answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use switchboard::{Limits, SlowConsumer};

use super::hall::Hall;
use super::member::Member;
use super::{config, readers_cut};
use crate::support::{Engine, conformance, guard};

conformance! {
    every_gap_is_told_under_drop_newest,
    every_gap_is_told_under_drop_oldest,
}

const ROOMS: [&str; 3] = ["lobby", "one", "two"];
const READERS: u64 = 3;
/// Much smaller, and the kernel would let through a few KiB in 200 ms only.
const RECEIVE_BUFFER_BYTES: usize = 128 * 1024;
const MIN_BURSTS: u64 = 20;
const MAX_BURSTS: u64 = 20_000;
/// Ranges that the readers receive before the attack ends.
const MIN_RANGES: usize = 4;
/// Bursts for which a reader may pause: more than its socket takes.
const MAX_PAUSE: u64 = 60;

fn every_gap_is_told_under_drop_newest<E: Engine>() {
    for (seed, max_write_buffer_bytes) in (1..).zip([4, 3_000, 64 * 1024]) {
        attack::<E>(SlowConsumer::DropNewest, max_write_buffer_bytes, seed);
    }
}

fn every_gap_is_told_under_drop_oldest<E: Engine>() {
    for (seed, max_write_buffer_bytes) in (10..).zip([4, 3_000, 64 * 1024]) {
        attack::<E>(SlowConsumer::DropOldest, max_write_buffer_bytes, seed);
    }
}

/// The last id of each room.
type LastIds = BTreeMap<String, u64>;

fn attack<E: Engine>(slow_consumer: SlowConsumer, max_write_buffer_bytes: usize, seed: u64) {
    let limits = Limits { slow_consumer, max_write_buffer_bytes, write_timeout: Duration::ZERO, ..Limits::default() };
    let hall = Hall::open::<E>(limits, config(), 0);
    let progress = Arc::new(Progress::default());
    // All are members before the first message, so each id concerns each reader.
    let accounts: Vec<_> = (0..READERS).map(|number| Account::open(&hall, &format!("r{number}"))).collect();
    let seeds = seed * 100..;
    let readers: Vec<_> =
        accounts.into_iter().zip(seeds).map(|(account, seed)| SlowReader::start(account, seed, &progress)).collect();
    speak(&hall, seed, &progress);
    for reader in &readers {
        reader.is_quiet.recv().expect("a reader has failed");
    }
    let last_ids = last_ids(&hall);
    for reader in readers {
        reader.last_ids.send(last_ids.clone()).unwrap();
        reader.thread.join().expect("a reader has failed");
    }
    assert_eq!(readers_cut(&hall.running.drain()), 0, "no reader is cut");
}

/// The progress of one attack.
#[derive(Default)]
struct Progress {
    /// Bursts sent; `u64::MAX` when the attack is over.
    bursts: Mutex<u64>,
    burst_sent: Condvar,
    /// Ranges that the readers have received.
    ranges: AtomicUsize,
}

impl Progress {
    fn set_bursts(&self, bursts: u64) {
        *self.bursts.lock().unwrap() = bursts;
        self.burst_sent.notify_all();
    }

    fn is_over(&self) -> bool {
        *self.bursts.lock().unwrap() == u64::MAX
    }

    /// Waits until `more` bursts are sent, or the attack is over.
    fn wait_for_bursts(&self, more: u64) {
        let bursts = self.bursts.lock().unwrap();
        let end = bursts.saturating_add(more);
        let waited = self.burst_sent.wait_timeout_while(bursts, guard(), |bursts| *bursts < end);
        assert!(!waited.unwrap().1.timed_out(), "the speaker stands still");
    }
}

/// Sends bursts of messages of random sizes to all rooms.
fn speak(hall: &Hall, seed: u64, progress: &Progress) {
    let mut random = Rng::with_seed(seed);
    let mut speaker = Member::connect(hall.json);
    for room in ROOMS {
        speaker.ask(&json!({"type": "join", "room": room}));
    }
    let mut bursts = 0;
    while bursts < MIN_BURSTS || progress.ranges.load(Ordering::Relaxed) < MIN_RANGES {
        bursts += 1;
        for _ in 0..random.usize(1..12) {
            let bytes = if random.bool() { random.usize(1..100) } else { random.usize(10_000..30_000) };
            speaker.say_in(ROOMS[random.usize(..ROOMS.len())], &"x".repeat(bytes));
        }
        speaker.ask(&json!({"type": "ping"}));
        speaker.await_event(|event| event["type"] == "pong");
        progress.set_bursts(bursts);
        assert!(bursts < MAX_BURSTS, "no reader was slow");
    }
    progress.set_bursts(u64::MAX);
}

/// Returns the last id of each room, from the `ack` of one more message.
fn last_ids(hall: &Hall) -> LastIds {
    let mut last = Member::connect(hall.json);
    let id_in = |room: &&str| {
        last.ask(&json!({"type": "join", "room": room}));
        last.ask(&json!({"type": "say", "room": room, "text": "the end", "ref": "last"}));
        ((*room).to_owned(), last.await_event(|event| event["type"] == "ack")["id"].as_u64().unwrap())
    };
    ROOMS.iter().map(id_in).collect()
}

/// A reader on its own thread.
struct SlowReader {
    thread: JoinHandle<()>,
    /// Comes when the reader has all answers and sends no more messages.
    is_quiet: Receiver<()>,
    last_ids: Sender<LastIds>,
}

impl SlowReader {
    fn start(mut account: Account, seed: u64, progress: &Arc<Progress>) -> Self {
        let (quiet, is_quiet) = channel();
        let (last_ids, end) = channel();
        let progress = Arc::clone(progress);
        let thread = thread::spawn(move || {
            let mut random = Rng::with_seed(seed);
            while !progress.is_over() {
                account.ask_and_read(&mut random, &progress);
            }
            quiet.send(()).unwrap();
            let last_ids = end.recv().unwrap();
            account.finish(&last_ids);
        });
        Self { thread, is_quiet, last_ids }
    }
}

/// The events of one reader.
struct Account {
    nick: String,
    member: Member,
    rooms: BTreeMap<String, RoomAccount>,
    /// Answers received: pongs and acks.
    answers: usize,
    /// Ranges received.
    ranges: usize,
}

#[derive(Default)]
struct RoomAccount {
    received: Vec<u64>,
    ranges: Vec<(u64, u64)>,
}

impl Account {
    fn open(hall: &Hall, nick: &str) -> Self {
        let mut member = Member::connect_receiving(hall.json, RECEIVE_BUFFER_BYTES);
        member.ask(&json!({"type": "hello", "nick": nick}));
        for room in &ROOMS[1..] {
            member.join(room);
        }
        Self { nick: nick.to_owned(), member, rooms: BTreeMap::new(), answers: 0, ranges: 0 }
    }

    /// Sends some requests, and reads until each has its answer. Before a random event it pauses.
    fn ask_and_read(&mut self, random: &mut Rng, progress: &Progress) {
        let requests = random.usize(1..4);
        for _ in 0..requests {
            if random.bool() {
                self.member.ask(&json!({"type": "ping"}));
            } else {
                let room = ROOMS[random.usize(..ROOMS.len())];
                let text = "y".repeat(random.usize(1..300));
                self.member.ask(&json!({"type": "say", "room": room, "text": text, "ref": 1}));
            }
        }
        let expected = self.answers + requests;
        while self.answers < expected {
            if random.u8(..4) == 0 {
                progress.wait_for_bursts(random.u64(1..MAX_PAUSE));
            }
            let ranges = self.ranges;
            self.read();
            progress.ranges.fetch_add(self.ranges - ranges, Ordering::Relaxed);
        }
    }

    fn read(&mut self) {
        let event = self.member.event();
        match (event["type"].as_str(), event["room"].as_str()) {
            (Some("message"), Some(room)) => self.rooms.entry(room.to_owned()).or_default().receive(&event),
            (Some("error"), Some(room)) if event["code"] == "missed" => {
                self.ranges += 1;
                self.rooms.entry(room.to_owned()).or_default().miss(&event);
            }
            (Some("pong" | "ack"), _) => self.answers += 1,
            (Some("joined" | "left" | "welcome"), _) => {}
            _ => panic!("{} received {event}", self.nick),
        }
    }

    /// Reads on until every id is accounted for.
    fn finish(mut self, last_ids: &LastIds) {
        let is_complete = |rooms: &BTreeMap<String, RoomAccount>| {
            let count = |room: &str| rooms.get(room).map_or(0, RoomAccount::count);
            last_ids.iter().all(|(room, last)| count(room) >= *last)
        };
        for _ in 0..20 {
            self.member.ask(&json!({"type": "ping"}));
            let expected = self.answers + 1;
            while self.answers < expected {
                self.read();
            }
            if is_complete(&self.rooms) {
                break;
            }
        }
        for (room, last) in last_ids {
            let account = self.rooms.remove(room).unwrap_or_default();
            let mut ids = account.received;
            ids.extend(account.ranges.iter().flat_map(|(first, last)| *first..=*last));
            ids.sort_unstable();
            let name = &self.nick;
            let missing: Vec<_> = (1..=*last).filter(|id| ids.binary_search(id).is_err()).collect();
            assert!(missing.is_empty(), "{name} was never told about {missing:?} of {room}: {:?}", account.ranges);
            assert_eq!(ids.len() as u64, *last, "{name}: some id of {room} came twice: {:?}", account.ranges);
        }
    }
}

impl RoomAccount {
    fn receive(&mut self, event: &Value) {
        let id = event["id"].as_u64().unwrap();
        assert!(self.received.last().is_none_or(|last| id > *last), "{id} comes late");
        self.received.push(id);
    }

    fn miss(&mut self, event: &Value) {
        let number = |field: &str| event[field].as_u64();
        let (first, count) = (number("first").unwrap(), number("count").unwrap());
        assert_eq!(number("last"), Some(first + count - 1), "{event} names one range");
        self.ranges.push((first, first + count - 1));
    }

    fn count(&self) -> u64 {
        self.received.len() as u64 + self.ranges.iter().map(|(first, last)| last + 1 - first).sum::<u64>()
    }
}
