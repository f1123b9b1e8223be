//! What can be asked of the hub, in whichever dialect it was said, and how it says no.

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::Value;

use super::wire::Event;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask<'a> {
    Hello {
        nick: Cow<'a, str>,
    },
    Join {
        room: Cow<'a, str>,
        since: Option<u64>,
    },
    /// Where no room is named, here and below, the one that the member is in now.
    Leave {
        room: Option<Cow<'a, str>>,
    },
    Say {
        room: Option<Cow<'a, str>>,
        text: Cow<'a, str>,
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
    /// Who am I, and where?
    Me,
    Help,
    Quit,
    /// What only the operator may ask.
    Operator(Order<'a>),
}

/// What the operator may ask beyond what everybody may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order<'a> {
    Kick { nick: Cow<'a, str> },
    Ban { address: IpAddr },
    Unban { address: IpAddr },
    Bans,
    Stats,
    Shutdown,
}

/// A request that is not done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// For programs.
    pub(super) code: &'static str,
    /// For people.
    pub(super) text: String,
    /// A nick that is free.
    pub(super) offer: Option<String>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), offer: None }
    }

    /// As it is told.
    pub(super) fn event(&self, label: Option<Value>) -> Event<'_> {
        Event::Error {
            code: self.code.into(),
            text: Cow::from(&self.text),
            room: None,
            first: None,
            count: None,
            offer: self.offer.as_deref().map(Cow::from),
            label,
        }
    }
}
