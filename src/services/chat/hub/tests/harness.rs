//! A hub with simulated connections, and the parts of an engine that it needs: turns, closes, the
//! clock.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::services::chat::colour::Palette;

/// One call of `send_batch`.
pub(super) struct SentBatch {
    pub(super) to: Vec<ConnId>,
    pub(super) payloads: Vec<Payload>,
    pub(super) batch: BatchId,
}

/// The output of the hub: what it has sent, and which callbacks it has requested.
#[derive(Default)]
pub(super) struct RecordedOutput {
    /// Payloads delivered to each connection, in order.
    pub(super) delivered: HashMap<ConnId, VecDeque<Payload>>,
    pub(super) datagrams: HashMap<SocketAddr, VecDeque<Payload>>,
    /// `Some` while a test holds batches back, to drop some of them.
    pub(super) held: Option<Vec<SentBatch>>,
    /// Number of output calls, and the sum of their receivers.
    pub(super) calls: usize,
    pub(super) receivers: usize,
    closing: Vec<(ConnId, Cow<'static, str>)>,
    /// The connection of the current callback.
    current: Option<ConnId>,
    awaiting_writable: Vec<ConnId>,
    is_turn_end_requested: bool,
    timers: Vec<Duration>,
    /// Warnings for the log, each with its cause.
    pub(super) warnings: Vec<(&'static str, String)>,
    pub(super) is_shut_down: bool,
}

impl HubOutput for RecordedOutput {
    fn send(&mut self, to: ConnId, payload: Payload) {
        self.calls += 1;
        self.receivers += 1;
        if !self.is_closing(to) {
            self.delivered.entry(to).or_default().push_back(payload);
        }
    }

    fn send_batch(&mut self, to: &[ConnId], payloads: &[Payload], batch: BatchId) {
        self.calls += 1;
        self.receivers += to.len();
        let sent = SentBatch { to: to.to_vec(), payloads: payloads.to_vec(), batch };
        match &mut self.held {
            Some(held) if batch != BatchId::NONE => held.push(sent),
            _ => self.deliver(&sent, |_| true),
        }
    }

    fn send_datagram(&mut self, to: SocketAddr, payload: Payload) {
        self.calls += 1;
        self.datagrams.entry(to).or_default().push_back(payload);
    }

    fn close(&mut self, conn: ConnId, reason: Cow<'static, str>) {
        self.calls += 1;
        self.closing.push((conn, reason));
    }

    fn notify_turn_end(&mut self) {
        self.is_turn_end_requested = true;
    }

    fn notify_writable(&mut self) {
        let current = self.current.expect("notify_writable needs a callback of a connection");
        if !self.awaiting_writable.contains(&current) {
            self.awaiting_writable.push(current);
        }
    }

    fn set_timer(&mut self, after: Duration) {
        self.timers.push(after);
    }

    fn warn(&mut self, cause: &'static str, line: fmt::Arguments<'_>) {
        self.warnings.push((cause, line.to_string()));
    }

    fn drain(&mut self) {
        self.is_shut_down = true;
    }
}

impl RecordedOutput {
    /// Returns true if the hub has closed the connection in this turn.
    fn is_closing(&self, conn: ConnId) -> bool {
        self.closing.iter().any(|(closing, _)| *closing == conn)
    }

    /// Delivers a batch to those of its receivers that `to` accepts.
    pub(super) fn deliver(&mut self, sent: &SentBatch, to: impl Fn(ConnId) -> bool) {
        for conn in sent.to.iter().copied().filter(|conn| to(*conn)) {
            if !self.is_closing(conn) {
                self.delivered.entry(conn).or_default().extend(sent.payloads.iter().cloned());
            }
        }
    }
}

/// A hub, its output and a clock.
pub(super) struct HubHarness {
    pub(super) hub: Hub,
    pub(super) out: RecordedOutput,
    pub(super) now: Instant,
    wall: SystemTime,
    conns: usize,
    timer: Option<Instant>,
    /// Connections that the hub has closed.
    pub(super) closed: Vec<ConnId>,
}

/// The address of the test's own machine.
pub(super) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl HubHarness {
    pub(super) fn new(config: ChatConfig) -> Self {
        let hub = Hub::new(config, Palette::default());
        let (out, now, wall) = (RecordedOutput::default(), Instant::now(), SystemTime::UNIX_EPOCH);
        Self { hub, out, now, wall, conns: 0, timer: None, closed: Vec::new() }
    }

    fn callback<T>(
        &mut self,
        current: Option<ConnId>,
        call: impl FnOnce(&mut Hub, EventTime, &mut RecordedOutput) -> T,
    ) -> T {
        self.out.current = current;
        let value = call(&mut self.hub, EventTime { now: self.now, wall: self.wall }, &mut self.out);
        self.out.current = None;
        if let Some(after) = self.out.timers.drain(..).min() {
            self.timer = Some(self.now + after);
        }
        value
    }

    pub(super) fn connect(&mut self, dialect: ChatDialect, from: IpAddr) -> ConnId {
        self.conns += 1;
        let conn = ConnId(self.conns);
        let peer = SocketAddr::new(from, 30_000 + self.conns as u16);
        self.callback(Some(conn), |hub, time, out| hub.on_open(conn, dialect, Some(peer), time.now, out));
        conn
    }

    pub(super) fn connect_console(&mut self) -> ConnId {
        self.conns += 1;
        self.hub.on_console_open(ConnId(self.conns));
        ConnId(self.conns)
    }

    /// Passes a frame of a connection to the hub.
    pub(super) fn receive(&mut self, conn: ConnId, frame: &[u8]) {
        self.callback(Some(conn), |hub, time, out| hub.on_frame(conn, frame, time, out));
    }

    /// Passes lines to the hub, split as an engine splits them. An engine reads no more after a
    /// close.
    pub(super) fn receive_lines(&mut self, conn: ConnId, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n') {
            if !self.out.is_closing(conn) {
                self.receive(conn, line);
            }
        }
    }

    pub(super) fn receive_datagram(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.callback(None, |hub, time, out| hub.on_datagram(from, datagram, time, out));
    }

    pub(super) fn close(&mut self, conn: ConnId, reason: &CloseReason) {
        self.callback(Some(conn), |hub, _, out| hub.on_close(conn, reason, out));
        self.out.awaiting_writable.retain(|other| *other != conn);
    }

    pub(super) fn report_dropped(&mut self, conn: ConnId, batch: BatchId, frames: u32) {
        self.callback(Some(conn), |hub, _, out| hub.on_dropped(conn, batch, frames, out));
    }

    pub(super) fn end_turn(&mut self) {
        self.out.is_turn_end_requested = false;
        self.callback(None, |hub, _, out| hub.on_turn_end(out));
    }

    /// Calls `on_writable` for the connections that wait for it. Returns true if there were any.
    pub(super) fn report_writable(&mut self) -> bool {
        let conns = std::mem::take(&mut self.out.awaiting_writable);
        for conn in &conns {
            self.callback(Some(*conn), |hub, _, out| hub.on_writable(*conn, out));
        }
        !conns.is_empty()
    }

    /// Returns true if a requested callback is outstanding.
    pub(super) fn is_busy(&self) -> bool {
        self.out.is_turn_end_requested || !self.out.awaiting_writable.is_empty()
    }

    /// Runs turns until no requested callback is outstanding.
    pub(super) fn run_until_idle(&mut self) {
        loop {
            if self.out.is_turn_end_requested {
                self.end_turn();
            }
            for (conn, reason) in std::mem::take(&mut self.out.closing) {
                if !self.closed.contains(&conn) {
                    self.closed.push(conn);
                    self.close(conn, &CloseReason::Service(reason));
                }
            }
            if self.out.is_shut_down {
                self.close_all();
            }
            if !self.report_writable() && !self.out.is_turn_end_requested && self.out.closing.is_empty() {
                return;
            }
        }
    }

    fn close_all(&mut self) {
        for conn in (1..=self.conns).map(ConnId) {
            if !self.closed.contains(&conn) {
                self.closed.push(conn);
                self.close(conn, &CloseReason::ShuttingDown);
            }
        }
    }

    /// Advances the clock, and runs the timers that expire meanwhile.
    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(due) = self.timer.filter(|due| *due <= until) {
            self.timer = None;
            self.set_clock(due);
            self.callback(None, |hub, time, out| hub.on_timer(time.now, out));
            self.run_until_idle();
        }
        self.set_clock(until);
    }

    fn set_clock(&mut self, now: Instant) {
        self.wall += now - self.now;
        self.now = now;
    }

    /// Takes the payloads delivered to a connection since the last call.
    pub(super) fn take_delivered(&mut self, conn: ConnId) -> Vec<Payload> {
        self.out.delivered.remove(&conn).map(Vec::from).unwrap_or_default()
    }
}
