//! A console: one end of a socket pair is a connection like any other, and two threads copy bytes
//! between the other end and the operator. So no other thread of the engine waits for a terminal.
//!
//! Neither thread keeps the engine alive: the input may never come and the output may never move.
//! The threads hold nothing of the engine. The engine waits for the writing thread only, at most
//! until the drain deadline.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::pending_connection::PendingConnection;
use super::shared::EngineShared;
use super::socket::{ThreadSocket, poll};
use crate::frame::Framing;
use crate::service::{Peer, ServiceId};

/// Bytes of a copy buffer.
const COPY_BUFFER_BYTES: usize = 16 * 1024;

/// A console that becomes a connection when the engine starts.
pub(super) struct PendingConsole {
    pub(super) service: ServiceId,
    pub(super) framing: Framing,
    pub(super) input: OwnedFd,
    pub(super) output: OwnedFd,
}

impl PendingConsole {
    /// Opens the console's connection and starts its two threads.
    pub(super) fn start(self, shared: &Arc<EngineShared>) -> io::Result<()> {
        let Some(service_slot) = shared.service_slot(self.service) else { return Ok(()) };
        let (near, far) = UnixStream::pair()?;
        let (input, output, far_clone) = (self.input, self.output, far.try_clone()?);
        let pending = PendingConnection {
            socket: Arc::new(ThreadSocket::new(near)),
            peer: Peer::Console,
            framing: self.framing,
            notifier: None,
            has_read_timeout: false,
        };
        shared.connection_slots.add_console();
        pending
            .start(shared, service_slot, shared.clock().timestamp)
            .inspect_err(|_| shared.connection_slots.release(false, Peer::Console))?;
        shared.count_console();
        let wait_guard = shared.console_writers.enter();
        let copy_output = move || {
            copy_output(far_clone, &output);
            drop(wait_guard);
        };
        shared.spawner.spawn("console-out".to_owned(), Box::new(copy_output))?;
        shared.spawner.spawn("console-in".to_owned(), Box::new(move || copy_input(&input, far)))
    }
}

/// Copies input to the connection until either ends. Polls for both: a thread that blocks in a read
/// would take the next line from the terminal's next reader.
fn copy_input(input: &OwnedFd, mut socket: UnixStream) {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        let mut poll_fds = [PollFd::new(input, PollFlags::IN), PollFd::new(&socket, PollFlags::empty())];
        poll(&mut poll_fds, None);
        let [input_ready, socket_closed] = poll_fds.each_ref().map(|poll_fd| !poll_fd.revents().is_empty());
        if socket_closed {
            return;
        }
        if !input_ready {
            continue;
        }
        match rustix::io::read(input, &mut buffer) {
            // A terminal that has hung up, or that this session has lost, reports EIO (read(2)).
            Ok(0) | Err(Errno::IO) => break,
            Ok(bytes) => {
                if socket.write_all(buffer.get(..bytes).unwrap_or_default()).is_err() {
                    return;
                }
            }
            // Another process has set O_NONBLOCK on the input or has read it first.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => {
                log::warn!("console read failed: {error}; its input ends");
                break;
            }
        }
    }
    let _ = socket.shutdown(Shutdown::Write);
}

/// Copies the connection's output until it ends or a write fails.
fn copy_output(mut socket: UnixStream, output: &OwnedFd) {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        let bytes = match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        if let Err(error) = write_all(output, buffer.get(..bytes).unwrap_or_default()) {
            log::debug!("console write failed: {error}; the console closes");
            break;
        }
    }
    // In every case the operator has closed or the connection has ended, so the connection ends
    // too.
    let _ = socket.shutdown(Shutdown::Both);
}

fn write_all(output: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(output, bytes) {
            Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Another process has set O_NONBLOCK on the output.
            Err(Errno::AGAIN) => poll(&mut [PollFd::new(output, PollFlags::OUT)], None),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
