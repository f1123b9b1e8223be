//! A scripted chat server over a real socket, one step after the other.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::guard::guard;

/// A server before its next connection.
pub(crate) struct Fake {
    listener: TcpListener,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Accepts the next connection, within a time limit.
    pub(crate) fn accept(&self) -> Peer {
        Peer { stream: BufReader::new(self.accept_raw()) }
    }

    pub(crate) fn accept_raw(&self) -> TcpStream {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let limit = Timespec { tv_sec: guard().as_secs().try_into().unwrap(), tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&self.listener, PollFlags::IN)], Some(&limit)).unwrap();
        assert_eq!(ready, 1, "nobody connects");
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The next connection, greeted as it wishes.
    pub(crate) fn greet(&self) -> Peer {
        let mut peer = self.accept();
        let hello = peer.expect("hello");
        peer.send(&json!({"type": "welcome", "nick": hello["nick"], "rooms": ["lobby"]}));
        peer
    }
}

/// The client, as the server sees it.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
}

impl Peer {
    /// Sends bytes. An error is ignored: the client may have closed, which the next read reports.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        let sent = self.stream.get_ref().write_all(bytes);
        assert!(sent.is_ok() || matches!(sent.as_ref().unwrap_err().kind(), BrokenPipe | ConnectionReset), "{sent:?}");
    }

    pub(crate) fn send_payload(&self, payload: &[u8]) {
        self.send_bytes(&[&u32::try_from(payload.len()).unwrap().to_be_bytes(), payload].concat());
    }

    pub(crate) fn send(&self, event: &Value) {
        self.send_payload(event.to_string().as_bytes());
    }

    pub(crate) fn message(&self, room: &str, id: u64, from: &str, text: &str) {
        let at = "2026-01-01T00:00:00.000Z";
        self.send(&json!({"type": "message", "room": room, "id": id, "from": from, "text": text, "at": at}));
    }

    /// The next request; none at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Value> {
        let mut head = [0; 4];
        if let Err(error) = self.stream.read_exact(&mut head) {
            assert!(!matches!(error.kind(), std::io::ErrorKind::WouldBlock), "the client says nothing");
            return None;
        }
        let mut payload = vec![0; u32::from_be_bytes(head) as usize];
        self.stream.read_exact(&mut payload).unwrap();
        Some(serde_json::from_slice(&payload).unwrap())
    }

    /// The next request, which must be of this type.
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        let request = self.next().unwrap_or_else(|| panic!("the client has gone, and {kind} was expected"));
        assert_eq!(request["type"], kind, "{request}");
        request
    }

    /// Reads the next request, checks its text, and acknowledges it.
    pub(crate) fn hear(&mut self, room: &str, text: &str, id: u64) {
        let say = self.expect("say");
        assert_eq!((&say["room"], &say["text"]), (&json!(room), &json!(text)));
        self.send(&json!({"type": "ack", "ref": say["ref"], "id": id}));
    }

    /// Answers the client's last `ping`, after which the client closes.
    pub(crate) fn finish(mut self) {
        self.expect("ping");
        self.send(&json!({"type": "pong"}));
        assert_eq!(self.next(), None);
    }
}
