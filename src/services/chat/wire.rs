//! Chat's length-prefixed JSON, as types: what a client sends and what it is sent. One object a frame.
//!
//! Servers and clients both use these, so that a field has one name. Unknown fields are ignored on either side.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The room that everybody is in from the start.
pub const LOBBY: &str = "lobby";

/// Bytes of a text, where a server has no rule of its own.
pub const MAX_TEXT_BYTES: usize = 4096;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Request<'a> {
    /// Takes a nick. Who says nothing of the kind is `guest-N`.
    Hello {
        /// 1 to 32 visible characters, unique without regard to case.
        nick: Cow<'a, str>,
    },
    /// Enters a room, and makes it if there is none of this name.
    Join {
        /// Its name.
        room: Cow<'a, str>,
        /// The last id that was seen there: every message with a larger one is sent again, as far as the server keeps them.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
    },
    /// Leaves a room.
    Leave {
        /// Its name.
        room: Cow<'a, str>,
    },
    /// Says something to everybody in a room, the speaker included.
    Say {
        /// The room's name.
        room: Cow<'a, str>,
        /// At most 4 KiB.
        text: Cow<'a, str>,
    },
    /// Says something to one person.
    Whisper {
        /// The person's nick.
        to: Cow<'a, str>,
        /// At most 4 KiB.
        text: Cow<'a, str>,
    },
    /// Asks who is in a room.
    Who {
        /// Its name.
        room: Cow<'a, str>,
        /// Where the last answer said that it goes on.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    /// Asks which rooms there are.
    Rooms {
        /// Where the last answer said that it goes on.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    /// Takes another nick.
    Nick {
        /// The new one.
        nick: Cow<'a, str>,
    },
    /// Asks for a sign of life.
    Ping,
}

/// A request and what its answer is to be known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Labelled<'a> {
    /// What is asked for.
    #[serde(flatten)]
    pub request: Request<'a>,
    /// Comes back in the answer's `ref`: anything of up to 256 bytes.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub label: Option<Value>,
}

/// What a client is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event<'a> {
    /// Answers `hello`.
    Welcome {
        /// What the client is called.
        nick: Cow<'a, str>,
        /// The rooms that it is in.
        rooms: Vec<Cow<'a, str>>,
        /// Requests a second that it may make for long; none: as many as it likes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        messages_per_second: Option<u32>,
        /// Requests that it may make at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burst: Option<u32>,
        /// A word that another start of the server does not have: where it is another, ids have begun anew.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<Cow<'a, str>>,
    },
    /// Somebody entered a room. Who entered is told so, too.
    Joined {
        /// The room.
        room: Cow<'a, str>,
        /// Who.
        nick: Cow<'a, str>,
    },
    /// Somebody left a room. Who left is told so, too.
    Left {
        /// The room.
        room: Cow<'a, str>,
        /// Who.
        nick: Cow<'a, str>,
    },
    /// Something was said.
    Message {
        /// Where.
        room: Cow<'a, str>,
        /// The room's last id and one more.
        id: u64,
        /// By whom.
        from: Cow<'a, str>,
        /// What.
        text: Cow<'a, str>,
        /// When, by the server's clock: RFC 3339, UTC, with milliseconds.
        at: Cow<'a, str>,
    },
    /// A `say` that had a `ref` was said.
    Ack {
        /// That `ref`.
        #[serde(rename = "ref")]
        label: Value,
        /// The message's id.
        id: u64,
    },
    /// Something was said to one person; who said it gets it, too.
    Whisper {
        /// By whom.
        from: Cow<'a, str>,
        /// To whom.
        to: Cow<'a, str>,
        /// What.
        text: Cow<'a, str>,
        /// When, as in a message.
        at: Cow<'a, str>,
    },
    /// Who is in a room.
    Who {
        /// The room.
        room: Cow<'a, str>,
        /// How many are.
        count: u64,
        /// Some of them, or all.
        nicks: Vec<Cow<'a, str>>,
        /// To be sent back with the next `who`; absent when these were the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    /// Which rooms there are.
    Rooms {
        /// Some of them, or all.
        rooms: Vec<Listed<'a>>,
        /// To be sent back with the next `rooms`; absent when these were the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    /// Somebody, perhaps the client itself, has another nick.
    Renamed {
        /// The old one.
        was: Cow<'a, str>,
        /// The new one.
        nick: Cow<'a, str>,
    },
    /// Answers `ping`.
    Pong,
    /// The server ends the connection.
    Bye {
        /// Why.
        reason: Cow<'a, str>,
    },
    /// Something was not done, or is missing.
    Error {
        /// A word for programs; the protocol's page lists them.
        code: Cow<'a, str>,
        /// A sentence for people.
        text: Cow<'a, str>,
        /// Of codes `missed` and `unknown-id`: the room that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<Cow<'a, str>>,
        /// Of code `missed`: the id of the first that is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<u64>,
        /// Of code `missed`: how many are missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
        /// Of code `nick-taken`: one that is free.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offer: Option<Cow<'a, str>>,
        /// The request's `ref`, if it had one.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        label: Option<Value>,
    },
}

/// A room, as `rooms` tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed<'a> {
    /// Its name.
    pub room: Cow<'a, str>,
    /// How many are in it.
    pub members: u64,
}
