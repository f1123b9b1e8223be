//! Many who hear one another: what a service says to all of them, whoever of them it is that it answers.

use std::thread;
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{CloseReason, ConnId, Context, Limits, Payload, Peer, Service, SlowConsumer};

use crate::support::{Client, Engine, GUARD, conformance, observe, serve};

conformance! {
    everybody_hears_the_same_in_the_order_in_which_it_was_said,
    an_idle_member_is_closed_at_anothers_word,
    who_reads_late_gets_everything_without_a_word_of_its_own,
    who_does_not_read_misses_some_and_the_others_nothing,
    an_instance_for_each_connection_answers_as_one_for_all,
}

/// Numbers what each peer says and sends it to all; a number goes back as it is.
#[derive(Default)]
struct Room {
    members: Vec<ConnId>,
    said: u32,
}

impl Service for Room {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.members.push(cx.conn());
        cx.reply(b"welcome");
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload == b"close the others" {
            let own = cx.conn();
            for id in self.members.iter().filter(|id| **id != own) {
                cx.close_other(*id, "at another's word");
            }
            cx.reply(b"closed");
            return;
        }
        let mut message = self.said.to_be_bytes().to_vec();
        message.extend_from_slice(payload);
        cx.broadcast(&self.members, Payload::from(message));
        self.said += 1;
    }
}

fn enter(addr: std::net::SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    assert_eq!(client.receive(), b"welcome");
    client
}

fn everybody_hears_the_same_in_the_order_in_which_it_was_said<E: Engine>() {
    const MEMBERS: u32 = 8;
    const EACH: u32 = 200;
    let (running, addr) = serve::<E>(Limits::default(), Room::default());
    let members: Vec<Client> = (0..MEMBERS).map(|_| enter(addr)).collect();
    let heard: Vec<_> = members
        .into_iter()
        .map(|mut member| {
            thread::spawn(move || {
                // In bursts of other sizes, so that what is said meets in every way.
                let mut sent = 0;
                for heard in 0..MEMBERS * EACH {
                    while sent < EACH && sent <= heard / 4 {
                        member.send(&[7; 100]);
                        sent += 1;
                    }
                    let message = member.receive();
                    assert_eq!(message[..4], heard.to_be_bytes(), "out of order");
                    assert_eq!(message[4..], [7; 100]);
                }
                member
            })
        })
        .collect();
    let members: Vec<Client> = heard.into_iter().map(|member| member.join().unwrap()).collect();
    drop(members);
    running.drain();
}

fn an_idle_member_is_closed_at_anothers_word<E: Engine>() {
    let (service, events) = observe(Room::default());
    let (running, addr) = serve::<E>(Limits { linger_timeout: GUARD, ..Limits::default() }, service);
    let mut first = enter(addr);
    let mut idle: Vec<Client> = (0..3).map(|_| enter(addr)).collect();
    assert!(idle[0].receives_nothing_for(Duration::from_millis(300)));
    assert_eq!(first.ask(b"close the others"), b"closed");
    for member in &mut idle {
        member.expect_end();
        assert_eq!(events.next_closed().1, CloseReason::Service("at another's word".into()));
    }
    drop((first, idle));
    running.drain();
}

fn who_reads_late_gets_everything_without_a_word_of_its_own<E: Engine>() {
    let limits = Limits { max_write_buffer_bytes: 64 << 20, write_timeout: Duration::ZERO, ..Limits::default() };
    let (running, addr) = serve::<E>(limits, Room::default());
    let mut late = enter(addr);
    let mut speaker = enter(addr);
    let mut said = 0u32;
    while running.counters()["buffered_bytes"] < 4 << 20 {
        speaker.send(&[7; 10_000]);
        assert_eq!(speaker.receive()[..4], said.to_be_bytes());
        said += 1;
    }
    for number in 0..said {
        assert_eq!(late.receive()[..4], number.to_be_bytes());
    }
    drop((late, speaker));
    running.drain();
}

fn who_does_not_read_misses_some_and_the_others_nothing<E: Engine>() {
    for slow_consumer in [SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let limits =
            Limits { slow_consumer, max_write_buffer_bytes: 256 * 1024, drain_timeout: GUARD, ..Limits::default() };
        let (running, addr) = serve::<E>(limits, Room::default());
        let mut deaf = enter(addr);
        let (mut one, mut two) = (enter(addr), enter(addr));
        let said = vec![7; 60_000];
        let mut next = 0u32;
        while running.counters()["frames_dropped"] == 0 {
            for _ in 0..10 {
                one.send(&said);
                for member in [&mut one, &mut two] {
                    assert_eq!(member.receive()[..4], next.to_be_bytes());
                }
                next += 1;
            }
        }
        // What it does hear is whole and in order. The last thing said is among it if the oldest is what was dropped.
        running.handle.drain();
        for member in [&mut one, &mut two] {
            member.expect_end();
        }
        let mut heard = Vec::new();
        while let Some(message) = deaf.receive_or_end() {
            assert_eq!(message[4..], said);
            heard.push(u32::from_be_bytes(message[..4].try_into().unwrap()));
        }
        assert!(heard.is_sorted_by(|a, b| a < b), "{heard:?}");
        assert!(heard.len() < next as usize, "it missed something");
        if slow_consumer == SlowConsumer::DropOldest {
            assert_eq!(heard.last(), Some(&(next - 1)));
        }
        drop((deaf, one, two));
        running.join();
    }
}

fn an_instance_for_each_connection_answers_as_one_for_all<E: Engine>() {
    // A witness offers no instances.
    let (shared, _events) = observe(Echo);
    let (one_for_all, shared_addr) = serve::<E>(Limits::default(), shared);
    let (one_each, own_addr) = serve::<E>(Limits::default(), Echo);
    let mut heard = [shared_addr, own_addr].map(|addr| {
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
        let mut heard = Vec::new();
        while let Some(payload) = client.receive_or_end() {
            heard.push(payload);
        }
        sending.join().unwrap();
        heard
    });
    let own = std::mem::take(&mut heard[1]);
    assert_eq!(own.len(), 9);
    assert!(own == heard[0]);
    for running in [one_for_all, one_each] {
        let stats = running.drain();
        assert_eq!((stats.frames_in, stats.faulted, stats.buffered_bytes), (9, 1, 0), "{stats}");
    }
}
