//! Opens connections to a chat server, and reads each one on a thread of its own.
//!
//! A reader ends with its connection. Its events go into a bounded queue. If the session loop does
//! not take them, the reader stops, and the server's TCP connection feels the backpressure.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use switchboard::client::{Conversation, ConversationError, WaitLimits};
use switchboard::{Framing, SocketStream};

use super::connection::ChatConnection;
use super::event::{ClientEvent, ConnectionEvent};
use crate::cli::commands::call::server_address::{ServerAddress, cause};

/// The largest frame that is accepted from a server. The largest useful one is a page of a list.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// Starts the two threads of a connection. The reader's events carry `number`.
pub(super) fn start(
    stream: SocketStream,
    framing: Framing,
    number: u64,
    events: &SyncSender<ClientEvent>,
) -> io::Result<ChatConnection> {
    let stream = Arc::new(stream);
    let conversation = Conversation::new(Arc::clone(&stream), framing, MAX_FRAME_BYTES);
    let connection = ChatConnection::new(stream, framing)?;
    let events = events.clone();
    thread::Builder::new().name("read".into()).spawn(move || read_frames(conversation, number, &events))?;
    Ok(connection)
}

/// Connects on a new thread. The result is an event that carries `number`.
pub(super) fn open(
    server: ServerAddress,
    framing: Framing,
    timeout: Duration,
    number: u64,
    events: &SyncSender<ClientEvent>,
) -> io::Result<()> {
    let events = events.clone();
    let connect = move || {
        let connection = server.try_connect(timeout).and_then(|stream| start(stream, framing, number, &events));
        let event = match connection {
            Ok(connection) => ConnectionEvent::Opened(connection),
            Err(error) => ConnectionEvent::Lost(format!("no connection: {}", cause(&error))),
        };
        // If the receiver is gone, the program is about to end.
        let _ = events.send(ClientEvent::Connection(number, event));
    };
    thread::Builder::new().name("connect".into()).spawn(connect).map(drop)
}

fn read_frames(mut conversation: Conversation, number: u64, events: &SyncSender<ClientEvent>) {
    loop {
        let event = match conversation.receive(WaitLimits::default()) {
            Ok(Some(payload)) => ConnectionEvent::Payload(payload),
            Ok(None) => ConnectionEvent::Closed,
            Err(ConversationError::Io(error)) => ConnectionEvent::Lost(format!("connection lost: {}", cause(&error))),
            Err(error) => ConnectionEvent::ProtocolError(error.to_string()),
        };
        let is_end = !matches!(event, ConnectionEvent::Payload(_));
        // If the receiver is gone, the program is about to end.
        if events.send(ClientEvent::Connection(number, event)).is_err() || is_end {
            return;
        }
    }
}
