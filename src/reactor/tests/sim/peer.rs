//! A simulated peer: what it sends, how fast it reads, and the check of every byte that it
//! receives.

use std::collections::VecDeque;
use std::time::Instant;

use super::chat_model::{ChatModel, LinesModel, RoomLog};
use super::files_model::FilesModel;
use super::model::Model;
use super::peer_times::PeerTimes;
use super::scenario::{PeerKind, READS_AT_ONCE};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::{Limits, SlowConsumer};
use crate::frame::{FrameDecoder, Framing, encode};
use crate::service::CloseReason;

/// The largest frame that a service of the simulation sends.
const MAX_REPLY_BYTES: usize = 1 << 20;

#[allow(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub(super) struct Peer {
    number: usize,
    pub(super) kind: PeerKind,
    pub(super) socket: ScriptedSocket,
    pub(super) port: u16,
    /// The peer reads whatever comes, at once.
    reads_at_once: bool,
    /// The peer did so from the start.
    is_prompt: bool,
    sent_garbage: bool,
    asked: u64,
    /// The unsent rest of a request.
    rest: Vec<u8>,
    input: SentInput,
    pub(super) is_finished: bool,
    pub(super) is_reset: bool,
    /// Bytes received.
    received: usize,
    decoder: FrameDecoder,
    model: Model,
    pub(super) times: PeerTimes,
    /// The close was checked.
    is_close_checked: bool,
}

/// What a peer has sent, as the server has to cut it.
struct SentInput {
    decoder: FrameDecoder,
    /// The bytes are not of the framing from some point on.
    is_garbage: bool,
}

impl PeerKind {
    pub(super) fn framing(self) -> Framing {
        match self {
            Self::Echo => Framing::U16BE,
            Self::ChatJson | Self::Files => Framing::U32BE,
            Self::ChatLines => Framing::Lines,
        }
    }
}

impl Peer {
    pub(super) fn new(
        number: usize,
        kind: PeerKind,
        socket: ScriptedSocket,
        port: u16,
        room: usize,
        limits: &Limits,
        now: Instant,
    ) -> Self {
        socket.set_room(room);
        let framing = kind.framing();
        let strict = limits.slow_consumer == SlowConsumer::Disconnect;
        let model = match kind {
            PeerKind::Echo => Model::Echo(VecDeque::new()),
            PeerKind::ChatJson => Model::Chat(Box::new(ChatModel::new(number))),
            PeerKind::ChatLines => Model::Lines(LinesModel::default()),
            PeerKind::Files => Model::Files(FilesModel::new(strict)),
        };
        let mut peer = Self {
            number,
            kind,
            socket,
            port,
            reads_at_once: room == READS_AT_ONCE,
            is_prompt: room == READS_AT_ONCE,
            sent_garbage: false,
            asked: 0,
            rest: Vec::new(),
            input: SentInput { decoder: FrameDecoder::new(framing, limits.max_frame_bytes), is_garbage: false },
            is_finished: false,
            is_reset: false,
            received: 0,
            decoder: FrameDecoder::new(framing, MAX_REPLY_BYTES),
            model,
            times: PeerTimes::new(now),
            is_close_checked: false,
        };
        if let Model::Chat(chat) = &mut peer.model {
            let hello = chat.hello();
            peer.send_frame(&hello, now);
        }
        peer
    }

    /// Returns true if the peer can still act.
    pub(super) fn is_live(&self) -> bool {
        !self.is_reset && !self.socket.is_closed()
    }

    fn request(&mut self, choice: u32) -> Vec<u8> {
        self.asked += 1;
        let (number, asked) = (self.number, self.asked);
        match &mut self.model {
            Model::Echo(_) => {
                let mut payload = format!("{number}-{asked} ").into_bytes();
                payload.resize(payload.len() + echo_padding(choice), b'.');
                payload
            }
            Model::Chat(chat) => chat.request(choice),
            Model::Lines(_) => match choice % 8 {
                0 => b"/who".to_vec(),
                1 => b"/join den".to_vec(),
                2 => b"/leave den".to_vec(),
                _ => format!("{number}-{asked}").into_bytes(),
            },
            Model::Files(files) => files.request(choice),
        }
    }

    /// Returns true if the peer has not closed its writing side.
    pub(super) fn can_send(&self) -> bool {
        !self.is_finished && !self.is_reset
    }

    pub(super) fn ask(&mut self, choice: u32, now: Instant) {
        let payload = self.request(choice);
        self.send_frame(&payload, now);
    }

    pub(super) fn ask_half(&mut self, choice: u32, bytes: usize, now: Instant) {
        let mut frame = Vec::new();
        encode(self.kind.framing(), &self.request(choice), &mut frame).unwrap();
        let cut = bytes.min(frame.len());
        let rest = frame.split_off(cut);
        self.send(&frame, now);
        self.rest = rest;
    }

    /// Sends many small requests in one piece.
    pub(super) fn flood(&mut self, requests: usize, now: Instant) {
        let mut bytes = Vec::new();
        for _ in 0..requests {
            let payload = match &mut self.model {
                Model::Echo(_) => Vec::new(),
                Model::Chat(chat) => chat.ping(),
                Model::Lines(_) => b"/rooms".to_vec(),
                Model::Files(files) => files.missing(),
            };
            encode(self.kind.framing(), &payload, &mut bytes).unwrap();
        }
        self.send(&bytes, now);
    }

