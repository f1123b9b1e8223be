//! What a seed decides: the limits, and a list of operations. Nothing else is random.
//!
//! An operation names its peer by a number, modulo the number of peers. So a shorter list of the
//! same operations is a scenario, too.

use std::fmt;
use std::io;
use std::time::Duration;

use fastrand::Rng;

use crate::connection::scripted_stream::ScriptedCall;
use crate::engine::limits::{Limits, SlowConsumer};

/// One event outside of the loop.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// A peer connects. It reads at once, or has room for this many bytes that it has not read.
    Connect {
        kind: PeerKind,
        room: usize,
    },
    /// A peer sends one request, after the rest of an earlier one. The number decides which.
    Ask {
        peer: usize,
        request: u32,
    },
    /// A peer sends the first bytes of a request, and the rest before its next request.
    AskHalf {
        peer: usize,
        request: u32,
        bytes: usize,
    },
    /// A peer sends many small requests.
    Flood {
        peer: usize,
        requests: usize,
    },
    /// A peer sends bytes that are not of its protocol.
    Garbage {
        peer: usize,
        bytes: u32,
    },
    /// A peer reads at most this many bytes.
    Read {
        peer: usize,
        bytes: usize,
    },
    /// A peer closes its writing side.
    Finish {
        peer: usize,
    },
    Reset {
        peer: usize,
    },
    /// The effect of the next read or write of a peer's socket.
    NextRead {
        peer: usize,
        call: ScriptedCall,
    },
    NextWrite {
        peer: usize,
        call: ScriptedCall,
    },
    /// The next poll does not report a peer's socket yet.
    LateEvent {
        peer: usize,
    },
    /// The next poll reports a readiness that has not come.
    SpuriousEvent {
        peer: usize,
        readable: bool,
        writable: bool,
    },
    /// Accepting fails this many times with this system error.
    AcceptFails {
        listener: usize,
        errno: i32,
        times: usize,
    },
    /// The next registration of an accepted socket fails.
    RegisterFails,
    /// The next poll is interrupted by a signal.
    PollInterrupted,
    /// Ends queued jobs, in the order that the number decides.
    Jobs {
        jobs: usize,
        order: usize,
    },
    /// Another thread posts messages to a service.
    Post {
        service: usize,
        messages: usize,
    },
    /// Datagrams arrive from a source at the socket of echo, or of chat.
    Datagrams {
        to_chat: bool,
        source: u16,
        datagrams: usize,
    },
    /// The UDP socket takes no further datagram until `UdpRoom`.
    UdpFull {
        to_chat: bool,
    },
    UdpRoom {
        to_chat: bool,
    },
    /// Time passes while the loop sleeps as long as it asked for.
    Elapse {
        millis: u64,
    },
    /// The process stands still for this long, or a callback takes as long.
    Pause {
        millis: u64,
    },
    Drain,
    Stop,
    Turn,
}

/// The service of a peer, with the framing of its listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerKind {
    Echo,
    ChatJson,
    ChatLines,
    Files,
}

impl PeerKind {
    pub(super) const ALL: [Self; 4] = [Self::Echo, Self::ChatJson, Self::ChatLines, Self::Files];
}

/// The room of a peer that reads at once.
pub(super) const READS_AT_ONCE: usize = usize::MAX;

/// The whole of one simulated run.
#[derive(Clone)]
pub(super) struct Scenario {
    pub(super) limits: Limits,
    /// Requests that the chat takes from one member in a second; 0 for any number.
    pub(super) chat_rate: u32,
    /// Messages that the chat keeps of a room.
    pub(super) kept_messages: usize,
    /// The most sockets that one poll reports.
    pub(super) events_per_poll: usize,
    /// The services also set timers of their own.
    pub(super) sets_timers: bool,
    pub(super) ops: Vec<Op>,
}

