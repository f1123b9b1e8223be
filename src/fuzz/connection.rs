//! Runs a script against connections to the echo service: frames whole and cut, garbage, short
//! reads and writes, full buffers, late and spurious events, time, ends, resets, a drain.
//!
//! - After each turn the invariants of the loop hold, see `reactor/scripted_check.rs`.
//! - A client receives a beginning of its echoes, in order and unchanged.
//! - If it sent its end, read everything and no call failed, it receives all of them.

use std::io;
use std::time::Duration;

use super::script::Script;
use crate::connection::scripted_stream::{ScriptedCall, ScriptedSocket};
use crate::engine::limits::{Limits, SlowConsumer};
use crate::frame::{FrameDecoder, Framing, encode};
use crate::reactor::scripted_loop::ScriptedLoop;
use crate::services::Echo;

const CLIENTS: usize = 3;

/// The most bytes that one client sends.
const MAX_SENT_BYTES: usize = 256 << 10;

struct Client {
    socket: ScriptedSocket,
    sent: Vec<u8>,
    has_finished: bool,
    /// False if some echoes may be lost.
    is_reliable: bool,
}

/// Runs the target `connection`.
pub fn connection(input: &[u8]) {
    let mut script = Script::new(input);
    let framing = script.choose(&Framing::NAMES.map(|(_, framing)| framing));
    let limits = limits(&mut script);
    let max_frame_bytes = limits.max_frame_bytes;
    // Large holders are closed at the memory limit.
    let is_reliable = limits.max_buffered_bytes == Limits::default().max_buffered_bytes;
    let mut engine = ScriptedLoop::new(limits, framing, Echo.options("echo"), Echo);
    let connect = |number: usize| {
        let socket = engine.connect(([127, 0, 0, 1], 1000 + u16::try_from(number).unwrap_or(0)).into());
        Client { socket, sent: Vec::new(), has_finished: false, is_reliable }
    };
    let mut clients: Vec<Client> = (0..CLIENTS).map(connect).collect();
    for _ in 0..256 {
        if script.is_empty() {
            break;
        }
        apply(&mut script, &mut engine, &mut clients, framing);
    }
    engine.run_until_idle();
    let sockets: Vec<_> = clients.iter().map(|client| client.socket.clone()).collect();
    engine.finish(&sockets);
    for client in &clients {
        client.check(framing, max_frame_bytes);
    }
}

fn limits(script: &mut Script<'_>) -> Limits {
    let which = script.byte();
    let choose = |bit: u8, small, large| if which & 1 << bit == 0 { large } else { small };
    let defaults = Limits::default();
    Limits {
        max_frame_bytes: choose(0, 100, choose(3, 4_000, defaults.max_frame_bytes)),
        max_write_buffer_bytes: choose(1, 4_000, defaults.max_write_buffer_bytes),
        read_budget_bytes: choose(2, 50, defaults.read_budget_bytes),
        max_buffered_bytes: choose(3, 140_000, defaults.max_buffered_bytes),
        slow_consumer: if which & 16 == 0 { SlowConsumer::Disconnect } else { SlowConsumer::DropOldest },
        idle_timeout: Duration::from_secs(choose(5, 5, 0) as u64),
        // The queue is allocated in full at the start.
        max_queued_messages: 1,
        ..defaults
    }
}

fn apply(script: &mut Script<'_>, engine: &mut ScriptedLoop, clients: &mut [Client], framing: Framing) {
    let op = script.byte();
    let Some(client) = clients.get_mut(usize::from(op >> 4) % CLIENTS) else { return };
    match op & 15 {
        0 => client.send_frame(framing, script.byte().into()),
        1 => client.send_frame(framing, 64 * usize::from(script.byte())),
        2 => {
            let count = script.byte();
            client.send(script.take(count.into()));
        }
        3 => (0..script.byte() % 64).for_each(|bytes| client.send_frame(framing, bytes.into())),
        4 => {
            let call = client.call(script);
            client.socket.script_reads([call]);
        }
        5 => {
            let call = client.call(script);
            client.socket.script_writes([call]);
        }
        6 => client.socket.set_room(script.number().into()),
        7 => client.socket.add_room(script.byte().into()),
        8 => client.socket.add_hidden_room(script.byte().into()),
        9 => engine.report(&client.socket, script.byte() & 1 == 0, true),
        10 => {
            client.has_finished = true;
            client.socket.finish();
        }
        11 => {
            (client.has_finished, client.is_reliable) = (true, false);
            client.socket.reset();
        }
        12 => {
            // A peer may be late now, or the engine that drains.
            for client in &mut *clients {
                client.is_reliable = false;
            }
            engine.advance(Duration::from_millis(script.number().into()));
        }
        13 if script.byte() == 0 => {
            for client in &mut *clients {
                client.is_reliable = false;
            }
            engine.drain();
        }
        13 => client.socket.delay_edge(),
        14 => engine.turn(),
        _ => engine.run_until_idle(),
    }
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        if !self.has_finished && self.sent.len() + bytes.len() <= MAX_SENT_BYTES {
            self.sent.extend_from_slice(bytes);
            self.socket.send(bytes);
        }
    }

    fn send_frame(&mut self, framing: Framing, payload_bytes: usize) {
        let payload: Vec<u8> = (b'a'..=b'z').cycle().skip(self.sent.len() % 26).take(payload_bytes).collect();
        let mut frame = Vec::new();
        // A payload that the framing cannot carry is not sent.
        let _ = encode(framing, &payload, &mut frame);
        self.send(&frame);
    }

    fn call(&mut self, script: &mut Script<'_>) -> ScriptedCall {
        match script.byte() {
            0 => ScriptedCall::WouldBlock,
            1 => ScriptedCall::Interrupted,
            2 => {
                self.is_reliable = false;
                ScriptedCall::Fails(io::ErrorKind::ConnectionReset)
            }
            3 => ScriptedCall::Whole,
            bytes => ScriptedCall::AtMost(usize::from(bytes) - 3),
        }
    }

    fn check(&self, framing: Framing, max_frame_bytes: usize) {
        let (expected, received) = (self.echoes(framing, max_frame_bytes), self.socket.written());
        assert!(expected.starts_with(&received), "the echoes differ from what was sent");
        if self.is_reliable {
            assert_eq!(received.len(), expected.len(), "echoes are lost");
        }
    }

    /// Returns the echoes of everything that was sent.
    fn echoes(&self, framing: Framing, max_frame_bytes: usize) -> Vec<u8> {
        let mut decoder = FrameDecoder::new(framing, max_frame_bytes);
        let (mut input, mut echoes) = (&self.sent[..], Vec::new());
        let mut echo = |payload: &[u8]| encode(framing, payload, &mut echoes).expect("a payload can be sent back");
        let failed = loop {
            match decoder.decode(&mut input) {
                Ok(Some(payload)) => echo(payload),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        if !failed && let Some(payload) = decoder.finish() {
            echo(payload);
        }
        echoes
    }
}
