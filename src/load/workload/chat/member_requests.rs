//! The rooms and nicks of a chat load, and the requests that its members send.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::to_writer;

use super::config::ChatLoadConfig;
use super::event_scanner::Delivery;
use super::message_stamp::MessageStamp;
use super::room_log::MessageSource;
use crate::services::chat::wire::{ChatRequest, LOBBY};

/// The rooms and nicks of a run.
pub(super) struct MemberRequests {
    rooms: Vec<String>,
    /// The common prefix of all nicks; the member's number follows.
    nick_prefix: String,
    pub(super) text_bytes: usize,
}

impl MemberRequests {
    pub(super) fn new(config: &ChatLoadConfig) -> Self {
        Self { rooms: config.room_names(), nick_prefix: unique_nick_prefix(), text_bytes: config.payload_bytes }
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

    /// Returns the index of the room with this name, or an index beyond the last.
    pub(super) fn room_index(&self, name: &[u8]) -> usize {
        self.rooms.iter().position(|room| room.as_bytes() == name).unwrap_or(self.rooms.len())
    }

    fn nick_of(&self, member: usize) -> String {
        format!("{}{member}", self.nick_prefix)
    }

    /// Returns true if `nick` is the member's nick.
    pub(super) fn is_nick_of(&self, member: usize, nick: &str) -> bool {
        nick == self.nick_of(member)
    }

    /// Returns true if every member leaves the lobby: the server puts every new member into it.
    pub(super) fn leaves_lobby(&self) -> bool {
        self.rooms.len() > 1
    }

    /// Returns the requests that a member sends after connecting: `hello`, `join`, and `leave` for
    /// the lobby unless the member stays there.
    pub(super) fn handshake(&self, member: usize) -> io::Result<Vec<u8>> {
        let mut frames = Vec::new();
        let (nick, room) = (self.nick_of(member), self.room(self.room_of(member)));
        push_request(&mut frames, &ChatRequest::Hello { nick: nick.into() })?;
        push_request(&mut frames, &ChatRequest::Join { room: room.into(), since: None })?;
        if self.leaves_lobby() {
            push_request(&mut frames, &ChatRequest::Leave { room: LOBBY.into() })?;
        }
        Ok(frames)
    }

    /// Appends a message as a `say` request. It is written by hand, because its text needs no
    /// escaping, and an open loop may send a million messages a second.
    #[inline]
    pub(super) fn push_message(&self, stamp: &MessageStamp, frames: &mut Vec<u8>) {
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

    /// Returns the source of a message. A message of this run has the nick of one of its members,
    /// and a text that this member would send.
    #[inline]
    pub(super) fn source_of(&self, delivery: &Delivery<'_>) -> MessageSource {
        let Some(digits) = delivery.from.strip_prefix(self.nick_prefix.as_bytes()) else {
            return MessageSource::Foreign;
        };
        let from = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
        let stamp = MessageStamp::read(delivery.text, self.text_bytes);
        let stamp = stamp.filter(|stamp| Some(stamp.publisher) == from);
        stamp.map_or(MessageSource::Corrupt, MessageSource::Own)
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

/// Returns a nick prefix that is unique among the runs of this machine, so that two runs on one
/// server do not collide.
fn unique_nick_prefix() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    format!("b{:x}.{}-", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed))
}
