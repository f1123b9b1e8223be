//! The parser of events from a chat server.

use switchboard::services::chat::wire::ChatEvent;

use crate::cli::terminal::sanitize;

/// The characters of an invalid payload that an error message quotes.
const MAX_EXCERPT_CHARS: usize = 60;

/// Parses an event. Returns `Ok(None)` for an unknown event type, as a newer server may send.
pub(super) fn parse_event(payload: &[u8]) -> Result<Option<ChatEvent<'static>>, String> {
    match serde_json::from_slice(payload) {
        Ok(event) => Ok(Some(event)),
        Err(error) if error.is_data() && error.to_string().starts_with("unknown variant") => {
            log::debug!("unknown event ignored: {error}");
            Ok(None)
        }
        Err(error) => {
            Err(format!("'{}': {error}", sanitize::excerpt(&String::from_utf8_lossy(payload), MAX_EXCERPT_CHARS)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_event_is_ignored_and_invalid_payload_is_an_error() {
        assert!(matches!(parse_event(br#"{"type":"pong","more":1}"#), Ok(Some(ChatEvent::Pong))));
        assert_eq!(parse_event(br#"{"type":"fanfare"}"#), Ok(None));
        for (payload, expected) in [
            (&b"hello"[..], "'hello': expected value"),
            (br#"{"type":"ack"}"#, "': missing field"),
            (b"\x1b[2J\xff", "'\\u{1b}[2J\u{fffd}': "),
        ] {
            let what = parse_event(payload).unwrap_err();
            assert!(what.contains(expected), "{what}");
        }
        let what = parse_event("世".repeat(100).as_bytes()).unwrap_err();
        assert!(what.starts_with(&format!("'{}…': ", "世".repeat(60))), "{what}");
    }
}
