//! Broadcasts to a room whose members send at the same time, read late, or do not read.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{CloseReason, ConnId, Context, Limits, Payload, Peer, Service, SlowConsumer};

use crate::support::{Client, Engine, conformance, guard, observe, serve, serve_echo};

conformance! {
    room_members_receive_all_messages_in_the_same_order,
    idle_member_is_closed_by_another_member,
    late_reader_gets_all_messages_without_sending,
    slow_member_drops_messages_and_others_get_all,
    per_connection_instance_replies_like_a_shared_one,
}

/// Broadcasts each message to all members, preceded by its sequence number.
#[derive(Default)]
struct BroadcastRoom {
    members: Vec<ConnId>,
    next_number: u32,
}

impl Service for BroadcastRoom {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.members.push(cx.conn());
        cx.reply(b"welcome");
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload == b"close the others" {
            let own = cx.conn();
            for id in self.members.iter().filter(|id| **id != own) {
                cx.close_other(*id, "closed by another member");
            }
            cx.reply(b"closed");
            return;
        }
        let mut message = self.next_number.to_be_bytes().to_vec();
        message.extend_from_slice(payload);
        cx.broadcast(&self.members, Payload::from(message));
        self.next_number += 1;
    }
}

fn join_room(addr: std::net::SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    assert_eq!(client.receive(), b"welcome");
    client
}

fn room_members_receive_all_messages_in_the_same_order<E: Engine>() {
    const MEMBERS: u32 = 8;
    const EACH: u32 = 200;
    let (running, addr) = serve::<E>(Limits::default(), BroadcastRoom::default());
    let members: Vec<Client> = (0..MEMBERS).map(|_| join_room(addr)).collect();
    let receivers: Vec<_> = members
        .into_iter()
        .map(|mut member| {
            thread::spawn(move || {
                // Bursts of varying size, so that broadcasts and replies interleave in many ways.
                let mut sent = 0;
                for number in 0..MEMBERS * EACH {
                    while sent < EACH && sent <= number / 4 {
                        member.send(&[7; 100]);
                        sent += 1;
                    }
                    let message = member.receive();
                    assert_eq!(message[..4], number.to_be_bytes(), "out of order");
                    assert_eq!(message[4..], [7; 100]);
                }
                member
            })
        })
        .collect();
    let members: Vec<Client> = receivers.into_iter().map(|member| member.join().unwrap()).collect();
    drop(members);
    running.drain();
}

fn idle_member_is_closed_by_another_member<E: Engine>() {
    let (service, events) = observe(BroadcastRoom::default());
    let (running, addr) = serve::<E>(Limits { linger_timeout: guard(), ..Limits::default() }, service);
    let mut first = join_room(addr);
    let mut idle: Vec<Client> = (0..3).map(|_| join_room(addr)).collect();
    assert!(idle[0].receives_nothing_for(Duration::from_millis(300)));
    assert_eq!(first.ask(b"close the others"), b"closed");
    for member in &mut idle {
        member.expect_end();
        assert_eq!(events.next_closed().1, CloseReason::Service("closed by another member".into()));
    }
    drop((first, idle));
    running.drain();
}

fn late_reader_gets_all_messages_without_sending<E: Engine>() {
    let limits = Limits { max_write_buffer_bytes: 64 << 20, write_timeout: Duration::ZERO, ..Limits::default() };
    let (running, addr) = serve::<E>(limits, BroadcastRoom::default());
    let mut late = join_room(addr);
    let mut sender = join_room(addr);
    let mut sent = 0u32;
    let held_bytes = |counters: HashMap<String, u64>| counters["buffered_bytes"] + counters["shared_bytes"];
    while held_bytes(running.counters()) < 4 << 20 {
        sender.send(&[7; 10_000]);
        assert_eq!(sender.receive()[..4], sent.to_be_bytes());
        sent += 1;
    }
    for number in 0..sent {
        assert_eq!(late.receive()[..4], number.to_be_bytes());
    }
    drop((late, sender));
    running.drain();
}

fn slow_member_drops_messages_and_others_get_all<E: Engine>() {
    for slow_consumer in [SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let limits =
            Limits { slow_consumer, max_write_buffer_bytes: 256 * 1024, drain_timeout: guard(), ..Limits::default() };
        let (running, addr) = serve::<E>(limits, BroadcastRoom::default());
        let mut slow = join_room(addr);
        let (mut one, mut two) = (join_room(addr), join_room(addr));
        let text = vec![7; 60_000];
        let mut next = 0u32;
        while running.counters()["frames_dropped"] == 0 {
            for _ in 0..10 {
                one.send(&text);
                for member in [&mut one, &mut two] {
                    assert_eq!(member.receive()[..4], next.to_be_bytes());
                }
                next += 1;
            }
        }
        // The slow member receives whole messages in order. `DropOldest` keeps the last message.
        running.handle.drain();
        for member in [&mut one, &mut two] {
            member.expect_end();
        }
        let mut received = Vec::new();
        while let Some(message) = slow.receive_or_end() {
            assert_eq!(message[4..], text);
            received.push(u32::from_be_bytes(message[..4].try_into().unwrap()));
        }
        assert!(received.is_sorted_by(|a, b| a < b), "{received:?}");
        assert!(received.len() < next as usize, "no message was dropped");
        if slow_consumer == SlowConsumer::DropOldest {
            assert_eq!(received.last(), Some(&(next - 1)));
        }
        drop((slow, one, two));
        running.join();
    }
}

fn per_connection_instance_replies_like_a_shared_one<E: Engine>() {
    // The observer has no per-connection instances.
    let (shared, _events) = observe(Echo);
    let (shared_engine, shared_addr) = serve::<E>(Limits::default(), shared);
    let (per_connection_engine, own_addr) = serve_echo::<E>(Limits::default());
    let mut received = [shared_addr, own_addr].map(|addr| {
        let client = Client::connect(addr);
        let mut sender = client.socket().try_clone().unwrap();
        let sending = thread::spawn(move || {
            for bytes in [0, 1, 3000, 4092, 4096, 100_000, 1 << 20, 5, 200_000] {
                let payload: Vec<u8> = (0..bytes).map(|at: usize| (at % 251) as u8).collect();
                std::io::Write::write_all(&mut sender, &crate::support::encode_frame("u32be", &payload)).unwrap();
            }
            std::io::Write::write_all(&mut sender, b"\xff\xff\xff\xff").unwrap();
        });
        let mut client = client;
        let mut payloads = Vec::new();
        while let Some(payload) = client.receive_or_end() {
            payloads.push(payload);
        }
        sending.join().unwrap();
        payloads
    });
    let own = std::mem::take(&mut received[1]);
    assert_eq!(own.len(), 9);
    assert!(own == received[0]);
    for running in [shared_engine, per_connection_engine] {
        let stats = running.drain();
        assert_eq!((stats.frames_in, stats.faulted, stats.buffered_bytes), (9, 1, 0), "{stats}");
    }
}
