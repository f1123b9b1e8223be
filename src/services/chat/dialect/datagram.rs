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

/// The command of a UDP sender that returns the word for its address, with the text after it.
const PROVE: &str = "/prove ";

/// Returns the reason in the answer to a sender that has to prove its address. The answer is short:
/// it may go to the victim of a forged address.
pub(crate) fn proof_request(word: &str) -> ErrorReply {
    ErrorReply::new("unproved", format!("to join, type {PROVE}{word}"))
}

/// Returns the command that proves a UDP sender's address, such as `/prove 0123456789ab`, if the
/// text of a datagram asks for it. A text may follow the command in the same datagram.
///
/// ```
/// use switchboard::services::chat::requested_proof;
/// let answer = "error : to join, type /prove 0123456789ab";
/// assert_eq!(requested_proof(answer), Some("/prove 0123456789ab"));
/// assert_eq!(requested_proof("eva : to join, type /prove 0123456789ab"), None);
/// ```
pub fn requested_proof(answer: &str) -> Option<&str> {
    let reason = answer.trim_end().strip_prefix(ERROR)?.strip_prefix(" : ")?;
    let command = reason.get(reason.find(PROVE)?..)?;
    let word = command.strip_prefix(PROVE)?;
    (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(command)
}

impl DatagramMessage {
    /// Removes the proof from the front of the text, if there is one and `accepts` returns true for
    /// its word. Returns true if it was removed.
    pub(crate) fn take_proof(&mut self, accepts: impl FnOnce(&str) -> bool) -> bool {
        let Some(rest) = self.message.text.strip_prefix(PROVE) else { return false };
        let (word, text) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        if !accepts(word) {
            return false;
        }
        self.message = RoomText::typed(text.trim_start_matches(' ').to_owned().into());
        true
    }
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
    fn proof_is_taken_off_the_text() {
        let taken = |datagram: &str, word: &str| {
            let mut parsed = parse_datagram(datagram.as_bytes(), UTF_8).unwrap();
            let is_taken = parsed.take_proof(|given| given == word);
            (is_taken, parsed.message)
        };
        assert_eq!(taken("eva : /prove ab12", "ab12"), (true, RoomText::message("")));
        assert_eq!(taken("eva:/prove  ab12  hi: all\n", "ab12"), (true, RoomText::message("hi: all")));
        assert_eq!(taken("eva : /prove ab12 /me waves", "ab12"), (true, RoomText::action("waves")));
        for (datagram, text) in [("eva : /prove ab1", "/prove ab1"), ("eva : /prove", "/prove"), ("eva : hi", "hi")] {
            assert_eq!(taken(datagram, "ab12"), (false, RoomText::message(text)));
        }
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
