//! UDP: `name : text` in both directions. Spaces around the first colon are optional.

use encoding_rs::{Encoding, UTF_8};

use crate::services::chat::names::ERROR;
use crate::services::chat::request::{ErrorReply, RoomText};

/// A parsed datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatagramMessage {
    pub(crate) name: String,
    pub(crate) message: RoomText<'static>,
}

/// Returns true if a datagram is the refusal of another server: `error : REASON`. It must not be
/// refused in turn, or the two servers would answer each other without end (RFC 1122, section
/// 3.2.2, has the same rule).
pub(crate) fn is_error_datagram(datagram: &[u8]) -> bool {
    let name = memchr::memchr(b':', datagram).and_then(|colon| datagram.get(..colon));
    name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(ERROR.as_bytes()))
}

/// Parses a datagram.
pub(crate) fn parse_datagram(datagram: &[u8], encoding: &'static Encoding) -> Result<DatagramMessage, ErrorReply> {
    let decoded = if encoding == UTF_8 {
        std::str::from_utf8(datagram).ok().map(Into::into)
    } else {
        encoding.decode_without_bom_handling_and_without_replacement(datagram)
    };
    let name = encoding.name();
    let text = decoded.ok_or_else(|| ErrorReply::new("bad-text", format!("the datagram is not valid {name}")))?;
    let Some((name, text)) = text.trim_end_matches(['\r', '\n']).split_once(':') else {
        return Err(ErrorReply::new("bad-datagram", "write name : text"));
    };
    Ok(DatagramMessage {
        name: name.trim_matches(' ').to_owned(),
        message: RoomText::typed(text.trim_start_matches(' ').replace("\r\n", "\n").into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_colon_of_a_datagram_ends_the_name() {
        let message = |name: &str, text: &'static str| {
            Ok(DatagramMessage { name: name.into(), message: RoomText::message(text) })
        };
        for datagram in ["eva:a: b", "eva : a: b", "eva  :  a: b\n", "eva :a: b\r\n"] {
            assert_eq!(parse_datagram(datagram.as_bytes(), UTF_8), message("eva", "a: b"), "{datagram:?}");
        }
        assert_eq!(parse_datagram(b"eva :", UTF_8), message("eva", ""));
        let action = DatagramMessage { name: "eva".into(), message: RoomText::action("waves: hi") };
        assert_eq!(parse_datagram(b"eva : /me waves: hi\n", UTF_8), Ok(action));
        assert_eq!(parse_datagram(b"eva", UTF_8).unwrap_err().code, "bad-datagram");
        assert_eq!(parse_datagram(b"\xff : a", UTF_8).unwrap_err().code, "bad-text");
    }

    #[test]
    fn error_datagram_is_recognized_in_any_case() {
        for (datagram, is_error) in [
            (&b"error : x"[..], true),
            (b"ERROR:\xff", true),
            (b" Error  : a: b", true),
            (b"error", false),
            (b"eva : error : x", false),
            (b"hello error : x", false),
            (b"", false),
        ] {
            assert_eq!(is_error_datagram(datagram), is_error, "{datagram:?}");
        }
    }
}
