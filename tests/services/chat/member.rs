//! A member that uses the JSON dialect and records the messages it receives.

use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::support::Client;

pub(crate) struct Member {
    pub(crate) client: Client,
}

impl Member {
    /// Joins the lobby with a nick.
    pub(crate) fn enter(at: SocketAddr, nick: &str) -> Self {
        let mut member = Self::connect(at);
        member.ask(&json!({"type": "hello", "nick": nick}));
        member.await_event(|event| event["type"] == "welcome" && event["nick"] == nick);
        member
    }

    pub(crate) fn connect(at: SocketAddr) -> Self {
        Self { client: Client::connect(at) }
    }

    /// Connects with a small receive buffer, so that unread output stays in the server.
    pub(crate) fn connect_narrow(at: SocketAddr) -> Self {
        Self::connect_receiving(at, 4096)
    }

    /// Connects with a receive buffer of this size.
    pub(crate) fn connect_receiving(at: SocketAddr, bytes: usize) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.connect(&at.into()).unwrap();
        Self { client: Client::new(TcpStream::from(socket)) }
    }

    pub(crate) fn ask(&self, request: &Value) {
        self.client.send(request.to_string().as_bytes());
    }

    pub(crate) fn say(&self, text: &str) {
        self.say_in("lobby", text);
    }

    pub(crate) fn say_in(&self, room: &str, text: &str) {
        self.ask(&json!({"type": "say", "room": room, "text": text}));
    }

    pub(crate) fn join(&mut self, room: &str) {
        self.ask(&json!({"type": "join", "room": room}));
        self.await_event(|event| event["type"] == "joined" && event["room"] == room);
    }

    /// Returns the next event; panics at the end of the stream.
    pub(crate) fn event(&mut self) -> Value {
        serde_json::from_slice(&self.client.receive()).unwrap()
    }

    /// Returns the bytes of the next message.
    pub(crate) fn message_bytes(&mut self) -> Vec<u8> {
        loop {
            let payload = self.client.receive();
            if payload.starts_with(br#"{"type":"message""#) {
                return payload;
            }
        }
    }

    pub(crate) fn await_event(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.event();
            if is_it(&event) {
                return event;
            }
        }
    }

    /// Returns the next message's id, sender and text; panics at an error event.
    pub(crate) fn message(&mut self) -> (u64, String, String) {
        let event = self.await_event(|event| event["type"] == "message" || event["type"] == "error");
        message(&event).unwrap_or_else(|| panic!("{event}"))
    }
}

/// Returns the fields of a message.
pub(crate) fn message(event: &Value) -> Option<(u64, String, String)> {
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    (event["type"] == "message").then_some((event["id"].as_u64()?, text("from")?, text("text")?))
}
