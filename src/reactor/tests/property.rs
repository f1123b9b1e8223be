//! Random orders of events: the loop does not panic or spin, and its invariants hold.

use std::io;
use std::time::Duration;

use proptest::prelude::*;

use super::{TestLoop, decode_frames, framed};
use crate::connection::scripted_stream::{ScriptedCall, ScriptedSocket};
use crate::engine::limits::{Limits, SlowConsumer};
use crate::service::install_panic_hook;
use crate::service::scripted_service::LossReport;

/// One event. Its client or connection is chosen by number, modulo their count.
#[derive(Clone, Debug)]
enum Op {
    Connect,
    Ask(usize, ClientRequest),
    /// The client sends this many bytes of an echo request, and the rest before its next request.
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
    /// Each callback takes this many microseconds from now on.
    Cost(u64),
    Turn,
}

#[derive(Clone, Debug)]
enum ClientRequest {
    Echo,
    Act,
    Big(usize),
    Stream(usize),
    Send(usize),
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

fn request() -> impl Strategy<Value = ClientRequest> {
    prop_oneof![
        4 => Just(ClientRequest::Echo),
        1 => Just(ClientRequest::Act),
        2 => (0usize..6000).prop_map(ClientRequest::Big),
        1 => (0usize..3000).prop_map(ClientRequest::Stream),
        2 => (0usize..8).prop_map(ClientRequest::Send),
        3 => Just(ClientRequest::All),
        1 => (0usize..8).prop_map(ClientRequest::Kick),
        2 => prop::sample::select(vec!["close", "timer 10", "timer 0", "cancel", "job x", "panic", "quiet", "bug"])
            .prop_map(ClientRequest::Word),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let client = 0usize..8;
    prop_oneof![
        3 => Just(Op::Connect),
        12 => (client.clone(), request()).prop_map(|(client, request)| Op::Ask(client, request)),
        2 => (client.clone(), 1usize..7).prop_map(|(client, cut)| Op::Half(client, cut)),
        1 => client.clone().prop_map(Op::Finish),
        1 => client.clone().prop_map(Op::Reset),
        3 => (client.clone(), prop_oneof![Just(0), 1usize..3000, Just(usize::MAX)]).prop_map(|(client, room)| Op::Room(client, room)),
        2 => (client.clone(), call()).prop_map(|(client, call)| Op::Reads(client, call)),
        2 => (client.clone(), call()).prop_map(|(client, call)| Op::Writes(client, call)),
        2 => prop_oneof![0u64..200, 500u64..12_000].prop_map(Op::Elapse),
        1 => (client, any::<[bool; 3]>()).prop_map(|(client, [r, w, e])| Op::Event(client, r, w, e)),
        1 => any::<bool>().prop_map(Op::AcceptFails),
        1 => Just(Op::PollFails),
        1 => prop_oneof![Just(0), 1u64..2000].prop_map(Op::Cost),
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
        // Five panics stop the service and drain the loop, and the clock goes on.
        drain_timeout: Duration::from_secs(3600),
        ..Limits::default()
    })
}

struct ModelClient {
    socket: ScriptedSocket,
    number: usize,
    asked: usize,
    /// The unsent rest of a request.
    rest: Vec<u8>,
    finished: bool,
    /// The client read slowly or failed, so its output may end inside a frame.
    unreliable: bool,
}

impl ModelClient {
    fn send(&mut self, bytes: &[u8]) {
        if !self.finished {
            let mut all = std::mem::take(&mut self.rest);
            all.extend_from_slice(bytes);
            self.socket.send(&all);
        }
    }

    fn ask(&mut self, request: &ClientRequest) {
        let (me, count) = (self.number, self.asked);
        self.asked += 1;
        let words = match request {
            ClientRequest::Echo => format!("e{count}"),
            ClientRequest::Act => format!("act e{count}"),
            ClientRequest::Big(bytes) => format!("big {bytes}"),
            ClientRequest::Stream(bytes) => format!("stream {bytes}"),
            ClientRequest::Send(to) => format!("send {to} from {me} {count}"),
            ClientRequest::All => format!("all from {me} {count}"),
            ClientRequest::Kick(to) => format!("kick {to}"),
            ClientRequest::Word(word) => (*word).to_owned(),
        };
        self.send(&framed([words]));
    }

    fn half(&mut self, cut: usize) {
        if self.finished {
            return;
        }
        let frame = framed([format!("e{}", self.asked + 1000)]);
        self.asked += 1001;
        let cut = cut.min(frame.len());
        self.send(&frame[..cut]);
        self.rest = frame[cut..].to_vec();
    }

