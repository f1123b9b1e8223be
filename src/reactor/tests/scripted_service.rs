//! A service that does what its peers tell it to, and notes everything that it is told by the engine.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::frame::Payload;
use crate::service::CloseReason;
use crate::service::Context;
use crate::service::{BatchId, ConnId, JobId, JobOutput, Message, Peer, Service, TimerId};

/// Obeys the first word of a payload; every other payload is echoed. Connections are numbered in the order of their opening.
#[derive(Clone, Default)]
pub(super) struct Puppet(Arc<Mutex<Strings>>);

/// What the test and the service share.
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each set and cleared on its own")]
#[derive(Default)]
pub(super) struct Strings {
    pub(super) log: Vec<String>,
    pub(super) members: Vec<ConnId>,
    /// Each connection's reply in its own `on_close`, if any.
    pub(super) farewell: Option<String>,
    /// Everybody is told who has left.
    pub(super) announces: bool,
    /// Each timer that fires sets another for the same moment.
    pub(super) rearms: bool,
    /// What `say` has collected for everybody.
    collected: Vec<Payload>,
    /// The ticket of the last batch.
    last_ticket: u64,
    /// Whoever leaves, or misses a batch, has that said to all at the turn's end.
    pub(super) gossips: bool,
    /// Each `on_turn_end` asks for the next.
    pub(super) is_restless: bool,
    /// Bytes to be sent by `stream`, a hundred at a time.
    left_to_stream: usize,
    timers: Vec<TimerId>,
    /// Held by the test, it keeps jobs from ending.
    gate: Arc<Mutex<()>>,
}

impl Puppet {
    pub(super) fn strings(&self) -> MutexGuard<'_, Strings> {
        self.0.lock().unwrap()
    }

    /// What was noted since the last call.
    pub(super) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.strings().log)
    }

    pub(super) fn gate(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.strings().gate)
    }
}

impl Strings {
    fn note(&mut self, what: &str, conn: ConnId, more: &str) {
        let number = self.members.iter().position(|id| *id == conn);
        let who = number.map_or("nobody".to_owned(), |number| number.to_string());
        self.log.push(format!("{what} {who} {more}").trim_end().to_owned());
    }

    fn member(&self, number: &str) -> ConnId {
        number.parse().ok().and_then(|number: usize| self.members.get(number).copied()).unwrap_or(ConnId::NONE)
    }

    fn collect(&mut self, cx: &mut Context<'_>, words: &str) {
        self.collected.push(words.into());
        cx.notify_turn_end();
    }

    fn broadcast(&mut self, cx: &mut Context<'_>, words: &[Payload]) {
        self.last_ticket += 1;
        cx.broadcast_batch(&self.members, words, BatchId(self.last_ticket));
    }

    fn stream(&mut self, cx: &mut Context<'_>) {
        let piece = self.left_to_stream.min(100);
        self.left_to_stream -= piece;
        cx.reply(&vec![b's'; piece]);
        if self.left_to_stream > 0 {
            cx.notify_writable();
        }
    }

