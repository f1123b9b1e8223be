//! What a service collects over a turn and says at once; and what becomes of it where somebody does not read.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use switchboard::{BatchId, ConnId, Context, Framing, Limits, Message, Payload, Peer, Service, SlowConsumer};

use crate::support::{Client, Engine, GUARD, RunningEngine, conformance, encode_frame, listen_tcp, serve};

conformance! {
    a_batch_reaches_members_of_every_framing_in_order_and_once,
    what_one_read_brings_is_said_at_once_after_its_answers,
    a_message_from_another_thread_is_flushed_too,
    a_batch_for_who_is_being_answered_keeps_its_place_among_the_replies,
    who_does_not_read_is_told_which_batches_it_has_missed,
}

/// What a [`Hub`] has done and was told.
#[derive(Debug, PartialEq, Eq)]
enum HubEvent {
    Said(BatchId, Vec<Payload>),
    Missed(ConnId, BatchId, u32),
    Drained(ConnId),
}

/// Says what its peers have said in a turn to all of them, in one batch.
struct Hub {
    members: Vec<ConnId>,
    collected: Vec<Payload>,
    last: u64,
    events: Sender<HubEvent>,
}

fn hub() -> (Hub, Receiver<HubEvent>) {
    let (events, seen) = channel();
    (Hub { members: Vec::new(), collected: Vec::new(), last: 0, events }, seen)
}

impl Hub {
    fn collect(&mut self, cx: &mut Context<'_>, words: impl Into<Payload>) {
        self.collected.push(words.into());
        cx.notify_turn_end();
    }
}

impl Service for Hub {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        assert!(cx.framing().is_some());
        assert!(cx.wall_clock().elapsed().unwrap_or_default() < GUARD);
        self.members.push(cx.conn());
        cx.reply(b"welcome");
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if let Some(words) = payload.strip_prefix(b"ack ") {
            cx.reply(b"ack");
            self.collect(cx, words);
        } else {
            self.collect(cx, payload);
        }
    }

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        self.collect(cx, *message.downcast::<String>().unwrap());
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        assert_eq!((cx.conn(), cx.framing()), (ConnId::NONE, None));
        cx.reply(b"this goes nowhere");
        self.last += 1;
        let said = std::mem::take(&mut self.collected);
        cx.broadcast_batch(&self.members, &said, BatchId(self.last));
        let _ = self.events.send(HubEvent::Said(BatchId(self.last), said));
    }

    fn on_dropped(&mut self, cx: &mut Context<'_>, ticket: BatchId, frames: u32) {
        let _ = self.events.send(HubEvent::Missed(cx.conn(), ticket, frames));
        cx.notify_writable();
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        let _ = self.events.send(HubEvent::Drained(cx.conn()));
        cx.reply(b"drained");
    }
}

fn enter(addr: std::net::SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    assert_eq!(client.receive(), b"welcome");
    client
}

fn a_batch_reaches_members_of_every_framing_in_order_and_once<E: Engine>() {
    const SAID: usize = 500;
    let (service, events) = hub();
    let mut engine = E::with_limits(Limits::default());
    let id = engine.add_service("hub", service);
    let framings = ["u32be", "varint", "lines", "raw"];
    let addrs = framings.map(|name| listen_tcp(&mut engine, id, name.parse::<Framing>().unwrap()));
    let running = RunningEngine::start(engine);
    let mut members = [0, 1, 2, 3].map(|number| Client::connect(addrs[number]));
    for (member, name) in members.iter_mut().zip(framings) {
        let mut welcome = vec![0; encode_frame(name, b"welcome").len()];
        member.socket().read_exact(&mut welcome).unwrap();
        assert_eq!(welcome, encode_frame(name, b"welcome"));
    }
    // In bursts of all sizes.
    let said: Vec<String> = (0..SAID).map(|number| format!("{number:05}.")).collect();
    let mut left = &said[..];
    for burst in (1..).take_while(|burst| burst * (burst - 1) / 2 < SAID) {
        let (now, later) = left.split_at(burst.min(left.len()));
        members[0]
            .send_bytes(&now.iter().flat_map(|words| encode_frame("u32be", words.as_bytes())).collect::<Vec<_>>());
        left = later;
    }
    assert!(left.is_empty());
    for (member, name) in members.iter_mut().zip(framings) {
        let expected: Vec<u8> = said.iter().flat_map(|words| encode_frame(name, words.as_bytes())).collect();
        let mut heard = vec![0; expected.len()];
        member.socket().read_exact(&mut heard).unwrap();
        assert!(heard == expected, "{name}");
        assert!(member.receives_nothing_for(Duration::from_millis(50)), "{name}: something was said twice");
    }
    drop(members);
    running.drain();
    assert!(events.into_iter().all(|event| matches!(event, HubEvent::Said(..))), "nobody is slow");
}

