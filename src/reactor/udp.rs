//! UDP: a batch in, a batch of answers out. What a socket cannot take now waits, within bounds, and meanwhile it is not read.

use std::io;
use std::net::SocketAddr;

use super::driver::{Net, SourceKind};
use super::event_loop::{Run, Turn};
use crate::engine::setup::Registered;
use crate::engine::slab::reserved_key;
use crate::net::udp_batch::{BATCH, ReceiveBatch, SendBatch};
use crate::service::context::{Context, ReplyTo};
use crate::service::{ConnId, ServiceId};

/// Datagrams on their way.
pub(super) struct Mail {
    /// One receive batch for all sockets; none where there is no UDP socket.
    incoming: Option<ReceiveBatch>,
    /// What each source still has to send.
    outgoing: Vec<SendBatch>,
    /// The socket whose datagrams are being answered.
    current: Option<usize>,
}

impl Mail {
    pub(super) fn new(any: bool, sources: usize) -> Self {
        let outgoing = (0..sources).map(|_| SendBatch::default()).collect();
        Self { incoming: any.then(ReceiveBatch::new), outgoing, current: None }
    }
}

impl<N: Net> Turn<N> {
    /// One UDP socket's share of a turn.
    pub(super) fn exchange(&mut self, number: usize) {
        self.send_datagrams(number);
        let Some(mut incoming) = self.mail.incoming.take() else { return };
        self.mail.current = Some(number);
        let mut budget = self.desk.limits.datagram_budget;
        while budget > 0 && self.may_receive_datagrams(number) {
            match self.net.receive(number, &mut incoming) {
                Ok(count) => {
                    self.desk.stats.datagrams_in += count as u64;
                    budget = budget.saturating_sub(count);
                    if count < BATCH {
                        self.set_readable(number, false);
                    }
                    self.answer(number, &incoming);
                    self.send_datagrams(number);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.set_readable(number, false),
                // An answer sent earlier found nobody (recv(2), ECONNREFUSED): that is its receiver's affair. Errors are
                // reported one at a time, so reading goes on; the budget bounds how long.
                Err(error) => {
                    log::debug!("a datagram sent earlier came to nothing: {error}");
                    budget -= 1;
                }
            }
        }
        self.mail.current = None;
        self.mail.incoming = Some(incoming);
        if self.may_receive_datagrams(number) {
            self.enqueue(reserved_key(number));
        }
    }

    pub(super) fn owes_datagrams(&self) -> bool {
        self.mail.outgoing.iter().any(|outgoing| !outgoing.is_empty())
    }

    fn may_receive_datagrams(&self, number: usize) -> bool {
        let serving = self.run == Run::Serving;
        let nothing_waits = self.mail.outgoing.get(number).is_some_and(SendBatch::is_empty);
        serving && nothing_waits && self.sources.get(number).is_some_and(|state| state.readable)
    }

    fn set_readable(&mut self, number: usize, readable: bool) {
        if let Some(state) = self.sources.get_mut(number) {
            state.readable = readable;
        }
    }

    fn answer(&mut self, number: usize, incoming: &ReceiveBatch) {
        let Some(id) = self.sources.get(number).map(|state| state.source.service) else { return };
        for at in 0..incoming.heads.len() {
            let Self { services, sources, mail, desk, .. } = self;
            let (Some(Registered { service, .. }), Some(outgoing)) =
                (services.get_mut(id.0), mail.outgoing.get_mut(number))
            else {
                return;
            };
            let Some((from, payload)) = incoming.get(at) else { return };
            // Its sender's address is a lie, and an answer would be answered, for ever.
            if sources.iter().any(|state| state.source.is_at(from)) {
                desk.stats.datagrams_dropped += 1;
                continue;
            }
            let reply_to = ReplyTo::Datagram { outgoing, from };
            let mut cx =
                Context { conn: ConnId::NONE, clock: desk.clock, reply_to, effects: &mut desk.pending_actions };
            service.on_datagram(&mut cx, from, payload);
            self.apply(id, ConnId::NONE);
        }
    }

    /// Queues a datagram that is no direct answer to another.
    pub(super) fn post_datagram(&mut self, service: ServiceId, to: SocketAddr, payload: &[u8]) {
        let fits = |number: &usize| {
            self.sources.get(*number).is_some_and(|state| {
                let SourceKind::Datagrams { local } = state.source.kind else { return false };
                state.source.service == service && local.is_ipv4() == to.is_ipv4()
            })
        };
        let number = self.mail.current.filter(fits).or_else(|| (0..self.sources.len()).find(fits));
        let outgoing = number.and_then(|number| self.mail.outgoing.get_mut(number));
        let room = outgoing.filter(|outgoing| !outgoing.is_full(self.desk.limits.max_write_buffer_bytes));
        let queued = room.is_some_and(|outgoing| outgoing.push(to, payload).is_ok());
        if !queued {
            self.desk.stats.datagrams_dropped += 1;
        }
        // The socket whose turn it is sends at the end of its batch; any other has to be given a turn.
        if let Some(number) = number.filter(|number| queued && self.mail.current != Some(*number)) {
            self.enqueue(reserved_key(number));
        }
    }

    /// Sends what waits, as far as the socket takes it.
    fn send_datagrams(&mut self, number: usize) {
        let Self { net, sources, mail, desk, .. } = self;
        let (Some(outgoing), Some(state)) = (mail.outgoing.get_mut(number), sources.get_mut(number)) else { return };
        let mut done = 0;
        while state.writable && done < outgoing.len() {
            match net.send(number, outgoing, done) {
                Ok(count) => {
                    done += count;
                    desk.stats.datagrams_out += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.writable = false,
                // This one cannot be sent, to that address or at that size (send(2), EMSGSIZE); the others can.
                Err(error) => {
                    log::debug!("a datagram could not be sent: {error}");
                    done += 1;
                    desk.stats.datagrams_dropped += 1;
                }
            }
        }
        outgoing.remove_first(done);
        desk.stats.datagrams_dropped += outgoing.take_rejected();
    }
}
