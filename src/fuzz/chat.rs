//! Sends requests of several clients to a chat server, in the JSON dialect and in the text
//! dialects:
//!
//! - what a client receives are whole frames, each a valid event or lines that only the server
//!   writes, without control characters;
//! - the replies do not depend on the pieces in which a request arrives;
//! - the output is bounded, and a sender of datagrams that has not proved its address cannot make
//!   the server send it much more than it has sent.
//!
//! The first byte of a line is the sender: `0` to `2` is a client, `3` and `4` send datagrams.

use std::net::SocketAddr;

use encoding_rs::{BIG5, Encoding, GBK, SHIFT_JIS, UTF_8, WINDOWS_1252};

use super::script::{Cuts, Script};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::Limits;
use crate::frame::escape::CONTINUATION_INDENT;
use crate::frame::{FrameDecoder, Framing, encode};
use crate::reactor::scripted_loop::ScriptedLoop;
use crate::services::chat::wire::ChatEvent;
use crate::services::chat::{Chat, ChatConfig};

const CLIENTS: usize = 3;

/// The most requests of one input.
const MAX_REQUESTS: usize = 48;

/// Headers of a datagram: IPv4 and UDP.
const HEADER_BYTES: usize = 28;

/// The sources of datagrams: on this machine, and on another.
const SOURCES: [([u8; 4], u16); 2] = [([127, 0, 0, 1], 9), ([203, 0, 113, 5], 9)];

/// Runs the target `chat_json`.
pub fn chat_json(input: &[u8]) {
    let mut script = Script::new(input);
    let framing = script.choose(&[
        Framing::U32BE,
        Framing::U16BE,
        Framing::U16LE,
        Framing::U24BE,
        Framing::U32LE,
        Framing::U64BE,
        Framing::Varint,
    ]);
    let (config, cuts) = (config(&mut script, UTF_8), script.cuts());
    let requests: Vec<_> = requests(script.rest()).map(|(client, payload)| (client, frame(framing, payload))).collect();
    let received = Received::of(framing, &config, &requests, None);
    let events = received.events(framing);
    assert_eq!(events, Received::of(framing, &config, &requests, Some(cuts)).events(framing));
}

/// Runs the target `chat_lines`.
pub fn chat_lines(input: &[u8]) {
    let mut script = Script::new(input);
    let framing = script.choose(&[Framing::Lines, Framing::Raw]);
    let encoding = script.choose(&[UTF_8, GBK, BIG5, SHIFT_JIS, WINDOWS_1252]);
    let (config, cuts) = (config(&mut script, encoding), script.cuts());
    let line = |(client, line): (usize, &[u8])| (client, [line, b"\n"].concat());
    let requests: Vec<_> = requests(script.rest()).map(line).collect();
    let received = Received::of(framing, &config, &requests, None);
    received.check_lines(encoding);
    // One read of the raw dialect is one message.
    if framing == Framing::Lines {
        assert_eq!(received, Received::of(framing, &config, &requests, Some(cuts)));
    }
}

fn config(script: &mut Script<'_>, encoding: &'static Encoding) -> ChatConfig {
    let which = script.byte();
    let choose = |bit: u8, small, large| if which & 1 << bit == 0 { large } else { small };
    ChatConfig {
        max_requests_per_second: if which & 1 == 0 { 0 } else { 20 },
        max_burst_requests: if which & 2 == 0 { 40 } else { 4 },
        max_rooms_per_member: choose(2, 2, 32),
        max_rooms: choose(3, 2, 100),
        max_kept_messages: choose(4, 2, 1000),
        max_kept_bytes: choose(5, 300, 1 << 20),
        max_announcing_room_members: choose(6, 1, 128),
        accepts_remote_datagrams: which & 128 != 0,
        encoding,
        ..ChatConfig::default()
    }
}

/// Returns the lines of an input as pairs of a sender's number and a request.
fn requests(input: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = input.split(|byte| *byte == b'\n').take(MAX_REQUESTS);
    lines.filter_map(|line| {
        let (sender, request) = line.split_first()?;
        Some((usize::from(sender.wrapping_sub(b'0')) % (CLIENTS + SOURCES.len()), request))
    })
}

/// Returns a request as a frame, or nothing if it is too long for one.
fn frame(framing: Framing, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let _ = encode(framing, payload, &mut frame);
    frame
}

