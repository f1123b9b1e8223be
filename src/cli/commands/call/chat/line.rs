//! One connection to a server: a thread that reads it and one that writes to it, so that whoever decides never waits for either.
//!
//! Both end with the connection. What they have to say goes into a bounded queue; a program that does not take it off is not
//! read for, and its server feels TCP's own backpressure.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use switchboard::client::ClientStream;
use switchboard::{FrameDecoder, Framing, encode};

use super::input::Input;
use crate::cli::commands::call::server::{Server, bare};
use crate::cli::error::CliError;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest frame that a server may send. A page of a list is the largest that is sensible.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// Frames that wait to be written. More are never under way: see the session's pace.
const MAX_UNWRITTEN: usize = 256;

/// Where the server is, and how its streams are cut.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) server: Server,
    pub(super) framing: Framing,
}

impl Target {
    /// Connects, or says what could be done about it.
    pub(super) fn connect(&self) -> Result<ClientStream, CliError> {
        self.server.connect(CONNECT_TIMEOUT)
    }
}

/// What happened to a connection.
pub(super) enum Wire {
    /// It is there.
    Open(Line),
    /// The server sent a frame with this in it.
    Payload(Vec<u8>),
    /// It is gone, or was not to be had.
    Lost(String),
    /// The server does not speak chat's language, and will not the next time.
    Foreign(String),
}

/// The writing side of a connection. Dropping it hangs up.
pub(super) struct Line {
    stream: ClientStream,
    framing: Framing,
    unwritten: SyncSender<Vec<u8>>,
}

impl Line {
    /// Starts the two threads of a connection; what they have to say carries `number`.
    pub(super) fn start(
        stream: ClientStream,
        framing: Framing,
        number: u64,
        inputs: &SyncSender<Input>,
    ) -> io::Result<Self> {
        let (reading, mut writing) = (stream.try_clone()?, stream.try_clone()?);
        let (unwritten, frames) = sync_channel::<Vec<u8>>(MAX_UNWRITTEN);
        let to_reader = inputs.clone();
        thread::Builder::new().name("read".into()).spawn(move || read(reading, framing, number, &to_reader))?;
        thread::Builder::new().name("write".into()).spawn(move || {
            // What cannot be written is noticed by the reader, which is told by the same system.
            let _ = frames.iter().try_for_each(|frame| writing.write_all(&frame));
            writing.shutdown_both();
        })?;
        Ok(Self { stream, framing, unwritten })
    }

    /// Connects again, on a thread of its own.
    pub(super) fn open(target: Target, number: u64, inputs: &SyncSender<Input>) -> io::Result<()> {
        let inputs = inputs.clone();
        let connect = move || {
            let line = target
                .server
                .try_connect(CONNECT_TIMEOUT)
                .and_then(|stream| Self::start(stream, target.framing, number, &inputs));
            let wire = match line {
                Ok(line) => Wire::Open(line),
                Err(error) => Wire::Lost(format!("no connection: {}", bare(&error))),
            };
            // Where nobody takes it, the program is about to end.
            let _ = inputs.send(Input::Wire(number, wire));
        };
        thread::Builder::new().name("connect".into()).spawn(connect).map(drop)
    }

    /// Sends a payload. A connection that takes nothing any more is hung up.
    pub(super) fn send(&self, payload: &[u8]) {
        let mut frame = Vec::new();
        let sent = match encode(self.framing, payload, &mut frame) {
            Ok(()) => self.unwritten.try_send(frame),
            Err(error) => {
                log::warn!("cannot send {} bytes: {error}; choose a longer length with --framing", payload.len());
                return;
            }
        };
        if let Err(TrySendError::Full(_)) = sent {
            self.stream.shutdown_both();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stream.shutdown_both();
    }
}

fn read(mut stream: ClientStream, framing: Framing, number: u64, inputs: &SyncSender<Input>) {
    let mut decoder = FrameDecoder::new(framing, MAX_FRAME_BYTES);
    let mut buffer = vec![0; 64 << 10];
    let end = loop {
        let mut input = match stream.read(&mut buffer) {
            Ok(0) => break Wire::Lost("connection lost".to_owned()),
            Ok(bytes) => buffer.get(..bytes).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => break Wire::Lost(format!("connection lost: {}", bare(&error))),
        };
        match deliver(&mut decoder, &mut input, number, inputs) {
            Ok(true) => {}
            Ok(false) => return,
            Err(foreign) => break foreign,
        }
    };
    let _ = inputs.send(Input::Wire(number, end));
}

/// Hands out what is whole. False: nobody takes it any more.
fn deliver(
    decoder: &mut FrameDecoder,
    input: &mut &[u8],
    number: u64,
    inputs: &SyncSender<Input>,
) -> Result<bool, Wire> {
    loop {
        match decoder.decode(input) {
            Ok(Some(payload)) => {
                if inputs.send(Input::Wire(number, Wire::Payload(payload.to_vec()))).is_err() {
                    return Ok(false);
                }
            }
            Ok(None) => return Ok(true),
            Err(error) => return Err(Wire::Foreign(error.to_string())),
        }
    }
}
