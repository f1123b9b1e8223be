//! Batches that a service collects over a turn and broadcasts at its end, and the batches dropped
//! for a member that does not read.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use switchboard::{BatchId, ConnId, Context, Framing, Limits, Message, Payload, Peer, Service, SlowConsumer};

use crate::support::{
    Client, Engine, RunningEngine, conformance, encode_frame, guard, instances_if, listen_tcp, serve, serve_with,
};

conformance! {
    batch_reaches_every_framing_once_and_in_order,
    messages_of_one_read_are_one_batch_after_the_replies,
    posted_message_is_broadcast_at_the_turn_end,
    batch_to_the_caller_keeps_its_place_among_replies,
    on_dropped_reports_the_batches_of_a_slow_member,
}

/// An event that a [`Hub`] reports.
#[derive(Debug, PartialEq, Eq)]
enum HubEvent {
    Sent(BatchId, Vec<Payload>),
    Dropped(ConnId, BatchId, u32),
    Writable(ConnId),
}

/// Broadcasts the messages that it received in a turn to all members, as one batch.
struct Hub {
    members: Vec<ConnId>,
    collected: Vec<Payload>,
    last_batch: u64,
    events: Sender<HubEvent>,
}

fn hub() -> (Hub, Receiver<HubEvent>) {
    let (events, reported) = channel();
    (Hub { members: Vec::new(), collected: Vec::new(), last_batch: 0, events }, reported)
}

impl Hub {
    fn collect(&mut self, cx: &mut Context<'_>, payload: impl Into<Payload>) {
        self.collected.push(payload.into());
        cx.notify_turn_end();
    }
}

impl Service for Hub {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        assert!(cx.framing().is_some());
        assert!(cx.wall_clock().elapsed().unwrap_or_default() < guard());
        self.members.push(cx.conn());
        cx.reply(b"welcome");
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if let Some(rest) = payload.strip_prefix(b"ack ") {
            cx.reply(b"ack");
            self.collect(cx, rest);
        } else {
            self.collect(cx, payload);
        }
    }

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        self.collect(cx, *message.downcast::<String>().unwrap());
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        assert_eq!((cx.conn(), cx.framing()), (ConnId::NONE, None));
        cx.reply(b"no connection, so no reply");
        self.last_batch += 1;
        let collected = std::mem::take(&mut self.collected);
        cx.broadcast_batch(&self.members, &collected, BatchId(self.last_batch));
        let _ = self.events.send(HubEvent::Sent(BatchId(self.last_batch), collected));
    }

    fn on_dropped(&mut self, cx: &mut Context<'_>, batch: BatchId, frames: u32) {
        let _ = self.events.send(HubEvent::Dropped(cx.conn(), batch, frames));
        cx.notify_writable();
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        let _ = self.events.send(HubEvent::Writable(cx.conn()));
        cx.reply(b"writable");
    }
}

fn join_hub(addr: std::net::SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    assert_eq!(client.receive(), b"welcome");
    client
}

fn batch_reaches_every_framing_once_and_in_order<E: Engine>() {
    const MESSAGES: usize = 500;
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
    // Bursts of growing size.
    let messages: Vec<String> = (0..MESSAGES).map(|number| format!("{number:05}.")).collect();
    let mut left = &messages[..];
    for burst in (1..).take_while(|burst| burst * (burst - 1) / 2 < MESSAGES) {
        let (now, later) = left.split_at(burst.min(left.len()));
        members[0]
            .send_bytes(&now.iter().flat_map(|message| encode_frame("u32be", message.as_bytes())).collect::<Vec<_>>());
        left = later;
    }
    assert!(left.is_empty());
    for (member, name) in members.iter_mut().zip(framings) {
        let expected: Vec<u8> = messages.iter().flat_map(|message| encode_frame(name, message.as_bytes())).collect();
        let mut received = vec![0; expected.len()];
        member.socket().read_exact(&mut received).unwrap();
        assert!(received == expected, "{name}: the members received other bytes than expected");
        assert!(member.receives_nothing_for(Duration::from_millis(50)), "{name}: a message was sent twice");
    }
    drop(members);
    running.drain();
    assert!(
        events.into_iter().all(|event| matches!(event, HubEvent::Sent(..))),
        "no member is slow, so no batch is dropped"
    );
}

