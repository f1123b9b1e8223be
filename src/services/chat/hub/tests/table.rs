//! A hub, whoever speaks to it, and what an engine would do between them: turns, ends, the clock.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use super::*;

/// Something to say many things at once with.
pub(super) struct Batch {
    pub(super) to: Vec<ConnId>,
    pub(super) payloads: Vec<Payload>,
    pub(super) ticket: BatchId,
}

/// What the hub has done, and what it has asked for.
#[derive(Default)]
pub(super) struct Notebook {
    /// What has come for each connection, in order.
    pub(super) heard: HashMap<ConnId, VecDeque<Payload>>,
    pub(super) datagrams: HashMap<SocketAddr, VecDeque<Payload>>,
    /// Kept apart instead of delivered, while a test wishes to lose some of them.
    pub(super) held: Option<Vec<Batch>>,
    /// How often the hub has spoken, and of how many receivers.
    pub(super) calls: usize,
    pub(super) receivers: usize,
    closing: Vec<(ConnId, Cow<'static, str>)>,
    /// The connection that a callback is about.
    current: Option<ConnId>,
    draining: Vec<ConnId>,
    turn_end_requested: bool,
    expiries: Vec<Duration>,
    pub(super) shut_down: bool,
}

impl Outlet for Notebook {
    fn send(&mut self, to: ConnId, payload: Payload) {
        self.calls += 1;
        self.receivers += 1;
        if !self.is_closing(to) {
            self.heard.entry(to).or_default().push_back(payload);
        }
    }

    fn batch(&mut self, to: &[ConnId], payloads: &[Payload], ticket: BatchId) {
        self.calls += 1;
        self.receivers += to.len();
        let batch = Batch { to: to.to_vec(), payloads: payloads.to_vec(), ticket };
        match &mut self.held {
            Some(held) if ticket != BatchId::NONE => held.push(batch),
            _ => self.deliver(&batch, |_| true),
        }
    }

    fn datagram(&mut self, to: SocketAddr, payload: Payload) {
        self.calls += 1;
        self.datagrams.entry(to).or_default().push_back(payload);
    }

    fn close(&mut self, conn: ConnId, words: Cow<'static, str>) {
        self.calls += 1;
        self.closing.push((conn, words));
    }

    fn flush_later(&mut self) {
        self.turn_end_requested = true;
    }

    fn watch_drain(&mut self) {
        let current = self.current.expect("only a connection can be watched");
        if !self.draining.contains(&current) {
            self.draining.push(current);
        }
    }

    fn expire_after(&mut self, after: Duration) {
        self.expiries.push(after);
    }

    fn shutdown(&mut self) {
        self.shut_down = true;
    }
}

impl Notebook {
    /// Whether no more is said to somebody, or heard of it.
    fn is_closing(&self, conn: ConnId) -> bool {
        self.closing.iter().any(|(closing, _)| *closing == conn)
    }