fn what_one_read_brings_is_said_at_once_after_its_answers<E: Engine>() {
    let (service, events) = hub();
    let (running, addr) = serve::<E>(Limits::default(), service);
    let (mut speaker, mut other) = (enter(addr), enter(addr));
    speaker.send_bytes(&["ack one", "two", "ack three"].map(|words| encode_frame("u32be", words.as_bytes())).concat());
    let said = ["one", "two", "three"].map(Payload::from);
    assert_eq!(events.recv_timeout(GUARD).unwrap(), HubEvent::Said(BatchId(1), said.to_vec()));
    for heard in ["ack", "ack", "one", "two", "three"] {
        assert_eq!(speaker.receive(), heard.as_bytes());
    }
    for heard in ["one", "two", "three"] {
        assert_eq!(other.receive(), heard.as_bytes());
    }
    drop((speaker, other));
    running.drain();
    assert_eq!(events.into_iter().count(), 0, "who did not ask is not called");
}

fn a_message_from_another_thread_is_flushed_too<E: Engine>() {
    let (service, _events) = hub();
    let mut engine = E::with_limits(Limits::default());
    let id = engine.add_service("hub", service);
    let addr = listen_tcp(&mut engine, id, Framing::U32BE);
    let running = RunningEngine::start(engine);
    let mut member = enter(addr);
    running.handle.post(id, Box::new("from afar".to_owned())).unwrap();
    assert_eq!(member.receive(), b"from afar");
    drop(member);
    running.drain();
}

/// Answers each request with itself, a batch that holds it, and itself once more.
struct Thrice {
    each: bool,
}

impl Service for Thrice {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
        cx.broadcast_batch(&[cx.conn()], &[Payload::from(payload), "and".into()], BatchId(1));
        cx.reply(payload);
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        self.each.then(|| Box::new(Self { each: true }) as _)
    }
}

fn a_batch_for_who_is_being_answered_keeps_its_place_among_the_replies<E: Engine>() {
    for each in [false, true] {
        // Three large answers to one request, of which the batch counts by itself, are not too much for it.
        let limits = Limits { max_write_buffer_bytes: 4 << 20, ..Limits::default() };
        let (running, addr) = serve::<E>(limits, Thrice { each });
        let mut client = Client::connect(addr);
        let mut sender = client.socket().try_clone().unwrap();
        // Small and large, whole in a read and in pieces: replies lie here and there.
        let sizes = [1, 9_000, 3, 100_000, 20_000, 20_000, 0, 300_000, 10, 10, 9_000, 9_000];
        let requests: Vec<Vec<u8>> = (0..60).map(|number| vec![number; sizes[usize::from(number) % 12]]).collect();
        let wire: Vec<u8> = requests.iter().flat_map(|request| encode_frame("u32be", request)).collect();
        let sending = thread::spawn(move || sender.write_all(&wire).unwrap());
        for request in &requests {
            for expected in [request, request, &b"and".to_vec(), request] {
                assert!(client.receive() == *expected, "request {:?} of {} bytes", request.first(), request.len());
            }
        }
        sending.join().unwrap();
        drop(client);
        running.drain();
    }
}

fn who_does_not_read_is_told_which_batches_it_has_missed<E: Engine>() {
    for slow_consumer in [SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let limits =
            Limits { slow_consumer, max_write_buffer_bytes: 256 * 1024, drain_timeout: GUARD, ..Limits::default() };
        let (service, events) = hub();
        let (running, addr) = serve::<E>(limits, service);
        let mut deaf = enter(addr);
        let (mut speaker, mut other) = (enter(addr), enter(addr));
        let (mut said, mut missed) = (BTreeMap::new(), BTreeMap::new());
        let mut note = |event| match event {
            HubEvent::Said(ticket, payloads) => _ = said.insert(ticket, payloads),
            HubEvent::Missed(id, ticket, frames) => {
                assert_eq!(missed.insert(ticket, frames), None, "told twice of {ticket:?}");
                assert_ne!(id, ConnId::NONE);
            }
            HubEvent::Drained(_) => assert!(!missed.is_empty(), "drained of what?"),
        };
        let filling = vec![7; 30_000];
        let mut next = 0u32;
        let mut told = false;
        while !told || !next.is_multiple_of(50) {
            let pair = [next, next + 1].map(|number| [&number.to_be_bytes()[..], &filling].concat());
            speaker.send_bytes(&pair.each_ref().map(|message| encode_frame("u32be", message)).concat());
            for member in [&mut speaker, &mut other] {
                assert!(member.receive() == pair[0] && member.receive() == pair[1]);
            }
            next += 2;
            for event in events.try_iter() {
                told |= matches!(event, HubEvent::Missed(..));
                note(event);
            }
        }
        // Having read on, it is told that there is room, and misses nothing more.
        let mut heard = Vec::new();
        let mut hear = |until: &[u8]| loop {
            let message = deaf.receive();
            match message.len() {
                30_004 => heard.push(Payload::from(message)),
                _ if message == until => break,
                _ => assert_eq!(message, b"drained"),
            }
        };
        hear(b"drained");
        speaker.send(b"end");
        hear(b"end");
        assert_eq!((speaker.receive(), other.receive()), (b"end".to_vec(), b"end".to_vec()));
        drop((deaf, speaker, other));
        let stats = running.drain();
        events.into_iter().for_each(&mut note);
        for (ticket, frames) in &missed {
            assert_eq!(said.remove(ticket).unwrap().len(), *frames as usize);
        }
        said.pop_last();
        assert!(heard == said.into_values().flatten().collect::<Vec<_>>(), "all of the others, whole and in order");
        assert_eq!(stats.frames_dropped, missed.into_values().map(u64::from).sum::<u64>());
    }
}