fn messages_of_one_read_are_one_batch_after_the_replies<E: Engine>() {
    let (service, events) = hub();
    let (running, addr) = serve::<E>(Limits::default(), service);
    let (mut sender_client, mut other) = (join_hub(addr), join_hub(addr));
    sender_client
        .send_bytes(&["ack one", "two", "ack three"].map(|text| encode_frame("u32be", text.as_bytes())).concat());
    let batch = ["one", "two", "three"].map(Payload::from);
    assert_eq!(events.recv_timeout(guard()).unwrap(), HubEvent::Sent(BatchId(1), batch.to_vec()));
    for expected in ["ack", "ack", "one", "two", "three"] {
        assert_eq!(sender_client.receive(), expected.as_bytes());
    }
    for expected in ["one", "two", "three"] {
        assert_eq!(other.receive(), expected.as_bytes());
    }
    drop((sender_client, other));
    running.drain();
    assert_eq!(events.into_iter().count(), 0, "on_turn_end runs only when it was requested");
}

fn posted_message_is_broadcast_at_the_turn_end<E: Engine>() {
    let (service, _events) = hub();
    let mut engine = E::with_limits(Limits::default());
    let id = engine.add_service("hub", service);
    let addr = listen_tcp(&mut engine, id, Framing::U32BE);
    let running = RunningEngine::start(engine);
    let mut member = join_hub(addr);
    running.handle.post(id, Box::new("posted".to_owned())).unwrap();
    assert_eq!(member.receive(), b"posted");
    drop(member);
    running.drain();
}

/// Replies with the request, broadcasts a batch that holds it to the caller, and replies once more.
struct ReplyBatchReply;

impl Service for ReplyBatchReply {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
        cx.broadcast_batch(&[cx.conn()], &[Payload::from(payload), "and".into()], BatchId(1));
        cx.reply(payload);
    }
}

fn batch_to_the_caller_keeps_its_place_among_replies<E: Engine>() {
    for per_connection in [false, true] {
        // Large enough for three large replies to one request; the batch counts separately.
        let limits = Limits { max_write_buffer_bytes: 4 << 20, ..Limits::default() };
        let options = instances_if(per_connection, || ReplyBatchReply);
        let (running, addr) = serve_with::<E>(limits, options, ReplyBatchReply);
        let mut client = Client::connect(addr);
        let mut sender = client.socket().try_clone().unwrap();
        // Small and large requests, whole in one read and split: the replies are in different
        // buffers.
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

fn on_dropped_reports_the_batches_of_a_slow_member<E: Engine>() {
    for slow_consumer in [SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let limits =
            Limits { slow_consumer, max_write_buffer_bytes: 256 * 1024, drain_timeout: guard(), ..Limits::default() };
        let (service, events) = hub();
        let (running, addr) = serve::<E>(limits, service);
        let mut slow = join_hub(addr);
        let (mut sender_client, mut other) = (join_hub(addr), join_hub(addr));
        let (mut sent, mut dropped) = (BTreeMap::new(), BTreeMap::new());
        let mut note = |event| match event {
            HubEvent::Sent(batch, payloads) => _ = sent.insert(batch, payloads),
            HubEvent::Dropped(id, batch, frames) => {
                assert_eq!(dropped.insert(batch, frames), None, "{batch:?} was reported twice");
                assert_ne!(id, ConnId::NONE);
            }
            HubEvent::Writable(_) => assert!(!dropped.is_empty(), "on_writable without a dropped batch"),
        };
        let padding = vec![7; 30_000];
        let mut next = 0u32;
        let mut reported = false;
        while !reported || !next.is_multiple_of(50) {
            let pair = [next, next + 1].map(|number| [&number.to_be_bytes()[..], &padding].concat());
            sender_client.send_bytes(&pair.each_ref().map(|message| encode_frame("u32be", message)).concat());
            for member in [&mut sender_client, &mut other] {
                assert!(member.receive() == pair[0] && member.receive() == pair[1]);
            }
            next += 2;
            for event in events.try_iter() {
                reported |= matches!(event, HubEvent::Dropped(..));
                note(event);
            }
        }
        // Once the slow member has read its queue, `on_writable` runs and no further batch is
        // dropped.
        let mut received = Vec::new();
        let mut receive_until = |until: &[u8]| loop {
            let message = slow.receive();
            match message.len() {
                30_004 => received.push(Payload::from(message)),
                _ if message == until => break,
                _ => assert_eq!(message, b"writable"),
            }
        };
        receive_until(b"writable");
        sender_client.send(b"end");
        receive_until(b"end");
        assert_eq!((sender_client.receive(), other.receive()), (b"end".to_vec(), b"end".to_vec()));
        drop((slow, sender_client, other));
        let stats = running.drain();
        events.into_iter().for_each(&mut note);
        for (batch, frames) in &dropped {
            assert_eq!(sent.remove(batch).unwrap().len(), *frames as usize);
        }
        sent.pop_last();
        assert!(
            received == sent.into_values().flatten().collect::<Vec<_>>(),
            "the slow member received other messages than those of the batches that were kept"
        );
        assert_eq!(stats.frames_dropped, dropped.into_values().map(u64::from).sum::<u64>());
    }
}