    fn obey(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload);
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match word {
            "big" => cx.reply(&vec![b'#'; rest.parse().unwrap_or(0)]),
            "tell" => {
                let (to, words) = rest.split_once(' ').unwrap_or((rest, ""));
                cx.send(self.member(to), words);
            }
            // Acts, and cannot be answered: its connection ends.
            "fail" => {
                cx.set_timer(Duration::from_secs(1));
                cx.offload(|| "a secret".to_owned());
                cx.send(self.member(rest), "before the end");
                cx.reply(&vec![0; 70_000]);
            }
            "all" => cx.broadcast(&self.members, rest),
            // To all, together with what others say in this turn.
            "say" => self.collect(cx, rest),
            // To all, batch by batch; and then a reply.
            "batch" => {
                for batch in rest.split('|') {
                    self.broadcast(cx, &batch.split(' ').map(Payload::from).collect::<Vec<_>>());
                }
                cx.reply(b"done");
            }
            // Says the same words in both ways, and lets the engine put them in order.
            "twice" => {
                cx.reply(rest.as_bytes());
                cx.send(cx.conn(), rest);
            }
            // The other way round.
            "eciwt" => {
                cx.send(cx.conn(), format!("sent {rest}"));
                cx.reply(format!("replied {rest}").as_bytes());
            }
            // Echoes, and does something of no consequence.
            "act" => {
                cx.reply(payload);
                cx.send(ConnId::NONE, "");
            }
            "close" => cx.close("asked to"),
            "kick" => cx.close_other(self.member(rest), "kicked"),
            "timer" => self.timers.push(cx.set_timer(Duration::from_millis(rest.parse().unwrap_or(0)))),
            "cancel" => self.timers.drain(..).for_each(|timer| cx.cancel_timer(timer)),
            "job" => {
                let (gate, words) = (Arc::clone(&self.gate), rest.to_owned());
                cx.offload(move || {
                    drop(gate.lock());
                    words
                });
            }
            "panic" => _ = cx.offload(|| panic!("as asked")),
            "stream" => {
                self.left_to_stream = rest.parse().unwrap_or(0);
                self.stream(cx);
            }
            "stop" => cx.shutdown(),
            "quiet" => {}
            _ => cx.reply(payload),
        }
    }
}

impl Service for Puppet {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        let mut strings = self.strings();
        strings.members.push(cx.conn());
        strings.note("open", cx.conn(), "");
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        self.strings().obey(cx, payload);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        match payload.strip_prefix(b"forward ") {
            Some(words) => cx.datagram(SocketAddr::from(([127, 0, 0, 1], 9)), words),
            None if payload == b"stop" => cx.shutdown(),
            None => cx.reply(payload),
        }
        assert!(cx.conn() == ConnId::NONE && from.port() > 0);
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        let mut strings = self.strings();
        strings.note("drain", cx.conn(), "");
        if strings.left_to_stream > 0 {
            strings.stream(cx);
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        let mut strings = self.strings();
        let number = strings.timers.iter().position(|known| *known == timer);
        strings.note("timer", cx.conn(), &number.map_or(String::new(), |number| format!("#{number}")));
        cx.reply(b"tick");
        if strings.rearms {
            let again = cx.set_timer(Duration::ZERO);
            strings.timers.push(again);
        }
    }

    fn on_job(&mut self, cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        let words = output.take::<String>().unwrap_or_else(|error| error.to_string());
        self.strings().note("job", cx.conn(), &words);
        cx.reply(words.as_bytes());
    }

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        let words = message.downcast::<String>().unwrap();
        let mut strings = self.strings();
        strings.note("post", cx.conn(), &words);
        strings.obey(cx, words.as_bytes());
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        let mut strings = self.strings();
        let collected = std::mem::take(&mut strings.collected);
        strings.note("flush", cx.conn(), &collected.len().to_string());
        assert_eq!(cx.framing(), None);
        strings.broadcast(cx, &collected);
        if strings.is_restless {
            cx.notify_turn_end();
        }
    }

    fn on_dropped(&mut self, cx: &mut Context<'_>, ticket: BatchId, frames: u32) {
        let mut strings = self.strings();
        strings.note("missed", cx.conn(), &format!("{frames} of {}", ticket.0));
        cx.notify_writable();
        if strings.gossips {
            strings.collect(cx, "somebody is slow");
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        let mut strings = self.strings();
        strings.note("close", cx.conn(), &reason.to_string());
        if let Some(words) = &strings.farewell {
            cx.reply(words.as_bytes());
        }
        if strings.gossips {
            strings.collect(cx, "somebody left");
        }
        if strings.announces {
            let number = strings.members.iter().position(|id| *id == cx.conn()).unwrap();
            cx.broadcast(&strings.members, format!("{number} left"));
        }
    }
}