/// What each client received.
#[derive(Debug, PartialEq)]
struct Received(Vec<Vec<u8>>);

impl Received {
    /// Sends the requests, each in pieces if `cuts` are given, and returns the output.
    fn of(framing: Framing, config: &ChatConfig, requests: &[(usize, Vec<u8>)], cuts: Option<Cuts>) -> Self {
        let chat = Chat::new(config.clone());
        let limits = Limits { max_queued_messages: 1, ..Limits::default() };
        let mut engine = ScriptedLoop::new(limits, framing, chat.options("chat"), chat);
        let sockets: Vec<ScriptedSocket> = (1u16..)
            .take(CLIENTS)
            .map(|port| {
                let socket = engine.connect(([127, 0, 0, 1], port).into());
                engine.run_until_idle();
                socket
            })
            .collect();
        let mut datagram_bytes = [0; SOURCES.len()];
        let mut request_bytes = 0;
        for (sender, request) in requests {
            request_bytes += request.len();
            if let Some(source) = sender.checked_sub(CLIENTS) {
                let payload = request.strip_suffix(b"\n").unwrap_or(request);
                datagram_bytes[source] += payload.len() + HEADER_BYTES;
                engine.datagram(SocketAddr::from(SOURCES[source]), payload);
                engine.run_until_idle();
                continue;
            }
            for piece in cuts.map_or_else(|| vec![&request[..]], |cuts| cuts.pieces(request)) {
                sockets[*sender].send(piece);
                engine.run_until_idle();
            }
        }
        let remote = SocketAddr::from(SOURCES[1]);
        let sent = engine.sent_datagrams();
        let to_remote: usize = sent.iter().filter(|(to, _)| *to == remote).map(|(_, it)| it.len() + HEADER_BYTES).sum();
        assert!(to_remote <= 4 * datagram_bytes[1], "{to_remote} bytes went to an address that is not proved");
        engine.finish(&sockets);
        let received = Self(sockets.iter().map(ScriptedSocket::written).collect());
        let bound = 8_192 + requests.len() * (8_192 + 8 * request_bytes);
        assert!(received.0.iter().all(|bytes| bytes.len() <= bound), "the output is not bounded");
        received
    }

    /// Returns the events of each client, without their times.
    fn events(&self, framing: Framing) -> Vec<Vec<String>> {
        let events = self.0.iter().map(|bytes| payloads(framing, bytes).iter().map(|payload| event(payload)).collect());
        events.collect()
    }

    fn check_lines(&self, encoding: &'static Encoding) {
        for bytes in &self.0 {
            let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
            let text = text.expect("the output is valid in its encoding");
            assert!(text.is_empty() || text.ends_with('\n'), "the output ends within a line");
            for line in text.lines() {
                let is_of_server = ["* ", "! ", "[", CONTINUATION_INDENT].iter().any(|start| line.starts_with(start));
                assert!(is_of_server, "a line that the server does not write: {line:?}");
                assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "a control character: {line:?}");
            }
        }
    }
}

/// Decodes what a client received, which are whole frames.
fn payloads(framing: Framing, bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut decoder, mut input, mut payloads) = (FrameDecoder::new(framing, usize::MAX), bytes, Vec::new());
    while let Some(payload) = decoder.decode(&mut input).expect("the output is valid frames") {
        payloads.push(payload.to_vec());
    }
    assert_eq!(decoder.unfinished_bytes(), None, "the output ends within a frame");
    payloads
}

/// Returns an event without its time. Parsing and encoding it gives the same bytes; only a `ref`
/// may be a number that the parser cannot hold.
fn event(payload: &[u8]) -> String {
    let text = std::str::from_utf8(payload).expect("an event is UTF-8");
    serde_json::from_str::<serde::de::IgnoredAny>(text).expect("an event is JSON");
    let has_label = text.contains("\"ref\":");
    match serde_json::from_str::<ChatEvent<'_>>(text) {
        Ok(mut event) => {
            assert!(has_label || serde_json::to_string(&event).is_ok_and(|again| again == text), "{text}");
            if let ChatEvent::Message { at, .. } | ChatEvent::Whisper { at, .. } = &mut event {
                *at = "".into();
            }
            format!("{event:?}")
        }
        Err(error) => {
            assert!(has_label, "{error}: {text}");
            text.to_owned()
        }
    }
}
