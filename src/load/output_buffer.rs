//! What one socket has not taken yet. It holds the rest of one batch at most, because nothing is added while something is left;
//! what a connection says when it opens is a batch, too.

use std::io;

use super::end::ConnectionEnd;
use super::net::LoadSocket;
use super::run_context::RunContext;

/// A connection's output.
pub(super) struct OutputBuffer {
    /// What the socket has not taken of a batch that it has begun to take.
    rest: Vec<u8>,
    /// How much of that it has.
    taken: usize,
    /// Whether it may take more, as far as is known.
    writable: bool,
    /// Why our own system does not send a datagram. No event tells when it will: it is to be tried again.
    pub(super) own_failure: Option<io::Error>,
}

impl OutputBuffer {
    pub(super) fn new(writable: bool) -> Self {
        Self { rest: Vec::new(), taken: 0, writable, own_failure: None }
    }

    /// The system says that the socket takes more; returns whether that is news.
    pub(super) fn unblock(&mut self) -> bool {
        !std::mem::replace(&mut self.writable, true)
    }

    /// Sends what an earlier write left; `true` when nothing is left and the socket may take more.
    #[inline]
    pub(super) fn flush(&mut self, socket: &mut LoadSocket) -> Result<bool, ConnectionEnd> {
        self.own_failure = None;
        while self.writable && self.own_failure.is_none() && self.taken < self.rest.len() {
            match socket.write(self.rest.get(self.taken..).unwrap_or_default()) {
                Ok(taken) => self.taken += taken,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => self.writable = false,
                    // This one is lost if that was right.
                    _ if socket.is_datagram() && is_about_an_earlier_one(&error) => self.taken = self.rest.len(),
                    _ if socket.is_datagram() => self.own_failure = Some(error),
                    _ => return Err(ConnectionEnd::Broken),
                },
            }
        }
        if self.taken > 0 && self.taken == self.rest.len() {
            (self.rest, self.taken) = (Vec::new(), 0);
        }
        Ok(self.writable && self.rest.is_empty())
    }

    /// Adds bytes, which the next [`flush`](Self::flush) sends.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// Offers the batch to the socket, and keeps what it does not take.
    #[inline]
    pub(super) fn write(&mut self, socket: &mut LoadSocket, context: &mut RunContext) -> Result<(), ConnectionEnd> {
        let taken = loop {
            match context.batch.write(socket, &context.templates) {
                Ok(taken) => break taken,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => {
                        self.writable = false;
                        break 0;
                    }
                    _ if socket.is_datagram() && is_about_an_earlier_one(&error) => {
                        context.refusal = Some(error);
                        return Ok(());
                    }
                    _ if socket.is_datagram() => {
                        self.own_failure = Some(error);
                        break 0;
                    }
                    _ => return Err(ConnectionEnd::Broken),
                },
            }
        };
        if taken < context.batch.len() {
            self.writable &= !socket.short_means_done();
            context.batch.copy_rest(taken, &context.templates, &mut self.rest);
        }
        Ok(())
    }
}

/// Whether the network has said that a datagram found nobody: see `IP_RECVERR` in ip(7). Anything else, such as a full queue or a
/// firewall's veto, is about this one and this machine, and the server must not be charged for it.
fn is_about_an_earlier_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, UdpSocket};
    use std::time::Duration;

    use super::*;
    use crate::frame::Framing;
    use crate::load::config::{Activity, LoadConfig};
    use crate::net::Endpoint;

    /// A full queue cannot be had at will; a socket that was shut down fails as well without its peer's doing.
    #[test]
    fn a_datagram_that_our_own_system_does_not_send_is_kept() {
        let target = Endpoint::Udp(UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let config = LoadConfig {
            target,
            framing: Framing::Raw,
            connections: 1,
            payload_bytes: 64..=64,
            activity: Activity::Closed { in_flight: 1 },
            slow_readers: 0,
            ramp: Duration::ZERO,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(1),
            seed: 1,
        };
        let mut context = RunContext::new(&config).unwrap();
        let mut socket = LoadSocket::connect(&config.target).unwrap();
        let LoadSocket::Udp(udp) = &socket else { panic!("not a datagram socket") };
        socket2::SockRef::from(udp).shutdown(Shutdown::Write).unwrap();
        let mut output = OutputBuffer::new(true);
        context.batch.push(&context.templates.payload(0, 0), &context.templates);
        output.write(&mut socket, &mut context).unwrap();
        for _ in 0..2 {
            assert!(output.own_failure.is_some() && context.refusal.is_none());
            assert_eq!(output.rest.len(), 64);
            assert!(!output.flush(&mut socket).unwrap());
        }
    }
}