    pub(super) fn send_garbage(&mut self, choice: u32, now: Instant) {
        let garbage: &[u8] = match choice % 4 {
            0 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            2 => &[0xff; 70],
            _ => &[0; 9],
        };
        self.sent_garbage = true;
        if let Model::Files(files) = &mut self.model {
            files.is_strict = false;
        }
        self.send(garbage, now);
    }

    fn send_frame(&mut self, payload: &[u8], now: Instant) {
        let mut frame = Vec::new();
        encode(self.kind.framing(), payload, &mut frame).unwrap();
        self.send(&frame, now);
    }

    /// Sends the rest of the last request.
    pub(super) fn complete(&mut self, now: Instant) {
        self.send(&[], now);
    }

    /// Sends the rest of the last request, then `bytes`.
    fn send(&mut self, bytes: &[u8], now: Instant) {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        if all.is_empty() || !self.can_send() {
            return;
        }
        self.socket.send(&all);
        self.note_sent(&all, now);
    }

    /// Cuts what was sent into frames, for the model and for the frame deadline.
    fn note_sent(&mut self, bytes: &[u8], now: Instant) {
        let SentInput { decoder, is_garbage } = &mut self.input;
        let mut input = bytes;
        let mut completed = false;
        while !*is_garbage {
            match decoder.decode(&mut input) {
                Ok(Some(payload)) => {
                    completed = true;
                    if let Model::Echo(expected) = &mut self.model {
                        expected.push_back(payload.to_vec());
                    }
                }
                Ok(None) => break,
                Err(_) => *is_garbage = true,
            }
        }
        self.times.sent(completed, decoder.unfinished_bytes().is_some(), now);
    }

    pub(super) fn finish(&mut self) {
        if !self.is_reset {
            self.is_finished = true;
            self.socket.finish();
        }
    }

    pub(super) fn reset(&mut self) {
        self.is_reset = true;
        self.socket.reset();
    }

    /// Reads at most `bytes` bytes of what has arrived, and checks them.
    pub(super) fn read(
        &mut self,
        bytes: usize,
        is_opened: bool,
        log: &mut RoomLog,
        now: Instant,
    ) -> Result<(), String> {
        let mut arrived = self.socket.written_from(self.received);
        arrived.truncate(bytes);
        if arrived.is_empty() {
            return Ok(());
        }
        self.received += arrived.len();
        self.times.last_read = now;
        if !self.reads_at_once {
            self.socket.add_room(arrived.len());
        }
        let mut input = &arrived[..];
        while let Some(payload) = self.decoder.decode(&mut input).map_err(|error| format!("a bad frame: {error}"))? {
            // A connection that was not opened is sent the reason.
            if is_opened {
                self.model.receive(payload, log)?;
            }
        }
        Ok(())
    }

    /// Reads what has arrived, if the peer is one that reads at once.
    pub(super) fn read_at_once(&mut self, is_opened: bool, log: &mut RoomLog, now: Instant) -> Result<(), String> {
        if self.reads_at_once { self.read(READS_AT_ONCE, is_opened, log, now) } else { Ok(()) }
    }

    /// From now on the peer reads everything at once.
    pub(super) fn read_everything(&mut self) {
        self.reads_at_once = true;
        self.socket.set_room(READS_AT_ONCE);
    }

    /// Checks the time of a close, once: a peer that was in time is not cut.
    pub(super) fn check_close(&mut self, reason: &CloseReason, at: Instant) -> Result<(), String> {
        if std::mem::replace(&mut self.is_close_checked, true) {
            return Ok(());
        }
        let is_late = match reason {
            CloseReason::FrameTimeout { limit, .. } => self.input.is_garbage || self.times.frame_time(at) >= *limit,
            CloseReason::IdleTimeout(limit) => self.times.silence(at) >= *limit,
            CloseReason::WriteTimeout(limit) => !self.reads_at_once && at - self.times.last_read >= *limit,
            _ => true,
        };
        if is_late { Ok(()) } else { Err(format!("closed, but it was in time: {reason}")) }
    }

    /// Checks at the end of the run that nothing was lost which the reason of the close does not
    /// explain.
    pub(super) fn check_end(&self, reason: Option<&CloseReason>, is_stopped: bool, drops: bool) -> Result<(), String> {
        let unfinished = self.decoder.unfinished_bytes().unwrap_or(0);
        if unfinished > 0 && self.socket.is_shut_down() && !self.is_reset && self.kind != PeerKind::ChatLines {
            return Err(format!("half a frame came before an orderly close ({reason:?})"));
        }
        // Only echo answers each request before the loop sees the next bytes.
        let answers_all = match reason {
            Some(CloseReason::PeerClosed) => true,
            Some(CloseReason::BadFrame(_) | CloseReason::TruncatedFrame { .. }) => self.kind == PeerKind::Echo,
            _ => false,
        };
        if let (Some(CloseReason::PeerClosed), Model::Chat(chat)) = (reason, &self.model)
            && !self.is_reset
            && !is_stopped
        {
            chat.check_gaps().map_err(|error| format!("{error} ({reason:?})"))?;
        }
        if answers_all && !self.is_reset && !is_stopped && !drops && self.is_prompt {
            let asked_all = !self.sent_garbage && self.rest.is_empty();
            self.model.check_answered(asked_all).map_err(|error| format!("{error} ({reason:?})"))?;
        }
        Ok(())
    }
}

/// Returns the bytes of padding of an echo request: usually few, sometimes more than the limits.
fn echo_padding(choice: u32) -> usize {
    let range = [4, 40, 4, 600, 4, 9_000, 40, 11_000][choice as usize % 8];
    (choice >> 8) as usize % range
}
