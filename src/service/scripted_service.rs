//! A service for the tests of both engines. It runs commands from its peers and logs its callbacks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::frame::Payload;
use crate::service::CloseReason;
use crate::service::Context;
use crate::service::{BatchId, ConnId, JobId, JobOutput, Message, Peer, Service, TimerId};

/// Runs the command in the first word of a payload, and echoes every other payload. Connections are
/// numbered in the order of their opening.
#[derive(Clone, Default)]
pub(crate) struct ScriptedService(Arc<Mutex<ServiceScript>>);

/// The report of a close, or of a dropped batch, to all members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LossReport {
    #[default]
    None,
    /// A close is broadcast in `on_close`.
    Broadcast,
    /// A close or a dropped batch is reported at the turn's end.
    AtTurnEnd,
}

/// The state shared by the test and the service.
#[derive(Default)]
pub(crate) struct ServiceScript {
    pub(crate) log: Vec<String>,
    pub(crate) members: Vec<ConnId>,
    /// The reply in each connection's `on_close`.
    pub(crate) close_reply: Option<String>,
    pub(crate) loss_report: LossReport,
    /// Each timer that fires sets another for the same time.
    pub(crate) rearms_timers: bool,
    /// Payloads that `collect` has collected for the turn's end.
    collected: Vec<Payload>,
    /// The id of the last batch.
    last_batch: u64,
    /// Each `on_turn_end` requests the next.
    pub(crate) requests_every_turn_end: bool,
    /// Bytes that `stream` has yet to send, 100 at a time.
    stream_bytes: usize,
    timers: Vec<TimerId>,
    /// A lock that keeps jobs from ending while the test holds it.
    gate: Arc<Mutex<()>>,
    /// Called in each callback: the time that it takes on the test's clock.
    pub(crate) cost: Option<Arc<dyn Fn() + Send + Sync>>,
    /// The number of callbacks made.
    pub(crate) callbacks: usize,
}

impl ScriptedService {
    pub(crate) fn script(&self) -> MutexGuard<'_, ServiceScript> {
        self.0.lock().unwrap()
    }

    /// Returns the lines logged since the last call.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.script().log)
    }

    /// Counts a callback and takes its time.
    fn spend(&self) {
        let mut script = self.script();
        script.callbacks += 1;
        let cost = script.cost.clone();
        drop(script);
        cost.inspect(|cost| cost());
    }

    pub(crate) fn gate(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.script().gate)
    }
}

impl ServiceScript {
    fn note(&mut self, what: &str, conn: ConnId, more: &str) {
        let number = self.members.iter().position(|id| *id == conn);
        let name = number.map_or("none".to_owned(), |number| number.to_string());
        self.log.push(format!("{what} {name} {more}").trim_end().to_owned());
    }

    fn member(&self, number: &str) -> ConnId {
        number.parse().ok().and_then(|number: usize| self.members.get(number).copied()).unwrap_or(ConnId::NONE)
    }

    fn collect(&mut self, cx: &mut Context<'_>, words: &str) {
        self.collected.push(words.into());
        cx.notify_turn_end();
    }

    fn broadcast(&mut self, cx: &mut Context<'_>, words: &[Payload]) {
        self.last_batch += 1;
        cx.broadcast_batch(&self.members, words, BatchId(self.last_batch));
    }

    fn stream(&mut self, cx: &mut Context<'_>) {
        let piece = self.stream_bytes.min(100);
        self.stream_bytes -= piece;
        cx.reply(&vec![b's'; piece]);
        if self.stream_bytes > 0 {
            cx.notify_writable();
        }
    }

