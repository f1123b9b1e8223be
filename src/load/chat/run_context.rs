//! The state that all members of a run share: the read buffer, the delivery checker, the recorder,
//! the clock and the send policy.

use std::fmt;
use std::io;
use std::time::Instant;

use serde_json::to_writer;

use super::config::ChatLoadConfig;
use super::delivery_checker::DeliveryChecker;
use super::event_scanner::Delivery;
use super::faults::FaultKind;
use super::message_stamp::MessageStamp;
use super::outcome::ServerError;
use super::publisher_rotation::PublisherRotation;
use super::room_log::MessageSource;
use crate::frame::BufferPool;
use crate::load::error::LoadError;
use crate::load::in_flight::SentMessage;
use crate::load::pace::SendSchedule;
use crate::load::recorder::Recorder;
use crate::services::chat::wire::{ChatRequest, LOBBY};

/// Bytes of the read buffer, so the most that one read returns.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Server errors that are kept with their texts.
const MAX_SERVER_ERRORS: usize = 5;

/// The rule that decides which messages publishers send now.
pub(super) enum ChatSendPolicy {
    /// No message.
    Paused,
    /// Closed loop: the publishers of each room send in rotation.
    RoundRobin(PublisherRotation),
    /// Open loop: every message that is due.
    Scheduled(SendSchedule),
}

/// The state that all members of a run share.
pub(super) struct ChatRunContext {
    pub(super) read_buffer: Box<[u8]>,
    pub(super) buffer_pool: BufferPool,
    /// Frames to be sent next.
    pub(super) frames: Vec<u8>,
    pub(super) traffic: ChatTraffic,
}

/// The messages sent and received by all members, as far as the run keeps account of them.
pub(super) struct ChatTraffic {
    pub(super) recorder: Recorder,
    pub(super) checker: DeliveryChecker,
    pub(super) send_policy: ChatSendPolicy,
    pub(super) server_errors: Vec<ServerError>,
    /// Messages sent that were due in the measured time.
    pub(super) sent: u64,
    pub(super) rooms: Vec<String>,
    /// The common prefix of all nicks; the member's number follows.
    nick_prefix: String,
    pub(super) text_bytes: usize,
    started: Instant,
    /// The time of the last clock reading, in nanoseconds since the start of the run.
    pub(super) now_ns: u64,
    /// The time at which a member last received a new message.
    pub(super) last_progress_ns: u64,
}

impl ChatRunContext {
    pub(super) fn new(config: &ChatLoadConfig, nick_prefix: String) -> Result<Self, LoadError> {
        let recorder = Recorder::new(config.activity).map_err(|error| LoadError::System(io::Error::other(error)))?;
        Ok(Self {
            read_buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            buffer_pool: BufferPool::default(),
            frames: Vec::new(),
            traffic: ChatTraffic {
                recorder,
                checker: DeliveryChecker::new(config.members, config.rooms, config.publishers),
                send_policy: ChatSendPolicy::Paused,
                server_errors: Vec::new(),
                sent: 0,
                rooms: config.room_names(),
                nick_prefix,
                text_bytes: config.payload_bytes,
                started: Instant::now(),
                now_ns: 0,
                last_progress_ns: 0,
            },
        })
    }
}

impl ChatTraffic {
    /// Reads the clock; returns nanoseconds since the start of the run.
    #[inline]
    pub(super) fn read_clock(&mut self) -> u64 {
        self.now_ns = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.now_ns
    }

    /// Returns the index of a member's room.
    pub(super) fn room_of(&self, member: usize) -> usize {
        member % self.rooms.len().max(1)
    }

    /// Returns a room's name.
    pub(super) fn room(&self, index: usize) -> &str {
        // A strayed message of an unknown room has an index beyond the last.
        self.rooms.get(index).map_or(LOBBY, String::as_str)
    }

    fn nick_of(&self, member: usize) -> String {
        format!("{}{member}", self.nick_prefix)
    }

    /// Returns true if `nick` is the member's nick.
    pub(super) fn is_nick_of(&self, member: usize, nick: &str) -> bool {
        nick == self.nick_of(member)
    }

    /// Appends the requests that a member sends after connecting: `hello`, `join`, and `leave` for
    /// the lobby unless the member stays there.
    pub(super) fn push_handshake(&self, member: usize, frames: &mut Vec<u8>) -> io::Result<()> {
        let (nick, room) = (self.nick_of(member), self.room(self.room_of(member)));
        push_request(frames, &ChatRequest::Hello { nick: nick.into() })?;
        push_request(frames, &ChatRequest::Join { room: room.into(), since: None })?;
        // The server puts every new member into the lobby.
        if room == LOBBY { Ok(()) } else { push_request(frames, &ChatRequest::Leave { room: LOBBY.into() }) }
    }