    /// Checks that the client received whole frames, and each sender's in order.
    fn check(&self) {
        let (payloads, rest) = decode_frames(&self.socket.written());
        let may_be_cut = self.unreliable && !self.socket.is_shut_down();
        assert!(rest == 0 || may_be_cut || !self.socket.is_closed(), "half a frame before an orderly close");
        let mut last = std::collections::HashMap::new();
        for payload in payloads {
            let words = payload.strip_prefix("act ").unwrap_or(&payload);
            let (sender, count) = match (words.strip_prefix('e'), words.strip_prefix("from ")) {
                (Some(count), _) => ("itself", count),
                (_, Some(rest)) => rest.split_once(' ').unwrap(),
                _ => continue,
            };
            let count: i64 = count.parse().unwrap();
            let before = last.insert(sender.to_owned(), count).unwrap_or(-1);
            assert!(before < count, "{sender}: {count} came after {before}");
        }
    }
}

fn apply(test: &mut TestLoop, clients: &mut Vec<ModelClient>, op: &Op) {
    let count = clients.len().max(1);
    let mut with = |number: usize, act: &mut dyn FnMut(&mut ModelClient)| {
        if let Some(client) = clients.get_mut(number % count) {
            act(client);
        }
    };
    match op {
        Op::Connect => {
            let socket = test.script.connect(0);
            let number = clients.len();
            clients.push(ModelClient {
                socket,
                number,
                asked: 0,
                rest: Vec::new(),
                finished: false,
                unreliable: false,
            });
        }
        Op::Ask(number, request) => with(*number, &mut |client| client.ask(request)),
        Op::Half(number, cut) => with(*number, &mut |client| client.half(*cut)),
        Op::Finish(number) => with(*number, &mut |client| {
            client.finished = true;
            client.socket.finish();
        }),
        Op::Reset(number) => with(*number, &mut |client| {
            (client.finished, client.unreliable) = (true, true);
            client.socket.reset();
        }),
        Op::Room(number, room) => with(*number, &mut |client| {
            client.unreliable = true;
            client.socket.set_room(*room);
        }),
        Op::Reads(number, call) => with(*number, &mut |client| {
            client.unreliable |= matches!(call, ScriptedCall::Fails(_));
            client.socket.script_reads([*call]);
        }),
        Op::Writes(number, call) => with(*number, &mut |client| {
            client.unreliable = true;
            client.socket.script_writes([*call]);
        }),
        Op::Elapse(millis) => test.advance_time(Duration::from_millis(*millis)),
        Op::Event(number, readable, writable, eof) => {
            let key = test.service.script().members.get(*number).map(|id| id.0);
            if let Some(key) = key {
                test.script.report(key, *readable, *writable, *eof);
            }
        }
        Op::AcceptFails(out_of_descriptors) => {
            let error = io::Error::from(io::ErrorKind::ConnectionAborted);
            let out = || io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
            test.script.fail_accepts(0, [if *out_of_descriptors { out() } else { error }]);
        }
        Op::PollFails => test.script.fail_poll(io::ErrorKind::Interrupted),
        Op::Cost(micros) => test.set_cost(Duration::from_micros(*micros)),
        Op::Turn => _ = test.turn(),
    }
}

/// Drains the loop while every peer reads, and waits for its jobs.
fn drain_all(test: &mut TestLoop, clients: &[ModelClient]) {
    for client in clients {
        client.socket.set_room(usize::MAX);
    }
    test.run_until_idle();
    test.handle.drain();
    test.run_until_idle();
    for client in clients {
        client.socket.finish();
    }
    test.run_until_idle();
    while test.event_loop.is_running() && test.event_loop.connections.iter().any(|(_, conn)| conn.has_jobs()) {
        test.wait_for_wake();
    }
    if test.event_loop.is_running() {
        test.advance_time(Limits::default().linger_timeout);
    }
    assert!(!test.event_loop.is_running(), "a connection is left: {:?}", test.event_loop.shared.worker.stats);
}

/// Checks that each connection that opened has closed once.
fn check_open_and_close(log: &[String]) {
    let count = |what: &str, conn: usize| {
        log.iter().filter(|line| line.split(' ').take(2).eq([what, conn.to_string().as_str()])).count()
    };
    for conn in 0..log.iter().filter(|line| line.starts_with("open")).count() {
        assert_eq!((count("open", conn), count("close", conn)), (1, 1), "connection {conn}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_an_invariant(
        limits in limits(),
        close_reply in prop::option::of(Just("goodbye".to_owned())),
        loss_report in prop::sample::select(vec![LossReport::None, LossReport::Broadcast]),
        ops in prop::collection::vec(op(), 1..80),
    ) {
        install_panic_hook();
        let mut test = TestLoop::new(limits);
        test.service.script().close_reply = close_reply;
        test.service.script().loss_report = loss_report;
        let mut clients = Vec::new();
        for op in &ops {
            apply(&mut test, &mut clients, op);
        }
        test.run_until_idle();
        drain_all(&mut test, &clients);
        check_open_and_close(&test.log());
        clients.iter().for_each(ModelClient::check);
        prop_assert_eq!(test.event_loop.shared.worker.stats.open, 0);
        prop_assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 0);
        prop_assert!(test.event_loop.shared.timers.of_connections() == 0);
        let stats = &test.event_loop.shared.worker.stats;
        prop_assert_eq!(stats.accepted, stats.closed + stats.faulted);
    }
}