    pub(super) fn deliver(&mut self, batch: &Batch, to: impl Fn(ConnId) -> bool) {
        for conn in batch.to.iter().copied().filter(|conn| to(*conn)) {
            if !self.is_closing(conn) {
                self.heard.entry(conn).or_default().extend(batch.payloads.iter().cloned());
            }
        }
    }
}

/// All of it together.
pub(super) struct Table {
    pub(super) hub: Hub,
    pub(super) out: Notebook,
    pub(super) now: Instant,
    wall: SystemTime,
    conns: usize,
    expiry: Option<Instant>,
    /// Those whom the hub has hung up on.
    pub(super) ended: Vec<ConnId>,
}

pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Table {
    pub(super) fn new(rules: Rules) -> Self {
        let hub = Hub::new(rules, Palette::default());
        let (out, now, wall) = (Notebook::default(), Instant::now(), SystemTime::UNIX_EPOCH);
        Self { hub, out, now, wall, conns: 0, expiry: None, ended: Vec::new() }
    }

    fn callback<T>(&mut self, current: Option<ConnId>, call: impl FnOnce(&mut Hub, When, &mut Notebook) -> T) -> T {
        self.out.current = current;
        let value = call(&mut self.hub, When { now: self.now, wall: self.wall }, &mut self.out);
        self.out.current = None;
        if let Some(after) = self.out.expiries.drain(..).min() {
            self.expiry = Some(self.now + after);
        }
        value
    }

    pub(super) fn connect(&mut self, dialect: Dialect, from: IpAddr) -> ConnId {
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.callback(Some(conn), |hub, _, out| hub.open(conn, dialect, Some(from), out));
        conn
    }

    pub(super) fn connect_console(&mut self) -> ConnId {
        self.conns += 1;
        self.hub.open_console(ConnId(self.conns));
        ConnId(self.conns)
    }

    pub(super) fn say(&mut self, conn: ConnId, frame: &[u8]) {
        self.callback(Some(conn), |hub, when, out| hub.hear(conn, frame, when, out));
    }

    /// As an engine cuts them; once the hub has hung up, no more is read.
    pub(super) fn say_lines(&mut self, conn: ConnId, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n') {
            if !self.out.is_closing(conn) {
                self.say(conn, line);
            }
        }
    }

    pub(super) fn say_datagram(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.callback(None, |hub, when, out| hub.hear_datagram(from, datagram, when, out));
    }

    pub(super) fn close(&mut self, conn: ConnId, reason: &CloseReason) {
        self.callback(Some(conn), |hub, _, out| hub.close(conn, reason, out));
        self.out.draining.retain(|other| *other != conn);
    }

    pub(super) fn tell_dropped(&mut self, conn: ConnId, ticket: BatchId, frames: u32) {
        self.callback(Some(conn), |hub, _, out| hub.dropped(conn, ticket, frames, out));
    }

    pub(super) fn flush(&mut self) {
        self.out.turn_end_requested = false;
        self.callback(None, |hub, _, out| hub.flush(out));
    }

    /// Tells those who wait for room that there is some; whether anybody did.
    pub(super) fn drain(&mut self) -> bool {
        let draining = std::mem::take(&mut self.out.draining);
        for conn in &draining {
            self.callback(Some(*conn), |hub, _, out| hub.drained(*conn, out));
        }
        !draining.is_empty()
    }

    /// Whether something was asked for that has not been done yet.
    pub(super) fn is_busy(&self) -> bool {
        self.out.turn_end_requested || !self.out.draining.is_empty()
    }

    /// Ends the turn, and makes others until nothing is left to do.
    pub(super) fn settle(&mut self) {
        loop {
            if self.out.turn_end_requested {
                self.flush();
            }
            for (conn, words) in std::mem::take(&mut self.out.closing) {
                if !self.ended.contains(&conn) {
                    self.ended.push(conn);
                    self.close(conn, &CloseReason::Service(words));
                }
            }
            if self.out.shut_down {
                self.close_all();
            }
            if !self.drain() && !self.out.turn_end_requested && self.out.closing.is_empty() {
                return;
            }
        }
    }

    fn close_all(&mut self) {
        for conn in (1..=self.conns).map(ConnId) {
            if !self.ended.contains(&conn) {
                self.ended.push(conn);
                self.close(conn, &CloseReason::ShuttingDown);
            }
        }
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(due) = self.expiry.filter(|due| *due <= until) {
            self.expiry = None;
            self.set_clock(due);
            self.callback(None, |hub, when, out| hub.expire(when.now, out));
            self.settle();
        }
        self.set_clock(until);
    }

    fn set_clock(&mut self, now: Instant) {
        self.wall += now - self.now;
        self.now = now;
    }

    /// All that has come for somebody since this was last asked.
    pub(super) fn heard(&mut self, conn: ConnId) -> Vec<Payload> {
        self.out.heard.remove(&conn).map(Vec::from).unwrap_or_default()
    }
}
