//! What all members of a run share: the buffer they read into, the checker and the counters, the clock, and what there is to say.

use std::io;
use std::time::Instant;

use serde_json::to_writer;

use super::config::ChatLoadConfig;
use super::delivery_checker::{DeliveryChecker, MessageSource};
use super::event_scanner::Delivery;
use super::faults::FaultKind;
use super::message_stamp::MessageStamp;
use super::outcome::ServerError;
use super::publisher_rotation::PublisherRotation;
use crate::frame::BufferPool;
use crate::load::error::LoadError;
use crate::load::in_flight::SentMessage;
use crate::load::pace::SendSchedule;
use crate::load::recorder::Recorder;
use crate::services::chat::wire::{LOBBY, Request};

/// One read brings at most this many bytes.
const BUFFER_BYTES: usize = 256 * 1024;
/// What the server said is kept of so many server_errors.
const MAX_COMPLAINTS: usize = 5;

/// What publishers are to say.
pub(super) enum ChatSendPolicy {
    Nothing,
    /// Whatever their turn brings.
    PublisherRotation(PublisherRotation),
    /// What is due by the timetable.
    Timetable(SendSchedule),
}

pub(super) struct ChatRunContext {
    pub(super) buffer: Box<[u8]>,
    pub(super) spares: BufferPool,
    /// Frames that are being put together.
    pub(super) frames: Vec<u8>,
    pub(super) traffic: ChatTraffic,
}

/// What is said and heard.
pub(super) struct ChatTraffic {
    pub(super) recorder: Recorder,
    pub(super) checker: DeliveryChecker,
    pub(super) policy: ChatSendPolicy,
    pub(super) server_errors: Vec<ServerError>,
    /// Messages said that count.
    pub(super) said: u64,
    pub(super) rooms: Vec<String>,
    /// What every member's nick begins with; its number follows.
    nick: String,
    pub(super) text_bytes: usize,
    started: Instant,
    /// The time, as it was last looked at.
    pub(super) now_ns: u64,
    /// When something last came to a member that had not come to it before.
    pub(super) moved_ns: u64,
}

impl ChatRunContext {
    pub(super) fn new(config: &ChatLoadConfig, nick: String) -> Result<Self, LoadError> {
        let recorder =
            Recorder::new(config.activity.into()).map_err(|error| LoadError::System(io::Error::other(error)))?;
        Ok(Self {
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            spares: BufferPool::default(),
            frames: Vec::new(),
            traffic: ChatTraffic {
                recorder,
                checker: DeliveryChecker::new(config.members, config.rooms, config.publishers),
                policy: ChatSendPolicy::Nothing,
                server_errors: Vec::new(),
                said: 0,
                rooms: config.room_names(),
                nick,
                text_bytes: config.payload_bytes,
                started: Instant::now(),
                now_ns: 0,
                moved_ns: 0,
            },
        })
    }
}

impl ChatTraffic {
    /// Looks at the clock: nanoseconds since the start of the run.
    #[inline]
    pub(super) fn read_clock(&mut self) -> u64 {
        self.now_ns = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.now_ns
    }

    /// The number of a member's room.
    pub(super) fn room_of(&self, member: usize) -> usize {
        member % self.rooms.len().max(1)
    }

    /// Its name.
    pub(super) fn room(&self, number: usize) -> &str {
        // Strayed messages are of a room beyond the last.
        self.rooms.get(number).map_or(LOBBY, String::as_str)
    }

    fn nick_of(&self, member: usize) -> String {
        format!("{}{member}", self.nick)
    }

    /// Whether that is a member's nick.
    pub(super) fn is_called(&self, member: usize, nick: &str) -> bool {
        nick == self.nick_of(member)
    }

    /// What a member says first, in one write.
    pub(super) fn greet(&self, member: usize, frames: &mut Vec<u8>) -> io::Result<()> {
        let (nick, room) = (self.nick_of(member), self.room(self.room_of(member)));
        frame(frames, &Request::Hello { nick: nick.into() })?;
        frame(frames, &Request::Join { room: room.into(), since: None })?;
        // Everybody is there from the start.
        if room == LOBBY { Ok(()) } else { frame(frames, &Request::Leave { room: LOBBY.into() }) }
    }

