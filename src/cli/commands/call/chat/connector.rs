//! Opens connections to a chat server, and reads each one on a thread of its own.
//!
//! A reader ends with its connection. Its events go into a bounded queue. If the session loop does
//! not take them, the reader stops, and the server's TCP connection feels the backpressure.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::SyncSender;
use std::thread;

use switchboard::client::ClientStream;
use switchboard::{FrameDecoder, Framing};

use super::connection::ChatConnection;
use super::endpoint::ChatEndpoint;
use super::event::{ClientEvent, ConnectionEvent};
use crate::cli::commands::call::server_address::cause;

/// The largest frame that is accepted from a server. The largest useful one is a page of a list.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// Starts the two threads of a connection. The reader's events carry `number`.
pub(super) fn start(
    stream: ClientStream,
    framing: Framing,
    number: u64,
    events: &SyncSender<ClientEvent>,
) -> io::Result<ChatConnection> {
    let read_half = stream.try_clone()?;
    let connection = ChatConnection::new(stream, framing)?;
    let events = events.clone();
    thread::Builder::new().name("read".into()).spawn(move || read_frames(read_half, framing, number, &events))?;
    Ok(connection)
}

/// Connects on a new thread. The result is an event that carries `number`.
pub(super) fn open(endpoint: ChatEndpoint, number: u64, events: &SyncSender<ClientEvent>) -> io::Result<()> {
    let events = events.clone();
    let connect = move || {
        let connection = endpoint.try_connect().and_then(|stream| start(stream, endpoint.framing, number, &events));
        let event = match connection {
            Ok(connection) => ConnectionEvent::Opened(connection),
            Err(error) => ConnectionEvent::Lost(format!("no connection: {}", cause(&error))),
        };
        // If the receiver is gone, the program is about to end.
        let _ = events.send(ClientEvent::Connection(number, event));
    };
    thread::Builder::new().name("connect".into()).spawn(connect).map(drop)
}

fn read_frames(mut stream: ClientStream, framing: Framing, number: u64, events: &SyncSender<ClientEvent>) {
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
