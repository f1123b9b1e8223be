//! Whatever peers, sockets and the clock do, in whatever order: nothing panics, nothing spins, and what was promised holds.

use std::io;
use std::time::Duration;

use proptest::prelude::*;

use super::{Rig, frames, wire};
use crate::connection::scripted_stream::{ScriptedCall, ScriptedSocket};
use crate::engine::limits::{Limits, SlowConsumer};

/// One thing that happens. Clients and connections are chosen by number, modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    Connect,
    Ask(usize, Request),
    /// The client sends so many bytes of an echo request, and the rest before whatever it sends next.
    Half(usize, usize),
    Finish(usize),
    Reset(usize),
    Room(usize, usize),
    Reads(usize, ScriptedCall),
    Writes(usize, ScriptedCall),
    Elapse(u64),
    Event(usize, bool, bool, bool),
    AcceptFails(bool),
    PollFails,
    Turn,
}

#[derive(Clone, Debug)]
enum Request {
    Echo,
    Act,
    Big(usize),
    Stream(usize),
    Tell(usize),
    All,
    Kick(usize),
    Word(&'static str),
}

fn call() -> impl Strategy<Value = ScriptedCall> {
    prop_oneof![
        Just(ScriptedCall::WouldBlock),
        Just(ScriptedCall::Interrupted),
        (1usize..20).prop_map(ScriptedCall::AtMost),
        (1usize..5000).prop_map(ScriptedCall::AtMost),
        Just(ScriptedCall::Fails(io::ErrorKind::ConnectionReset)),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        4 => Just(Request::Echo),
        1 => Just(Request::Act),
        2 => (0usize..6000).prop_map(Request::Big),
        1 => (0usize..3000).prop_map(Request::Stream),
        2 => (0usize..8).prop_map(Request::Tell),
        3 => Just(Request::All),
        1 => (0usize..8).prop_map(Request::Kick),
        2 => prop::sample::select(vec!["close", "timer 10", "timer 0", "cancel", "job x", "panic", "quiet"])
            .prop_map(Request::Word),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let who = 0usize..8;
    prop_oneof![
        3 => Just(Op::Connect),
        12 => (who.clone(), request()).prop_map(|(who, request)| Op::Ask(who, request)),
        2 => (who.clone(), 1usize..7).prop_map(|(who, cut)| Op::Half(who, cut)),
        1 => who.clone().prop_map(Op::Finish),
        1 => who.clone().prop_map(Op::Reset),
        3 => (who.clone(), prop_oneof![Just(0), 1usize..3000, Just(usize::MAX)]).prop_map(|(who, room)| Op::Room(who, room)),
        2 => (who.clone(), call()).prop_map(|(who, call)| Op::Reads(who, call)),
        2 => (who.clone(), call()).prop_map(|(who, call)| Op::Writes(who, call)),
        2 => prop_oneof![0u64..200, 500u64..12_000].prop_map(Op::Elapse),
        1 => (who, any::<[bool; 3]>()).prop_map(|(who, [r, w, e])| Op::Event(who, r, w, e)),
        1 => any::<bool>().prop_map(Op::AcceptFails),
        1 => Just(Op::PollFails),
        6 => Just(Op::Turn),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let policy = prop::sample::select(SlowConsumer::NAMES.map(|(_, policy)| policy).to_vec());
    (policy, 1usize..300_000, 1usize..6).prop_map(|(slow_consumer, read_budget_bytes, max_connections)| Limits {
        slow_consumer,
        read_budget_bytes,
        max_connections,
        max_write_buffer_bytes: 4000,
        max_frame_bytes: 10_000,
        max_buffered_bytes: 12_000,
        accept_budget: 2,
        idle_timeout: Duration::from_secs(25),
        frame_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(15),
        ..Limits::default()
    })
}

struct Client {
    socket: ScriptedSocket,
    number: usize,
    asked: usize,
    /// The rest of a request of which half was sent.
    rest: Vec<u8>,
    finished: bool,
    /// It read slowly or broke something, so that it may be left in the middle of a frame.
    unreliable: bool,
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        if !self.finished {
            let mut all = std::mem::take(&mut self.rest);
            all.extend_from_slice(bytes);
            self.socket.send(&all);
        }
    }

    fn ask(&mut self, request: &Request) {
        let (me, count) = (self.number, self.asked);
        self.asked += 1;
        let words = match request {
            Request::Echo => format!("e{count}"),
            Request::Act => format!("act e{count}"),
            Request::Big(bytes) => format!("big {bytes}"),
            Request::Stream(bytes) => format!("stream {bytes}"),
            Request::Tell(whom) => format!("tell {whom} from {me} {count}"),
            Request::All => format!("all from {me} {count}"),
            Request::Kick(whom) => format!("kick {whom}"),
            Request::Word(word) => (*word).to_owned(),
        };
        self.send(&wire([words]));
    }

    fn half(&mut self, cut: usize) {
        if self.finished {
            return;
        }
        let frame = wire([format!("e{}", self.asked + 1000)]);
        self.asked += 1001;
        let cut = cut.min(frame.len());
        self.send(&frame[..cut]);
        self.rest = frame[cut..].to_vec();
    }

    /// Whole frames, each sender's in the order in which it sent them.
    fn check(&self) {
        let (payloads, rest) = frames(&self.socket.written());
        let may_be_cut = self.unreliable && !self.socket.is_shut_down();
        assert!(rest == 0 || may_be_cut || !self.socket.is_closed(), "half a frame before an orderly end");
        let mut last = std::collections::HashMap::new();
        for payload in payloads {
            let said = payload.strip_prefix("act ").unwrap_or(&payload);
            let (sender, count) = match (said.strip_prefix('e'), said.strip_prefix("from ")) {
                (Some(count), _) => ("itself", count),
                (_, Some(rest)) => rest.split_once(' ').unwrap(),
                _ => continue,
            };
            let count: i64 = count.parse().unwrap();
            let before = last.insert(sender.to_owned(), count).unwrap_or(-1);
            assert!(before < count, "{sender} said {count} after {before}");
        }
    }
}

fn apply(rig: &mut Rig, clients: &mut Vec<Client>, op: &Op) {
    let count = clients.len().max(1);
    let mut with = |who: usize, act: &mut dyn FnMut(&mut Client)| {
        if let Some(client) = clients.get_mut(who % count) {
            act(client);
        }
    };
    match op {
        Op::Connect => {
            let socket = rig.world.connect(0);
            let number = clients.len();
            clients.push(Client { socket, number, asked: 0, rest: Vec::new(), finished: false, unreliable: false });
        }
        Op::Ask(who, request) => with(*who, &mut |client| client.ask(request)),
        Op::Half(who, cut) => with(*who, &mut |client| client.half(*cut)),
        Op::Finish(who) => with(*who, &mut |client| {
            client.finished = true;
            client.socket.finish();
        }),
        Op::Reset(who) => with(*who, &mut |client| {
            (client.finished, client.unreliable) = (true, true);
            client.socket.reset();
        }),
        Op::Room(who, room) => with(*who, &mut |client| {
            client.unreliable = true;
            client.socket.set_room(*room);
        }),
        Op::Reads(who, call) => with(*who, &mut |client| {
            client.unreliable |= matches!(call, ScriptedCall::Fails(_));
            client.socket.script_reads([*call]);
        }),
        Op::Writes(who, call) => with(*who, &mut |client| {
            client.unreliable = true;
            client.socket.script_writes([*call]);
        }),
        Op::Elapse(millis) => rig.elapse(Duration::from_millis(*millis)),
        Op::Event(who, readable, writable, end) => {
            let key = rig.puppet.strings().members.get(*who).map(|id| id.0);
            if let Some(key) = key {
                rig.world.report(key, *readable, *writable, *end);
            }
        }
        Op::AcceptFails(out_of_descriptors) => {
            let error = io::Error::from(io::ErrorKind::ConnectionAborted);
            let out = || io::Error::from_raw_os_error(if cfg!(unix) { 24 } else { 10_024 });
            rig.world.fail_accepts(0, [if *out_of_descriptors { out() } else { error }]);
        }
        Op::PollFails => rig.world.fail_poll(io::ErrorKind::Interrupted),
        Op::Turn => _ = rig.turn(),
    }
}

/// Drains the loop while every peer reads, waiting for workers as need be.
fn advance_close(rig: &mut Rig, clients: &[Client]) {
    for client in clients {
        client.socket.set_room(usize::MAX);
    }
    rig.settle();
    rig.handle.drain();
    rig.settle();
    for client in clients {
        client.socket.finish();
    }
    for _ in 0..2000 {
        rig.settle();
        if !rig.turn.goes_on() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    rig.elapse(Limits::default().linger_timeout);
    assert!(!rig.turn.goes_on(), "somebody is left: {:?}", rig.turn.desk.stats);
}

/// Every connection that opened has closed, once.
fn check_pairs(log: &[String]) {
    let count = |what: &str, who: usize| {
        log.iter().filter(|line| line.split(' ').take(2).eq([what, who.to_string().as_str()])).count()
    };
    for who in 0..log.iter().filter(|line| line.starts_with("open")).count() {
        assert_eq!((count("open", who), count("close", who)), (1, 1), "connection {who}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_a_promise(
        limits in limits(),
        farewell in prop::option::of(Just("goodbye".to_owned())),
        announces in any::<bool>(),
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut rig = Rig::new(limits);
        rig.puppet.strings().farewell = farewell;
        rig.puppet.strings().announces = announces;
        let mut clients = Vec::new();
        for op in &ops {
            apply(&mut rig, &mut clients, op);
        }
        rig.settle();
        advance_close(&mut rig, &clients);
        check_pairs(&rig.log());
        clients.iter().for_each(Client::check);
        prop_assert_eq!(rig.turn.desk.stats.open, 0);
        prop_assert_eq!(rig.turn.desk.stats.buffered_bytes, 0);
        prop_assert!(rig.turn.timers_by_conn.is_empty());
        let stats = &rig.turn.desk.stats;
        prop_assert_eq!(stats.accepted, stats.closed + stats.faulted);
    }
}