    /// Appends a message. It is put together by hand, because its text needs no escape and may be said a million times a second.
    #[inline]
    pub(super) fn say(&mut self, stamp: &MessageStamp, frames: &mut Vec<u8>) {
        let member = stamp.publisher as usize;
        let start = frames.len();
        frames.extend_from_slice(&[0; 4]);
        frames.extend_from_slice(br#"{"type":"say","room":""#);
        frames.extend_from_slice(self.room(self.room_of(member)).as_bytes());
        frames.extend_from_slice(br#"","text":""#);
        stamp.write(self.text_bytes, frames);
        frames.extend_from_slice(br#""}"#);
        patch_length(frames, start);
    }

    /// A message came to a member.
    #[inline]
    pub(super) fn deliver(&mut self, member: usize, delivery: &Delivery<'_>) {
        let room = self.room_of(member);
        if delivery.room != self.room(room).as_bytes() {
            let other = self.rooms.iter().position(|name| name.as_bytes() == delivery.room);
            self.checker.note(FaultKind::Strayed, member, other.unwrap_or(self.rooms.len()), delivery.id);
            return;
        }
        let said = self.recognise(room, delivery);
        let before = self.checker.received;
        let is_whole = self.checker.hear(member, delivery.id, said);
        if self.checker.received > before {
            self.moved_ns = self.now_ns;
        }
        let MessageSource::Ours(stamp) = said else { return };
        if is_whole {
            let sent = SentMessage { due_ns: stamp.due_ns, sent_ns: stamp.due_ns };
            self.recorder.right(sent, self.text_bytes, self.now_ns);
            if let ChatSendPolicy::PublisherRotation(rotation) = &mut self.policy {
                rotation.hear(stamp.publisher as usize, stamp.sequence);
            }
        }
    }

    /// Whose message it is: one of ours is said to be from one of us, and has the text that this one would say.
    #[inline]
    fn recognise(&self, room: usize, delivery: &Delivery<'_>) -> MessageSource {
        let Some(digits) = delivery.from.strip_prefix(self.nick.as_bytes()) else { return MessageSource::Foreign };
        let from = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
        let stamp = MessageStamp::read(delivery.text, self.text_bytes);
        let stamp = stamp.filter(|stamp| Some(stamp.publisher) == from && self.checker.may_say(stamp, room));
        stamp.map_or(MessageSource::Spoiled, MessageSource::Ours)
    }

    /// The server is not content.
    pub(super) fn complain(&mut self, member: usize, code: &str, text: &str) {
        self.checker.faults.server_errors += 1;
        self.keep(member, code, text);
    }

    /// What came is no event of a chat.
    pub(super) fn garbled(&mut self, member: usize, why: &dyn std::fmt::Display) {
        self.checker.faults.corrupted += 1;
        self.keep(member, "garbled", &format!("what came is no event of a chat: {why}"));
    }

    /// The first of each kind says more than many of one.
    fn keep(&mut self, member: usize, code: &str, text: &str) {
        let known = self.server_errors.iter().any(|complaint| complaint.code == code);
        if !known && self.server_errors.len() < MAX_COMPLAINTS {
            self.server_errors.push(ServerError { member, code: code.to_owned(), text: text.to_owned() });
        }
    }
}

fn frame(frames: &mut Vec<u8>, request: &Request<'_>) -> io::Result<()> {
    let start = frames.len();
    frames.extend_from_slice(&[0; 4]);
    to_writer(&mut *frames, request)?;
    patch_length(frames, start);
    Ok(())
}

/// A frame that begins at `start` is as long as it has become.
fn patch_length(frames: &mut [u8], start: usize) {
    let bytes = u32::try_from(frames.len().saturating_sub(start + 4)).unwrap_or(u32::MAX);
    if let Some(head) = frames.get_mut(start..start + 4) {
        head.copy_from_slice(&bytes.to_be_bytes());
    }
}
