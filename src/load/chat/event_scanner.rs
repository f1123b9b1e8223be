//! What a member is told, out of one frame's JSON.
//!
//! Nearly all of it are messages, and a parser that builds values would be most of what the generator does. So a message is scanned
//! for: a flat object of plain strings and whole numbers, all of it ASCII and without an escape. Whatever is not that is left to
//! `serde_json`, which has the last word on what is valid. The invariant: what the scanner takes, serde takes alike.

use memchr::memchr2;

use crate::services::chat::wire::Event;

/// A message as it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivery<'a> {
    pub(super) room: &'a [u8],
    pub(super) id: u64,
    pub(super) from: &'a [u8],
    pub(super) text: &'a [u8],
}

/// Calls `message` with what a frame delivers, or else returns what it is.
///
/// # Errors
/// When it is no event of a chat.
#[inline]
pub(super) fn read(payload: &[u8], message: impl FnOnce(Delivery<'_>)) -> Result<Option<Event<'_>>, serde_json::Error> {
    if let Some(delivery) = scan(payload) {
        message(delivery);
        return Ok(None);
    }
    match serde_json::from_slice(payload)? {
        Event::Message { room, id, from, text, .. } => {
            message(Delivery { room: room.as_bytes(), id, from: from.as_bytes(), text: text.as_bytes() });
            Ok(None)
        }
        event => Ok(Some(event)),
    }
}

/// Takes a message apart; none if it is anything else, or is written in a way that has to be parsed.
fn scan(payload: &[u8]) -> Option<Delivery<'_>> {
    let (mut kind, mut room, mut id, mut from, mut text, mut at) = (None, None, None, None, None, None);
    let mut rest = payload.strip_prefix(b"{")?;
    loop {
        let key = string(&mut rest)?;
        rest = rest.strip_prefix(b":")?;
        let twice = match key {
            b"type" => kind.replace(string(&mut rest)?).is_some(),
            b"room" => room.replace(string(&mut rest)?).is_some(),
            b"from" => from.replace(string(&mut rest)?).is_some(),
            b"text" => text.replace(string(&mut rest)?).is_some(),
            b"at" => at.replace(string(&mut rest)?).is_some(),
            b"id" => id.replace(number(&mut rest)?).is_some(),
            _ => return None,
        };
        if twice {
            return None;
        }
        match rest.split_first()? {
            (b',', after) => rest = after,
            (b'}', []) => break,
            _ => return None,
        }
    }
    // It is not looked at, and no message is without it.
    at?;
    (kind? == b"message").then_some(Delivery { room: room?, id: id?, from: from?, text: text? })
}

/// A plain string off the front.
#[inline]
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let open = rest.strip_prefix(b"\"")?;
    let end = memchr2(b'"', b'\\', open)?;
    let (string, after) = open.split_at_checked(end)?;
    *rest = after.strip_prefix(b"\"")?;
    // Without a branch for each byte, so that many are looked at with one instruction.
    let plain = string.iter().fold(true, |plain, byte| plain & (byte.wrapping_sub(0x20) < 0x60));
    plain.then_some(string)
}

