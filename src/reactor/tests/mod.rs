//! The turn under a script: the very loop that serves, over a world in which every call does what the test says.

#![allow(clippy::unchecked_time_subtraction, reason = "the times are constants")]

mod accept;
mod backpressure;
mod close;
mod console;
mod costs;
mod deadlines;
mod echo;
mod event_loop;
mod jobs;
mod memory;
mod property;
mod scripted_driver;
mod scripted_service;
mod shutdown;
mod timers;
mod turn_end;
mod udp;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use scripted_driver::{Polled, ScriptedNet, World};
use scripted_service::Puppet;

use super::Registered;
use super::driver::{Source, SourceKind};
use super::event_loop::Turn;
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::handle::{Handle, pair};
use crate::engine::jobs::Wake;
use crate::engine::limits::Limits;
use crate::frame::{FrameDecoder, Framing, encode};
use crate::service::ServiceId;

/// How long a worker may take before the test gives up. Nothing waits for it to pass.
const GUARD: Duration = Duration::from_secs(20);

/// Turns after which a loop that still finds something to do is spinning.
const TOO_MANY_TURNS: usize = 10_000;

/// A loop with one puppet behind listener 0 (`u16be`), listener 1 (`lines`), listener 2 (`raw`) and UDP socket 3.
struct Rig {
    turn: Turn<ScriptedNet>,
    world: World,
    puppet: Puppet,
    handle: Handle,
    woken: Arc<AtomicBool>,
    /// One for each time that the loop was woken.
    wakes: Receiver<()>,
}

const FRAMING: Framing = Framing::U16BE;
const LINES: usize = 1;
const RAW: usize = 2;
const UDP: usize = 3;
const UDP_ADDR: ([u8; 4], u16) = ([127, 0, 0, 1], 7);

impl Rig {
    fn new(limits: Limits) -> Self {
        let service = ServiceId(0);
        let listener = |framing| Source { kind: SourceKind::Listener(framing), service };
        let udp = Source { kind: SourceKind::Datagrams { local: UDP_ADDR.into() }, service };
        let sources = [listener(FRAMING), listener(Framing::Lines), listener(Framing::Raw), udp];
        let woken = Arc::new(AtomicBool::new(false));
        let world = World::new(&sources, Arc::clone(&woken));
        let (bell, wakes) = channel();
        let wake: Wake = {
            let woken = Arc::clone(&woken);
            Arc::new(move || {
                woken.store(true, Ordering::Release);
                let _ = bell.send(());
            })
        };
        let (handle, inbox) = pair(Arc::clone(&wake), limits.max_queued_messages);
        let puppet = Puppet::default();
        let registered = Registered { name: "puppet".to_owned(), service: Box::new(puppet.clone()) };
        let turn = Turn::new(world.net(), limits, vec![registered], inbox, &wake);
        let mut rig = Self { turn, world, puppet, handle, woken, wakes };
        rig.settle();
        rig
    }

    /// A client connects to listener 0 and is served.
    fn connect(&mut self) -> ScriptedSocket {
        self.connect_to(0)
    }

    fn connect_to(&mut self, listener: usize) -> ScriptedSocket {
        let socket = self.world.connect(listener);
        self.settle();
        socket
    }

    /// One turn, after which everything that can be counted is right.
    fn turn(&mut self) -> Polled {
        self.turn.turn().unwrap();
        self.check();
        self.world.last_poll()
    }

    /// Turns until nothing is left to do now. Returns how long the loop would sleep.
    fn settle(&mut self) -> Option<Duration> {
        for _ in 0..TOO_MANY_TURNS {
            let polled = self.turn();
            if !self.turn.goes_on() || (polled.events == 0 && polled.timeout != Some(Duration::ZERO)) {
                return polled.timeout;
            }
        }
        panic!("the loop spins: {:?}", self.turn.desk.stats);
    }

    /// Time passes while the loop sleeps.
    fn elapse(&mut self, time: Duration) {
        self.world.advance(time);
        self.turn();
        self.settle();
    }

    /// Turns until a worker has woken the loop.
    fn await_wake(&mut self) {
        while !self.woken.load(Ordering::Acquire) {
            self.wakes.recv_timeout(GUARD).expect("nobody woke the loop");
        }
        self.settle();
    }

    /// What is counted is what there is, and nobody is in a list twice.
    fn check(&mut self) {
        let held: usize = self.turn.conns.iter().map(|(_, conn)| conn.held_bytes()).sum();
        assert_eq!(self.turn.desk.stats.buffered_bytes, held as u64, "buffered bytes");
        let open = self.turn.conns.len() - self.turn.refused_open;
        assert_eq!(self.turn.desk.stats.open, open as u64, "open connections");
        let mut ready: Vec<usize> = self.turn.ready.iter().copied().collect();
        ready.sort_unstable();
        assert!(ready.windows(2).all(|pair| pair[0] != pair[1]), "a key is in the ready queue twice");
        assert!(self.turn.owed.dirty.is_empty(), "a message was left unwritten at the end of a turn");
        assert!(self.turn.ending.is_empty(), "a service was not told of an end within the turn");
        assert!(self.turn.closed.is_empty(), "a closed connection was kept");
        assert!(self.turn.desk.replies.is_empty(), "a reply was left in the outbox");
        assert!(self.turn.desk.dropped.is_empty(), "what one connection has missed was left to be taken for another's");
        assert!(self.turn.desk.pending_actions.actions.is_empty(), "an action was left to be taken for another's");
    }

    fn log(&self) -> Vec<String> {
        self.puppet.take_log()
    }

    fn is_held(&self, socket: &ScriptedSocket) -> bool {
        self.world.key_of(socket).is_some_and(|key| self.turn.conns.get(key).is_some())
    }
}

/// `payloads` as frames, one after the other.
fn wire<P: AsRef<[u8]>>(payloads: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut bytes = Vec::new();
    payloads.into_iter().for_each(|payload| encode(FRAMING, payload.as_ref(), &mut bytes).unwrap());
    bytes
}

/// The whole frames in `bytes`, and how many bytes of another follow them.
fn frames(bytes: &[u8]) -> (Vec<String>, usize) {
    let mut decoder = FrameDecoder::new(FRAMING, usize::MAX);
    let mut input = bytes;
    let mut payloads = Vec::new();
    while let Some(payload) = decoder.decode(&mut input).unwrap() {
        payloads.push(String::from_utf8_lossy(payload).into_owned());
    }
    (payloads, decoder.unfinished_bytes().unwrap_or(0))
}

/// What a client has received, all of it whole frames.
fn heard(socket: &ScriptedSocket) -> Vec<String> {
    let (payloads, rest) = frames(&socket.written());
    assert_eq!(rest, 0, "half a frame was sent");
    payloads
}
