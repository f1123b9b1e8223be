//! Requests to the hub, as parsed by every dialect, and the reply to a request that fails.

use std::borrow::Cow;
use std::time::Duration;

use ipnet::IpNet;

use super::wire::{ChatEvent, RequestLabel, action_text};

/// A request to the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HubRequest<'a> {
    Hello {
        nick: Cow<'a, str>,
    },
    Join {
        room: Cow<'a, str>,
        since: Option<u64>,
    },
    /// In this and the following variants `room: None` means the member's current room.
    Leave {
        room: Option<Cow<'a, str>>,
    },
    Say {
        room: Option<Cow<'a, str>>,
        message: RoomText<'a>,
    },
    Whisper {
        to: Cow<'a, str>,
        text: Cow<'a, str>,
    },
    Who {
        room: Option<Cow<'a, str>>,
        next: Option<u64>,
    },
    Rooms {
        next: Option<u64>,
    },
    Nick {
        nick: Cow<'a, str>,
    },
    Ping,
    /// Asks for the member's own nick and rooms.
    Me,
    Help,
    Quit,
    /// A request that only the operator's console may send.
    Operator(OperatorCommand<'a>),
}

/// A text for a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RoomText<'a> {
    pub(super) text: Cow<'a, str>,
    /// True if the text is an action of its sender, such as `waves`.
    pub(super) is_action: bool,
}

impl<'a> RoomText<'a> {
    /// Returns a text that is not an action.
    pub(super) fn message(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), is_action: false }
    }

    /// Returns an action.
    pub(super) fn action(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), is_action: true }
    }

    /// Returns the text that a user has typed: after `/me` it is an action.
    pub(super) fn typed(text: Cow<'a, str>) -> Self {
        match action_text(&text) {
            Some(action) => Self::action(action.to_owned()),
            None => Self::message(text),
        }
    }
}

/// A command of the operator that members do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OperatorCommand<'a> {
    Kick {
        nick: Cow<'a, str>,
        reason: Option<Cow<'a, str>>,
    },
    Ban {
        target: BanTarget<'a>,
        /// `None`: for good.
        time: Option<Duration>,
        reason: Option<Cow<'a, str>>,
    },
    Unban {
        network: IpNet,
    },
    /// Lists the bans from the one with this number on.
    Bans {
        next: Option<u64>,
    },
    Stats,
    Shutdown,
}

/// The target of a ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BanTarget<'a> {
    Network(IpNet),
    /// The address of this member.
    Nick(Cow<'a, str>),
}

/// The result of parsing one frame.
pub(super) struct ParsedFrame<'a> {
    /// The request, or the reply to a frame that is not a valid request.
    pub(super) request: Result<HubRequest<'a>, ErrorReply>,
    /// The `ref` of the request, which its answer repeats.
    pub(super) label: Option<RequestLabel>,
}

/// The reply to a request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrorReply {
    /// The error code, for programs.
    pub(super) code: &'static str,
    /// The explanation, for users.
    pub(super) text: String,
    /// A free nick that resembles the requested one.
    pub(super) offer: Option<String>,
}

impl ErrorReply {
    /// Returns a reply without an offer.
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), offer: None }
    }

    /// Returns the `error` event to send, with the `ref` of the request.
    pub(super) fn event(&self, label: Option<RequestLabel>) -> ChatEvent<'_> {
        ChatEvent::Error {
            code: self.code.into(),
            text: Cow::from(&self.text),
            room: None,
            first: None,
            count: None,
            last: None,
            offer: self.offer.as_deref().map(Cow::from),
            label,
        }
    }
}