/// A whole number off the front, as JSON writes one.
#[inline]
fn number(rest: &mut &[u8]) -> Option<u64> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = rest.split_at_checked(digits)?;
    if digits == 0 || (digits > 1 && number.first() == Some(&b'0')) {
        return None;
    }
    let value = number.iter().try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add((digit - b'0').into()));
    *rest = after;
    value
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    /// The oracle: serde alone.
    fn parsed(payload: &[u8]) -> Option<(String, u64, String, String)> {
        match serde_json::from_slice(payload) {
            Ok(Event::Message { room, id, from, text, .. }) => {
                Some((room.into_owned(), id, from.into_owned(), text.into_owned()))
            }
            _ => None,
        }
    }

    fn owned(delivery: Delivery<'_>) -> (String, u64, String, String) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(delivery.room), delivery.id, text(delivery.from), text(delivery.text))
    }

    fn agrees(payload: &[u8]) {
        let shown = String::from_utf8_lossy(payload);
        if let Some(delivery) = scan(payload) {
            assert_eq!(Some(owned(delivery)), parsed(payload), "{shown}");
        }
        let mut read_as = None;
        let read = read(payload, |delivery| read_as = Some(owned(delivery)));
        assert_eq!(read_as, parsed(payload), "{shown}");
        assert_eq!(read.is_err(), serde_json::from_slice::<Event<'_>>(payload).is_err(), "{shown}");
    }

    /// A piece of something like a message: right ones mostly.
    fn member() -> impl Strategy<Value = String> {
        let key = prop_oneof![
            8 => prop::sample::select(vec!["type", "room", "id", "from", "text", "at"]),
            1 => Just("ref"),
            1 => Just("te\\u0078t"),
        ];
        let value = prop_oneof![
            4 => prop::sample::select(vec!["\"message\"", "\"lobby\"", "\"joined\"", "\"\"", "\"a b\""]).prop_map(str::to_owned),
            3 => any::<u64>().prop_map(|id| id.to_string()),
            2 => prop::sample::select(vec![
                "01", "-1", "1.5", "1e3", "18446744073709551616", "null", "true", "[]", "{}", "\"\\n\"", "\"\\\"\"", "\"é\"",
                "\"\u{1}\"", "\"\u{7f}\"", " 1", "\"", "",
            ]).prop_map(str::to_owned),
        ];
        (key, value, prop_oneof![9 => Just(":"), 1 => Just(" : "), 1 => Just("")])
            .prop_map(|(key, value, colon)| format!("\"{key}\"{colon}{value}"))
    }

    /// What a message has, each with a value that fits mostly, in any order.
    fn message() -> impl Strategy<Value = Vec<String>> {
        let text = || prop_oneof![4 => "[ -~]{0,40}", 1 => any::<String>()];
        (any::<u64>(), [text(), text(), text(), text()])
            .prop_map(|(id, [room, from, text, at])| {
                let quoted = |text: &String| serde_json::to_string(text).unwrap();
                vec![
                    "\"type\":\"message\"".to_owned(),
                    format!("\"room\":{}", quoted(&room)),
                    format!("\"id\":{id}"),
                    format!("\"from\":{}", quoted(&from)),
                    format!("\"text\":{}", quoted(&text)),
                    format!("\"at\":{}", quoted(&at)),
                ]
            })
            .prop_shuffle()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn the_scanner_says_what_serde_says(
            message in message(), more in prop::collection::vec(member(), 0..2), without in prop::option::weighted(0.2, 0usize..6),
            tail in prop::sample::select(vec!["}", "}", "}", "", "} ", "}}", ",}"]),
        ) {
            let mut members = message;
            if let Some(without) = without {
                members.remove(without);
            }
            members.extend(more);
            agrees(format!("{{{}{tail}", members.join(",")).as_bytes());
        }

        #[test]
        fn bytes_that_were_changed_are_read_as_serde_reads_them(message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut payload = format!("{{{}}}", message.join(",")).into_bytes();
            let at = at.index(payload.len());
            payload[at] = byte;
            agrees(&payload);
        }
    }

    #[test]
    fn a_message_as_the_server_writes_it_needs_no_parser() {
        let of = |text: &str| Cow::<str>::Owned(text.to_owned());
        let event = Event::Message {
            room: of("lobby"),
            id: 7,
            from: of("eva"),
            text: of("hi"),
            at: of("2026-01-01T00:00:00.000Z"),
        };
        let payload = serde_json::to_vec(&event).unwrap();
        let delivery = Delivery { room: b"lobby", id: 7, from: b"eva", text: b"hi" };
        assert_eq!(scan(&payload), Some(delivery));
    }

    #[test]
    fn what_is_no_message_is_what_serde_makes_of_it() {
        let read =
            |payload: &str| read(payload.as_bytes(), |delivery| panic!("{delivery:?}")).map(|event| event.is_some());
        assert!(read(r#"{"type":"pong"}"#).unwrap());
        assert!(read(r#"{"type":"message","room":"a","id":1,"from":"b","text":"c"}"#).is_err(), "without a time");
        assert!(read("hello").is_err());
    }
}
