//! The JSON dialect as types: requests of clients and events of the server, one object per frame.
//!
//! Server and client share these types. Both sides ignore unknown fields.

use std::borrow::Cow;

use serde::de::{Deserializer, Error as _};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The room that every member is in from the start.
pub const LOBBY: &str = "lobby";

/// Default limit of a text, in bytes.
pub const MAX_TEXT_BYTES: usize = 4096;

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ChatRequest<'a> {
    /// Takes a nick. Without this request a member is called `guest-N`.
    Hello {
        /// 1 to 32 visible characters, unique without regard to case.
        nick: Cow<'a, str>,
    },
    /// Joins a room. Creates the room if it does not exist.
    Join {
        /// The room's name.
        room: Cow<'a, str>,
        /// The last id that the client received there. The server replays all later messages that
        /// it keeps.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
    },
    /// Leaves a room.
    Leave {
        /// The room's name.
        room: Cow<'a, str>,
    },
    /// Sends a text to all members of a room, the sender included.
    Say {
        /// The room's name.
        room: Cow<'a, str>,
        /// The text, at most 4 KiB.
        text: Cow<'a, str>,
        /// True for an action, false for a message. `None`: a text that begins with `/me` is an
        /// [action](action_text).
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<bool>,
    },
    /// Sends a text to one member.
    Whisper {
        /// The recipient's nick.
        to: Cow<'a, str>,
        /// The text, at most 4 KiB.
        text: Cow<'a, str>,
    },
    /// Lists the members of a room.
    Who {
        /// The room's name.
        room: Cow<'a, str>,
        /// The `next` of the previous page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    /// Lists the rooms.
    Rooms {
        /// The `next` of the previous page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    /// Changes the nick.
    Nick {
        /// The new nick.
        nick: Cow<'a, str>,
    },
    /// Asks for a `pong`.
    Ping,
}

/// A request with a label that its answer repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelledRequest<'a> {
    /// The request.
    #[serde(flatten)]
    pub request: ChatRequest<'a>,
    /// Any JSON of at most 256 bytes. The answer repeats it as its `ref`.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub label: Option<RequestLabel>,
}

/// An event that the server sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ChatEvent<'a> {
    /// Answers `hello`.
    Welcome {
        /// The client's nick.
        nick: Cow<'a, str>,
        /// The rooms that the client is in.
        rooms: Vec<Cow<'a, str>>,
        /// Sustained requests per second that the server accepts; `None`: no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        messages_per_second: Option<u32>,
        /// Requests that the server accepts in a burst.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burst: Option<u32>,
        /// The id of this run of the server. If it changes, message ids have restarted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<Cow<'a, str>>,
    },
    /// A member joined a room. The member itself receives the event, too.
    Joined {
        /// The room.
        room: Cow<'a, str>,
        /// The member's nick.
        nick: Cow<'a, str>,
    },
    /// A member left a room. The member itself receives the event, too.
    Left {
        /// The room.
        room: Cow<'a, str>,
        /// The member's nick.
        nick: Cow<'a, str>,
    },
    /// A message in a room.
    Message {
        /// The room.
        room: Cow<'a, str>,
        /// The message's id: the room's previous id plus one.
        id: u64,
        /// The sender's nick.
        from: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
        /// True if the text is an action of its sender, such as `waves`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        action: bool,
        /// The server's time: RFC 3339, UTC, with milliseconds.
        at: Cow<'a, str>,
    },
    /// The message of a `say` request with a `ref` was published.
    Ack {
        /// The request's `ref`.
        #[serde(rename = "ref")]
        label: RequestLabel,
        /// The message's id.
        id: u64,
    },
    /// A text for one member. The sender receives the event, too.
    Whisper {
        /// The sender's nick.
        from: Cow<'a, str>,
        /// The recipient's nick.
        to: Cow<'a, str>,
        /// The text.
        text: Cow<'a, str>,
        /// The server's time, as in a message.
        at: Cow<'a, str>,
    },
    /// One page of a room's members.
    Who {
        /// The room.
        room: Cow<'a, str>,
        /// The number of members.
        count: u64,
        /// The nicks of this page.
        nicks: Vec<Cow<'a, str>>,
        /// The `next` to send with the following `who`; absent on the last page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    /// One page of the rooms.
    Rooms {
        /// The rooms of this page.
        rooms: Vec<RoomListing<'a>>,
        /// The `next` to send with the following `rooms`; absent on the last page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    /// A member, perhaps the client itself, changed its nick.
    Renamed {
        /// The old nick.
        was: Cow<'a, str>,
        /// The new nick.
        nick: Cow<'a, str>,
    },
    /// Answers `ping`.
    Pong,
    /// The server closes the connection.
    Bye {
        /// The reason.
        reason: Cow<'a, str>,
    },
    /// A request failed, or messages are missing.
    Error {
        /// The error code, for programs. `docs/chat.md` lists them.
        code: Cow<'a, str>,
        /// The explanation, for users.
        text: Cow<'a, str>,
        /// Of codes `missed` and `unknown-id`: the room concerned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room: Option<Cow<'a, str>>,
        /// Of code `missed`: the id of the first missing message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<u64>,
        /// Of code `missed`: the number of missing messages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
        /// Of code `missed`: the id of the last missing message. All ids from `first` on are
        /// missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<u64>,
        /// Of code `nick-taken`: a nick that is free.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offer: Option<Cow<'a, str>>,
        /// The request's `ref`, if present.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        label: Option<RequestLabel>,
    },
}

/// The `ref` of a request: the text of any JSON value. The server repeats it byte for byte, so that
/// a number of any size comes back as it was sent.
///
/// ```
/// use switchboard::services::chat::wire::RequestLabel;
/// let label: RequestLabel = serde_json::from_str("7")?;
/// assert_eq!((label.json(), label.as_u64()), ("7", Some(7)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLabel(Box<str>);

impl RequestLabel {
    /// Returns the label's JSON text.
    pub fn json(&self) -> &str {
        &self.0
    }

    /// Returns the label if it is a non-negative integer of at most 64 bits.
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl From<u64> for RequestLabel {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl From<&RawValue> for RequestLabel {
    fn from(value: &RawValue) -> Self {
        Self(value.get().into())
    }
}

impl Serialize for RequestLabel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// Keeps the text of a label that stands alone. Inside an event, serde has parsed the value before,
/// and a number of more than 64 bits is then the nearest floating-point number.
impl<'de> Deserialize<'de> for RequestLabel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        serde_json::to_string(&value).map(|json| Self(json.into())).map_err(D::Error::custom)
    }
}

/// Returns the action in a text such as `/me waves`, or `None` if the text is a message.
///
/// ```
/// use switchboard::services::chat::wire::action_text;
/// assert_eq!(action_text("/me waves"), Some("waves"));
/// assert_eq!(action_text("/mean"), None);
/// assert_eq!(action_text("/me"), None);
/// ```
pub fn action_text(text: &str) -> Option<&str> {
    let action = text.strip_prefix("/me").filter(|rest| rest.starts_with(char::is_whitespace))?.trim();
    (!action.is_empty()).then_some(action)
}

/// A room in an answer to `rooms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomListing<'a> {
    /// The room's name.
    pub room: Cow<'a, str>,
    /// The number of its members.
    pub members: u64,
}