    fn run_command(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload);
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match word {
            "big" => cx.reply(&vec![b'#'; rest.parse().unwrap_or(0)]),
            "send" => {
                let (to, words) = rest.split_once(' ').unwrap_or((rest, ""));
                cx.send(self.member(to), words);
            }
            // Asks for actions and gives a reply that cannot be sent, which closes the connection.
            "fail" => {
                cx.set_timer(Duration::from_secs(1));
                cx.offload(|| "a secret".to_owned());
                cx.send(self.member(rest), "before the end");
                cx.reply(&vec![0; 70_000]);
            }
            "all" => cx.broadcast(&self.members, rest),
            // Sends to all members, together with the other payloads collected in this turn.
            "collect" => self.collect(cx, rest),
            // Sends to all members, batch by batch, and then replies.
            "batch" => {
                for batch in rest.split('|') {
                    self.broadcast(cx, &batch.split(' ').map(Payload::from).collect::<Vec<_>>());
                }
                cx.reply(b"done");
            }
            // Sends the same words as a reply and as a message to itself.
            "twice" => {
                cx.reply(rest.as_bytes());
                cx.send(cx.conn(), rest);
            }
            // The same in the other order.
            "send-then-reply" => {
                cx.send(cx.conn(), format!("sent {rest}"));
                cx.reply(format!("replied {rest}").as_bytes());
            }
            // Echoes, and asks for an action without effect.
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
            // Offloads a job that holds so many bytes.
            "large-job" => {
                let (gate, words) = (Arc::clone(&self.gate), rest.to_owned());
                cx.offload_holding(rest.parse().unwrap_or(0), move || {
                    drop(gate.lock());
                    words
                });
            }
            // Declares bytes kept for a member.
            "hold" => {
                let (member, bytes) = rest.split_once(' ').unwrap_or((rest, ""));
                cx.hold(self.member(member), bytes.parse().unwrap_or(0));
            }
            "panic" => _ = cx.offload(|| panic!("as asked")),
            "stream" => {
                self.stream_bytes = rest.parse().unwrap_or(0);
                self.stream(cx);
            }
            "stop" => cx.drain(),
            "quiet" => {}
            _ => cx.reply(payload),
        }
    }
}

impl Service for ScriptedService {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.spend();
        let mut script = self.script();
        script.members.push(cx.conn());
        script.note("open", cx.conn(), "");
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        self.spend();
        assert_ne!(payload, b"bug", "as asked");
        self.script().run_command(cx, payload);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        self.spend();
        match payload.strip_prefix(b"forward ") {
            Some(words) => cx.datagram(SocketAddr::from(([127, 0, 0, 1], 9)), words),
            None if payload == b"stop" => cx.drain(),
            None => cx.reply(payload),
        }
        assert!(cx.conn() == ConnId::NONE && from.port() > 0);
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        self.spend();
        let mut script = self.script();
        script.note("writable", cx.conn(), "");
        if script.stream_bytes > 0 {
            script.stream(cx);
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        self.spend();
        let mut script = self.script();
        let number = script.timers.iter().position(|known| *known == timer);
        script.note("timer", cx.conn(), &number.map_or(String::new(), |number| format!("#{number}")));
        cx.reply(b"tick");
        if script.rearms_timers {
            let again = cx.set_timer(Duration::ZERO);
            script.timers.push(again);
        }
    }

    fn on_job(&mut self, cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        self.spend();
        let words = output.take::<String>().unwrap_or_else(|error| error.to_string());
        self.script().note("job", cx.conn(), &words);
        cx.reply(words.as_bytes());
    }

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        self.spend();
        let words = message.downcast::<String>().unwrap();
        let mut script = self.script();
        script.note("post", cx.conn(), &words);
        script.run_command(cx, words.as_bytes());
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        self.spend();
        let mut script = self.script();
        let collected = std::mem::take(&mut script.collected);
        script.note("turn_end", cx.conn(), &collected.len().to_string());
        assert_eq!(cx.framing(), None);
        script.broadcast(cx, &collected);
        if script.requests_every_turn_end {
            cx.notify_turn_end();
        }
    }

    fn on_dropped(&mut self, cx: &mut Context<'_>, batch: BatchId, frames: u32) {
        self.spend();
        let mut script = self.script();
        script.note("dropped", cx.conn(), &format!("{frames} of {}", batch.0));
        cx.notify_writable();
        if script.loss_report == LossReport::AtTurnEnd {
            script.collect(cx, "a member is slow");
        }
    }

    fn on_shutdown(&mut self, cx: &mut Context<'_>) {
        self.spend();
        self.script().note("shutdown", cx.conn(), "");
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        self.spend();
        let mut script = self.script();
        script.note("close", cx.conn(), &reason.to_string());
        if let Some(words) = &script.close_reply {
            cx.reply(words.as_bytes());
        }
        if script.loss_report == LossReport::AtTurnEnd {
            script.collect(cx, "a member left");
        }
        if script.loss_report == LossReport::Broadcast {
            let number = script.members.iter().position(|id| *id == cx.conn()).unwrap();
            cx.broadcast(&script.members, format!("{number} left"));
        }
    }
}