    /// Appends a message as a `say` request. It is written by hand, because its text needs no
    /// escaping, and an open loop may send a million messages a second.
    #[inline]
    pub(super) fn push_message(&mut self, stamp: &MessageStamp, frames: &mut Vec<u8>) {
        let member = stamp.publisher as usize;
        let start = frames.len();
        frames.extend_from_slice(&[0; 4]);
        frames.extend_from_slice(br#"{"type":"say","room":""#);
        frames.extend_from_slice(self.room(self.room_of(member)).as_bytes());
        frames.extend_from_slice(br#"","text":""#);
        stamp.write(self.text_bytes, frames);
        frames.extend_from_slice(br#""}"#);
        set_frame_length(frames, start);
    }

    /// Checks and records a message that a member has received.
    #[inline]
    pub(super) fn handle_delivery(&mut self, member: usize, delivery: &Delivery<'_>) {
        let room = self.room_of(member);
        if delivery.room != self.room(room).as_bytes() {
            let other = self.rooms.iter().position(|name| name.as_bytes() == delivery.room);
            self.checker.add_fault(FaultKind::Strayed, member, other.unwrap_or(self.rooms.len()), delivery.id);
            return;
        }
        let source = self.identify(room, delivery);
        let before = self.checker.received;
        let is_correct = self.checker.check_delivery(member, delivery.id, source);
        if self.checker.received > before {
            self.last_progress_ns = self.now_ns;
        }
        let MessageSource::Own(stamp) = source else { return };
        if is_correct {
            let sent = SentMessage { due_ns: stamp.due_ns, sent_ns: stamp.due_ns };
            self.recorder.record_correct(sent, self.text_bytes, self.now_ns);
            if let ChatSendPolicy::RoundRobin(rotation) = &mut self.send_policy {
                rotation.record_delivery(stamp.publisher as usize, stamp.sequence);
            }
        }
    }

    /// Returns the source of a message. A message of this run has the nick of one of its members,
    /// and a text that this member would send.
    #[inline]
    fn identify(&self, room: usize, delivery: &Delivery<'_>) -> MessageSource {
        let Some(digits) = delivery.from.strip_prefix(self.nick_prefix.as_bytes()) else {
            return MessageSource::Foreign;
        };
        let from = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
        let stamp = MessageStamp::read(delivery.text, self.text_bytes);
        let stamp = stamp.filter(|stamp| Some(stamp.publisher) == from && self.checker.is_publisher_of(stamp, room));
        stamp.map_or(MessageSource::Corrupt, MessageSource::Own)
    }

    /// Counts an `error` or `bye` event.
    pub(super) fn handle_server_error(&mut self, member: usize, code: &str, text: &str) {
        self.checker.faults.server_errors += 1;
        self.keep_error(member, code, text);
    }

    /// Counts input that is not a chat event.
    pub(super) fn handle_garbled(&mut self, member: usize, error: &dyn fmt::Display) {
        self.checker.faults.corrupted += 1;
        self.keep_error(member, "garbled", &format!("the received frame is not a chat event: {error}"));
    }

    /// Keeps the first error of each code.
    fn keep_error(&mut self, member: usize, code: &str, text: &str) {
        let is_known = self.server_errors.iter().any(|error| error.code == code);
        if !is_known && self.server_errors.len() < MAX_SERVER_ERRORS {
            self.server_errors.push(ServerError { member, code: code.to_owned(), text: text.to_owned() });
        }
    }
}

fn push_request(frames: &mut Vec<u8>, request: &ChatRequest<'_>) -> io::Result<()> {
    let start = frames.len();
    frames.extend_from_slice(&[0; 4]);
    to_writer(&mut *frames, request)?;
    set_frame_length(frames, start);
    Ok(())
}

/// Writes the length of the frame that begins at `start` and ends with `frames` into its head.
fn set_frame_length(frames: &mut [u8], start: usize) {
    let bytes = u32::try_from(frames.len().saturating_sub(start + 4)).unwrap_or(u32::MAX);
    if let Some(head) = frames.get_mut(start..start + 4) {
        head.copy_from_slice(&bytes.to_be_bytes());
    }
}
