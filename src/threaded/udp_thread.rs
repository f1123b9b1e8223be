//! One UDP socket's thread: it waits for a datagram, takes all that are there, and sends the answers with one call. What the
//! socket cannot take now waits, and meanwhile nothing is received.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};

use super::shared::{Booth, Exchange, Mailbox, Run};
use super::socket::poll;
use super::worker::Agent;
use crate::net::udp_batch::UdpBatchIo;
use crate::net::udp_batch::{ReceiveBatch, SendBatch, claims_to_be};
use crate::service::ConnId;
use crate::service::context::{Context, ReplyTo};

/// A UDP socket's thread.
pub(super) struct Postman {
    agent: Agent,
    booth: Arc<Booth>,
    number: usize,
    batcher: UdpBatchIo,
    incoming: ReceiveBatch,
    outgoing: SendBatch,
}

impl Postman {
    pub(super) fn new(exchange: Arc<Exchange>, booth: Arc<Booth>, number: usize) -> Self {
        let tally = exchange.staff_tally();
        let agent = Agent::new(exchange, tally);
        let (batcher, incoming, outgoing) = (UdpBatchIo::new(), ReceiveBatch::new(), SendBatch::default());
        Self { agent, booth, number, batcher, incoming, outgoing }
    }

    /// Answers until the engine drains, and then sends what is still owed until it stops.
    pub(super) fn run(mut self) {
        let exchange = Arc::clone(&self.agent.exchange);
        let Some(mailbox) = exchange.mailboxes.get(self.number) else { return };
        loop {
            let run = exchange.run();
            if run == Run::Stopped || (run == Run::Draining && self.outgoing.is_empty()) {
                break;
            }
            self.agent.publish();
            let wanted = if self.outgoing.is_empty() { PollFlags::IN } else { PollFlags::OUT };
            let change = PollFd::new(exchange.next_change(run), PollFlags::IN);
            poll(&mut [PollFd::new(&mailbox.socket, wanted), change], None);
            self.agent.look_at_the_clock();
            self.agent.desk.stats.turns += 1;
            if !self.outgoing.is_empty() {
                self.send(mailbox);
            } else if exchange.run() == Run::Serving {
                self.receive(mailbox);
            }
        }
        self.agent.publish();
    }

    fn receive(&mut self, mailbox: &Mailbox) {
        match self.batcher.receive(&mailbox.socket, &mut self.incoming) {
            Ok(count) => {
                self.agent.desk.stats.datagrams_in += count as u64;
                self.answer();
                self.send(mailbox);
                self.agent.deliver();
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            // An answer sent earlier found nobody (recv(2), ECONNREFUSED): that is its receiver's affair.
            Err(error) => log::debug!("a datagram sent earlier came to nothing: {error}"),
        }
    }

    /// Has the service answer all that was received, under one taking of its lock.
    fn answer(&mut self) {
        let booth = Arc::clone(&self.booth);
        let Some(mut service) = booth.lock() else { return };
        let exchange = Arc::clone(&self.agent.exchange);
        for at in 0..self.incoming.heads.len() {
            let Some((from, payload)) = self.incoming.get(at) else { break };
            // Its sender's address is a lie, and an answer would be answered, for ever.
            if exchange.mailboxes.iter().any(|mailbox| claims_to_be(from, mailbox.local)) {
                self.agent.desk.stats.datagrams_dropped += 1;
                continue;
            }
            let desk = &mut self.agent.desk;
            let reply_to = ReplyTo::Datagram { batch: &mut self.outgoing, from };
            let mut cx =
                Context { conn: ConnId::NONE, clock: desk.clock, reply_to, effects: &mut desk.pending_actions };
            service.on_datagram(&mut cx, from, payload);
            self.agent.apply(self.booth.id, ConnId::NONE, None);
            self.take_mail();
        }
        self.agent.let_flush(service.as_mut(), self.booth.id, None);
        self.take_mail();
    }

    /// What the callback sends from this very socket goes out in the order in which it was said.
    fn take_mail(&mut self) {
        let Some(here) = self.agent.exchange.mailboxes.get(self.number).map(|mailbox| mailbox.local.is_ipv4()) else {
            return;
        };
        let max_bytes = self.agent.desk.limits.max_write_buffer_bytes;
        for (service, to, payload) in std::mem::take(&mut self.agent.mail) {
            if to.is_ipv4() != here {
                self.agent.mail.push((service, to, payload));
            } else if self.outgoing.is_full(max_bytes) || self.outgoing.push(to, &payload).is_err() {
                self.agent.desk.stats.datagrams_dropped += 1;
            }
        }
    }

    /// Sends what waits, as far as the socket takes it.
    fn send(&mut self, mailbox: &Mailbox) {
        let mut done = 0;
        while done < self.outgoing.len() {
            match self.batcher.send(&mailbox.socket, &self.outgoing, done) {
                Ok(count) => {
                    done += count;
                    self.agent.desk.stats.datagrams_out += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // This one cannot be sent, to that address or at that size (send(2), EMSGSIZE); the others can.
                Err(error) => {
                    log::debug!("a datagram could not be sent: {error}");
                    done += 1;
                    self.agent.desk.stats.datagrams_dropped += 1;
                }
            }
        }
        self.outgoing.remove_first(done);
        self.agent.desk.stats.datagrams_dropped += self.outgoing.take_rejected();
    }
}

impl Mailbox {
    /// Sends one datagram now or not at all.
    pub(super) fn send(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(payload, to).map(drop)
    }
}
