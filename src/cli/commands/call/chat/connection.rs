//! The write side of a connection to a chat server. Its thread writes, so the
//! session loop never waits.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

use switchboard::{Framing, SocketStream, encode};

/// Frames queued to be written. The session's rate limit keeps fewer in flight.
const MAX_QUEUED_FRAMES: usize = 256;

/// A connection that frames can be sent to. Dropping it closes the connection.
pub(super) struct ChatConnection {
    stream: Arc<SocketStream>,
    framing: Framing,
    /// `None` once the program has sent everything.
    queue: Option<SyncSender<Vec<u8>>>,
}

impl ChatConnection {
    /// Starts the thread that writes queued frames. It ends with the connection.
    pub(super) fn new(stream: Arc<SocketStream>, framing: Framing) -> io::Result<Self> {
        let write_half = Arc::clone(&stream);
        let (queue, frames) = sync_channel::<Vec<u8>>(MAX_QUEUED_FRAMES);
        thread::Builder::new().name("write".into()).spawn(move || {
            // The reader reports a broken connection, so a write error needs no event.
            let written = frames.iter().try_for_each(|frame| (&*write_half).write_all(&frame));
            let _ = written.and_then(|()| write_half.shutdown_write());
        })?;
        Ok(Self { stream, framing, queue: Some(queue) })
    }

    /// Queues a payload. Closes the connection if the queue is full, because the server reads
    /// nothing.
    pub(super) fn send(&self, payload: &[u8]) {
        let Some(queue) = &self.queue else { return };
        let mut frame = Vec::new();
        let sent = match encode(self.framing, payload, &mut frame) {
            Ok(()) => queue.try_send(frame),
            Err(error) => {
                log::warn!(
                    "message of {} bytes not sent: {error}; use a --framing with a longer length",
                    payload.len()
                );
                return;
            }
        };
        if let Err(TrySendError::Full(_)) = sent {
            self.stream.shutdown_both();
        }
    }

    /// Shuts down the write side after the queued frames. The server may still send.
    pub(super) fn finish(&mut self) {
        self.queue = None;
    }
}

impl Drop for ChatConnection {
    fn drop(&mut self) {
        self.stream.shutdown_both();
    }
}
