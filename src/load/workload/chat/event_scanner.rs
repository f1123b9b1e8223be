//! The parsing of the events that a member receives.
//!
//! Nearly all events are messages, and a parser that builds values would dominate the generator's
//! processor time. So a scanner recognizes the common form: a flat object of plain strings and
//! whole numbers, all ASCII and without escapes. `serde_json` parses every other form, and decides
//! what is valid. Invariant: a payload that the scanner accepts, `serde_json` parses to the same
//! values.

use memchr::memchr2;

use crate::services::chat::wire::ChatEvent;

/// A message received by a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivery<'a> {
    pub(super) room: &'a [u8],
    pub(super) id: u64,
    pub(super) from: &'a [u8],
    pub(super) text: &'a [u8],
}

/// Calls `on_message` if the payload is a message, or returns the event if it is another.
///
/// # Errors
/// If the payload is not a chat event.
#[inline]
pub(super) fn parse(
    payload: &[u8],
    on_message: impl FnOnce(Delivery<'_>),
) -> Result<Option<ChatEvent<'_>>, serde_json::Error> {
    if let Some(delivery) = scan(payload) {
        on_message(delivery);
        return Ok(None);
    }
    match serde_json::from_slice(payload)? {
        ChatEvent::Message { room, id, from, text, .. } => {
            on_message(Delivery { room: room.as_bytes(), id, from: from.as_bytes(), text: text.as_bytes() });
            Ok(None)
        }
        event => Ok(Some(event)),
    }
}

/// Scans a message in the common form; returns `None` for any other payload.
fn scan(payload: &[u8]) -> Option<Delivery<'_>> {
    let (mut kind, mut room, mut id, mut from, mut text, mut at) = (None, None, None, None, None, None);
    let mut rest = payload.strip_prefix(b"{")?;
    loop {
        let key = take_string(&mut rest)?;
        rest = rest.strip_prefix(b":")?;
        let is_repeated = match key {
            b"type" => kind.replace(take_string(&mut rest)?).is_some(),
            b"room" => room.replace(take_string(&mut rest)?).is_some(),
            b"from" => from.replace(take_string(&mut rest)?).is_some(),
            b"text" => text.replace(take_string(&mut rest)?).is_some(),
            b"at" => at.replace(take_string(&mut rest)?).is_some(),
            b"id" => id.replace(take_number(&mut rest)?).is_some(),
            _ => return None,
        };
        if is_repeated {
            return None;
        }
        match rest.split_first()? {
            (b',', after) => rest = after,
            (b'}', []) => break,
            _ => return None,
        }
    }
    // The time is not used, but a message without it is invalid.
    at?;
    (kind? == b"message").then_some(Delivery { room: room?, id: id?, from: from?, text: text? })
}

/// Takes a plain string off the front.
#[inline]
fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let open = rest.strip_prefix(b"\"")?;
    let end = memchr2(b'"', b'\\', open)?;
    let (string, after) = open.split_at_checked(end)?;
    *rest = after.strip_prefix(b"\"")?;
    // A loop without branches, which the compiler vectorizes.
    let is_plain = string.iter().fold(true, |is_plain, byte| is_plain & (byte.wrapping_sub(0x20) < 0x60));
    is_plain.then_some(string)
}

/// Takes a whole number in JSON's notation off the front.
#[inline]
fn take_number(rest: &mut &[u8]) -> Option<u64> {
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
            Ok(ChatEvent::Message { room, id, from, text, .. }) => {
                Some((room.into_owned(), id, from.into_owned(), text.into_owned()))
            }
            _ => None,
        }
    }

    fn owned(delivery: Delivery<'_>) -> (String, u64, String, String) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(delivery.room), delivery.id, text(delivery.from), text(delivery.text))
    }

    fn assert_agrees(payload: &[u8]) {
        let shown = String::from_utf8_lossy(payload);
        if let Some(delivery) = scan(payload) {
            assert_eq!(Some(owned(delivery)), parsed(payload), "{shown}");
        }
        let mut delivered = None;
        let result = parse(payload, |delivery| delivered = Some(owned(delivery)));
        assert_eq!(delivered, parsed(payload), "{shown}");
        assert_eq!(result.is_err(), serde_json::from_slice::<ChatEvent<'_>>(payload).is_err(), "{shown}");
    }

    /// Generates a member of a JSON object; most are valid members of a message.
    fn json_member() -> impl Strategy<Value = String> {
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

    /// Generates the members of a message in any order; most values are valid.
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
        fn the_scanner_agrees_with_serde(
            message in message(), more in prop::collection::vec(json_member(), 0..2), without in prop::option::weighted(0.2, 0usize..6),
            tail in prop::sample::select(vec!["}", "}", "}", "", "} ", "}}", ",}"]),
        ) {
            let mut members = message;
            if let Some(without) = without {
                members.remove(without);
            }
            members.extend(more);
            assert_agrees(format!("{{{}{tail}", members.join(",")).as_bytes());
        }

        #[test]
        fn the_scanner_agrees_about_changed_bytes(
            message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut payload = format!("{{{}}}", message.join(",")).into_bytes();
            let at = at.index(payload.len());
            payload[at] = byte;
            assert_agrees(&payload);
        }
    }

    #[test]
    fn the_form_of_the_server_is_scanned() {
        let of = |text: &str| Cow::<str>::Owned(text.to_owned());
        let event = ChatEvent::Message {
            room: of("lobby"),
            id: 7,
            from: of("eva"),
            text: of("hi"),
            action: false,
            at: of("2026-01-01T00:00:00.000Z"),
        };
        let payload = serde_json::to_vec(&event).unwrap();
        let delivery = Delivery { room: b"lobby", id: 7, from: b"eva", text: b"hi" };
        assert_eq!(scan(&payload), Some(delivery));
    }

    #[test]
    fn other_payloads_are_left_to_serde() {
        let is_event =
            |payload: &str| parse(payload.as_bytes(), |delivery| panic!("{delivery:?}")).map(|event| event.is_some());
        assert!(is_event(r#"{"type":"pong"}"#).unwrap());
        assert!(is_event(r#"{"type":"message","room":"a","id":1,"from":"b","text":"c"}"#).is_err(), "without a time");
        assert!(is_event("hello").is_err());
    }
}
