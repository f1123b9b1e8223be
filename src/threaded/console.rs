//! A console on threads: a connection like any other over a pair of sockets, and two threads that carry bytes between its far
//! end and the operator. So the connection knows nothing of terminals, and nobody but those two ever waits for one.
//!
//! Neither keeps the process: the one waits for input that may never come, the other for an output that may never move. They
//! know the pair and nothing else of the engine, which waits for the second alone, and for no longer than a drain.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::pending_connection::Newcomer;
use super::shared::Exchange;
use super::socket::{Socket, poll};
use crate::frame::Framing;
use crate::service::{Peer, ServiceId};

/// Carried at once, in bytes.
const CARRIED_BYTES: usize = 16 * 1024;

/// A console that waits for its engine to run.
pub(super) struct Console {
    pub(super) service: ServiceId,
    pub(super) framing: Framing,
    pub(super) input: OwnedFd,
    pub(super) output: OwnedFd,
}

impl Console {
    /// Has it become a connection.
    pub(super) fn start(self, exchange: &Arc<Exchange>) -> io::Result<()> {
        let Some(booth) = exchange.booth(self.service) else { return Ok(()) };
        let (near, far) = UnixStream::pair()?;
        let (input, output, far_too) = (self.input, self.output, far.try_clone()?);
        let newcomer = Newcomer {
            socket: Arc::new(Socket::new(near)),
            peer: Peer::Console,
            framing: self.framing,
            bell: None,
            reads_are_limited: false,
        };
        exchange.places.add();
        newcomer
            .start(exchange, booth, exchange.clock().moment)
            .inspect_err(|_| exchange.places.free(false, Peer::Console))?;
        exchange.count_attached();
        let shift = exchange.carriers.begin();
        let carry_out = move || {
            carry_out(far_too, &output);
            drop(shift);
        };
        exchange.spawn.spawn("console-out".to_owned(), Box::new(carry_out))?;
        exchange.spawn.spawn("console-in".to_owned(), Box::new(move || carry_in(&input, far)))
    }
}

/// Until the input ends or the connection has. Whoever waits in a read would take the line after that away from who reads next,
/// so the wait is for either.
fn carry_in(input: &OwnedFd, mut socket: UnixStream) {
    let mut buffer = vec![0; CARRIED_BYTES];
    loop {
        let mut watched = [PollFd::new(input, PollFlags::IN), PollFd::new(&socket, PollFlags::empty())];
        poll(&mut watched, None);
        let [input_ready, socket_gone] = watched.each_ref().map(|watched| !watched.revents().is_empty());
        if socket_gone {
            return;
        }
        if !input_ready {
            continue;
        }
        match rustix::io::read(input, &mut buffer) {
            // The latter is said by a terminal that has hung up, or that our session has lost.
            Ok(0) | Err(Errno::IO) => break,
            Ok(bytes) => {
                if socket.write_all(buffer.get(..bytes).unwrap_or_default()).is_err() {
                    return;
                }
            }
            // Somebody else has set it not to wait, or has taken what was there.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => {
                log::warn!("the console cannot be read any more: {error}");
                break;
            }
        }
    }
    let _ = socket.shutdown(Shutdown::Write);
}

/// Until the connection has ended and its last word is out, or nothing more can be written.
fn carry_out(mut socket: UnixStream, output: &OwnedFd) {
    let mut buffer = vec![0; CARRIED_BYTES];
    loop {
        let bytes = match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        if let Err(error) = write_all(output, buffer.get(..bytes).unwrap_or_default()) {
            log::debug!("the console cannot be written to any more: {error}");
            break;
        }
    }
    // Whichever it was, the connection has nobody left at this end.
    let _ = socket.shutdown(Shutdown::Both);
}

fn write_all(output: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(output, bytes) {
            Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Somebody else has set it not to wait.
            Err(Errno::AGAIN) => poll(&mut [PollFd::new(output, PollFlags::OUT)], None),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