impl Scenario {
    /// Returns the scenario of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let limits = limits(rng);
        let (chat_rate, kept_messages) = (if rng.u8(..4) == 0 { 5 } else { 0 }, rng.usize(1..30));
        let events_per_poll = one_of(rng, &[1, 2, 1_024, 1_024]);
        let sets_timers = rng.bool();
        let most = rng.usize(11..80);
        let count = 10 + rng.usize(..most);
        // Most runs have no early end.
        let may_end = rng.u8(..8) == 0;
        let mut ops: Vec<Op> = (0..count).map(|_| op(rng, may_end)).collect();
        if rng.u8(..4) == 0 {
            let at = rng.usize(..ops.len());
            ops.splice(at..at, plot(rng));
        }
        Self { limits, chat_rate, kept_messages, events_per_poll, sets_timers, ops }
    }
}

impl fmt::Debug for Scenario {
    /// Formats the scenario for the report of a failure: what differs from the defaults, then one
    /// operation on a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limits, chat_rate, kept_messages, events_per_poll, sets_timers, ops } = self;
        let (own, default) = (format!("{limits:#?}"), format!("{:#?}", Limits::default()));
        for (own, _) in own.lines().zip(default.lines()).filter(|(own, default)| own != default) {
            writeln!(f, "{own}")?;
        }
        writeln!(f, "    chat_rate: {chat_rate}, kept_messages: {kept_messages}")?;
        writeln!(f, "    events_per_poll: {events_per_poll}, sets_timers: {sets_timers}")?;
        ops.iter().enumerate().try_for_each(|(number, op)| writeln!(f, "{number:4} {op:?}"))
    }
}

/// The number of peers that [`latest`] can name.
pub(super) const LATEST_PEERS: usize = 8;

/// Returns the number of the peer that connected `back` peers before the last one.
const fn latest(back: usize) -> usize {
    usize::MAX - back
}

/// Returns operations that random ones rarely make in this order: a peer does its part in time
/// while the loop does not read it.
fn plot(rng: &mut Rng) -> Vec<Op> {
    let (small, long_message) = (0, 8 | 3 << 9);
    let half = |back| Op::AskHalf { peer: latest(back), request: small, bytes: 3 };
    let elapse = |rng: &mut Rng| Op::Elapse { millis: rng.u64(4_000..7_500) };
    if rng.bool() {
        // What others say waits for it, so the peer is not read, in the middle of a frame.
        let connect = |room| Op::Connect { kind: PeerKind::ChatJson, room };
        let say = Op::Ask { peer: latest(0), request: long_message };
        let read = Op::Read { peer: latest(1), bytes: READS_AT_ONCE };
        let mut ops = vec![connect(600), half(0), connect(READS_AT_ONCE), Op::Elapse { millis: 1 }];
        ops.extend(std::iter::repeat_n(say, rng.usize(1..4)));
        ops.extend([elapse(rng), elapse(rng)]);
        ops.extend([read, Op::Turn].repeat(8));
        ops
    } else {
        // The process stands still after the frames of several peers are complete.
        let connect = Op::Connect { kind: PeerKind::Echo, room: READS_AT_ONCE };
        let peers = || (0..3).rev();
        let ask = |back| Op::Ask { peer: latest(back), request: small };
        let mut ops: Vec<Op> = peers().map(|_| connect).chain(peers().map(half)).collect();
        ops.push(elapse(rng));
        ops.extend(peers().map(ask));
        ops.extend([Op::Pause { millis: rng.u64(4_000..9_000) }, Op::Turn]);
        ops
    }
}

fn limits(rng: &mut Rng) -> Limits {
    let slow_consumer = match rng.u8(..10) {
        0 => SlowConsumer::DropNewest,
        1 => SlowConsumer::DropOldest,
        _ => SlowConsumer::Disconnect,
    };
    let max_write_buffer_bytes = one_of(rng, &[2_000, 8_000, 30_000, 1 << 20]);
    let max_buffered_bytes = one_of(rng, &[12_000, 60_000, 1 << 22, 1 << 22]);
    Limits {
        slow_consumer,
        max_write_buffer_bytes,
        max_buffered_bytes,
        max_connections: one_of(rng, &[2, 5, 20, 20]),
        max_frame_bytes: 10_000,
        read_budget_bytes: one_of(rng, &[200, 1_000, 5_000, 256 << 10]),
        accept_budget: one_of(rng, &[1, 2, 256]),
        datagram_budget: one_of(rng, &[1, 3, 1024]),
        idle_timeout: Duration::from_secs(one_of(rng, &[0, 25])),
        frame_timeout: Duration::from_secs(one_of(rng, &[10, 30])),
        write_timeout: Duration::from_secs(15),
        max_queued_jobs: one_of(rng, &[1, 3, 1024]),
        max_queued_messages: one_of(rng, &[1, 5, 1024]),
        ..Limits::default()
    }
}

