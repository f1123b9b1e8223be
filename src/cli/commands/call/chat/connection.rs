//! A connection to a chat server: one thread reads it and one writes to it, so that the driver
//! never waits for either.
//!
//! Both threads end with the connection. Their events go into a bounded queue. If the driver does
//! not take them, the reader stops, and the server's TCP connection feels the backpressure.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use switchboard::client::Stream;
use switchboard::{FrameDecoder, Framing, encode};

use super::event::{ClientEvent, ConnectionEvent};
use crate::cli::commands::call::server_address::{ServerAddress, cause};
use crate::cli::failure::Failure;

/// The time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest frame that is accepted from a server. The largest useful one is a page of a list.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// Frames queued to be written. The session's rate limit keeps fewer in flight.
const MAX_QUEUED_FRAMES: usize = 256;

/// A server's address and its framing.
#[derive(Clone, Debug)]
pub(super) struct ChatEndpoint {
    pub(super) server: ServerAddress,
    pub(super) framing: Framing,
}

impl ChatEndpoint {
    /// Connects. The error advises what to do.
    pub(super) fn connect(&self) -> Result<Stream, Failure> {
        self.server.connect(CONNECT_TIMEOUT)
    }
}

/// The write side of a connection. Dropping it closes the connection.
pub(super) struct ChatConnection {
    stream: Stream,
    framing: Framing,
    queue: SyncSender<Vec<u8>>,
}

impl ChatConnection {
    /// Starts the two threads of a connection. Their events carry `number`.
    pub(super) fn start(
        stream: Stream,
        framing: Framing,
        number: u64,
        events: &SyncSender<ClientEvent>,
    ) -> io::Result<Self> {
        let (read_half, mut write_half) = (stream.try_clone()?, stream.try_clone()?);
        let (queue, frames) = sync_channel::<Vec<u8>>(MAX_QUEUED_FRAMES);
        let reader_events = events.clone();
        thread::Builder::new()
            .name("read".into())
            .spawn(move || read_frames(read_half, framing, number, &reader_events))?;
        thread::Builder::new().name("write".into()).spawn(move || {
            // The reader reports a broken connection, so a write error needs no event.
            let _ = frames.iter().try_for_each(|frame| write_half.write_all(&frame));
            write_half.hang_up();
        })?;
        Ok(Self { stream, framing, queue })
    }

    /// Connects on a new thread. The result is an event that carries `number`.
    pub(super) fn open(endpoint: ChatEndpoint, number: u64, events: &SyncSender<ClientEvent>) -> io::Result<()> {
        let events = events.clone();
        let connect = move || {
            let connection = endpoint
                .server
                .try_connect(CONNECT_TIMEOUT)
                .and_then(|stream| Self::start(stream, endpoint.framing, number, &events));
            let event = match connection {
                Ok(connection) => ConnectionEvent::Opened(connection),
                Err(error) => ConnectionEvent::Lost(format!("no connection: {}", cause(&error))),
            };
            // If the receiver is gone, the program is about to end.
            let _ = events.send(ClientEvent::Connection(number, event));
        };
        thread::Builder::new().name("connect".into()).spawn(connect).map(drop)
    }

    /// Queues a payload. Closes the connection if the queue is full, because the server reads nothing.
    pub(super) fn send(&self, payload: &[u8]) {
        let mut frame = Vec::new();
        let sent = match encode(self.framing, payload, &mut frame) {
            Ok(()) => self.queue.try_send(frame),
            Err(error) => {
                log::warn!(
                    "message of {} bytes not sent: {error}; use a --framing with a longer length",
                    payload.len()
                );
                return;
            }
        };
        if let Err(TrySendError::Full(_)) = sent {
            self.stream.hang_up();
        }
    }
}

impl Drop for ChatConnection {
    fn drop(&mut self) {
        self.stream.hang_up();
    }
}

fn read_frames(mut stream: Stream, framing: Framing, number: u64, events: &SyncSender<ClientEvent>) {
    let mut decoder = FrameDecoder::new(framing, MAX_FRAME_BYTES);
    let mut buffer = vec![0; 64 << 10];
    let end = loop {
        let mut input = match stream.read(&mut buffer) {
            Ok(0) => break ConnectionEvent::Lost("connection lost".to_owned()),
            Ok(bytes) => buffer.get(..bytes).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => break ConnectionEvent::Lost(format!("connection lost: {}", cause(&error))),
        };
        match deliver_frames(&mut decoder, &mut input, number, events) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => break error,
        }
    };
    let _ = events.send(ClientEvent::Connection(number, end));
}

/// Sends an event for each complete frame. Returns false if the receiver is gone.
fn deliver_frames(
    decoder: &mut FrameDecoder,
    input: &mut &[u8],
    number: u64,
    events: &SyncSender<ClientEvent>,
) -> Result<bool, ConnectionEvent> {
    loop {
        match decoder.decode(input) {
            Ok(Some(payload)) => {
                let event = ConnectionEvent::Payload(payload.to_vec());
                if events.send(ClientEvent::Connection(number, event)).is_err() {
                    return Ok(false);
                }
            }
            Ok(None) => return Ok(true),
            Err(error) => return Err(ConnectionEvent::ProtocolError(error.to_string())),
        }
    }
}