fn op(rng: &mut Rng, may_end: bool) -> Op {
    let peer = rng.usize(..8);
    let to_chat = rng.bool();
    match rng.u8(..120) {
        0..10 => Op::Connect { kind: one_of(rng, &PeerKind::ALL), room: room(rng) },
        10..35 => Op::Ask { peer, request: rng.u32(..) },
        35..39 => Op::AskHalf { peer, request: rng.u32(..), bytes: rng.usize(1..40) },
        39..43 => Op::Flood { peer, requests: rng.usize(1..80) },
        43..44 => Op::Garbage { peer, bytes: rng.u32(..) },
        44..52 => Op::Read { peer, bytes: one_of(rng, &[1, 100, 3_000, READS_AT_ONCE]) },
        52..54 => Op::Finish { peer },
        54..55 => Op::Reset { peer },
        55..60 => Op::NextRead { peer, call: call(rng) },
        60..64 => Op::NextWrite { peer, call: call(rng) },
        64..67 => Op::LateEvent { peer },
        67..69 => Op::SpuriousEvent { peer, readable: rng.bool(), writable: rng.bool() },
        69..72 => {
            let errno = one_of(rng, &ACCEPT_ERRORS).raw_os_error();
            Op::AcceptFails { listener: rng.usize(..4), errno, times: rng.usize(1..4) }
        }
        72..73 => Op::RegisterFails,
        73..74 => Op::PollInterrupted,
        74..83 => Op::Jobs { jobs: rng.usize(1..6), order: rng.usize(..8) },
        83..85 => Op::Post { service: rng.usize(..3), messages: rng.usize(1..4) },
        85..88 => Op::Datagrams { to_chat, source: rng.u16(1..4), datagrams: rng.usize(1..70) },
        88..89 => Op::UdpFull { to_chat },
        89..91 => Op::UdpRoom { to_chat },
        91..96 => Op::Elapse { millis: millis(rng) },
        96..98 => Op::Pause { millis: millis(rng) },
        98 if may_end => {
            if rng.u8(..4) == 0 {
                Op::Stop
            } else {
                Op::Drain
            }
        }
        _ => Op::Turn,
    }
}

/// The errors of accept(2) that a busy machine gives.
const ACCEPT_ERRORS: [rustix::io::Errno; 6] = [
    rustix::io::Errno::MFILE,
    rustix::io::Errno::NFILE,
    rustix::io::Errno::NOBUFS,
    rustix::io::Errno::NOMEM,
    rustix::io::Errno::CONNABORTED,
    rustix::io::Errno::INTR,
];

fn room(rng: &mut Rng) -> usize {
    one_of(rng, &[READS_AT_ONCE, READS_AT_ONCE, READS_AT_ONCE, 0, 100, 5_000])
}

fn millis(rng: &mut Rng) -> u64 {
    if rng.bool() { rng.u64(1..200) } else { rng.u64(500..12_000) }
}

fn call(rng: &mut Rng) -> ScriptedCall {
    match rng.u8(..10) {
        0..3 => ScriptedCall::WouldBlock,
        3..5 => ScriptedCall::Interrupted,
        5..7 => ScriptedCall::AtMost(rng.usize(1..20)),
        7..9 => ScriptedCall::AtMost(rng.usize(1..5_000)),
        _ => ScriptedCall::Fails(io::ErrorKind::ConnectionReset),
    }
}

fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}
