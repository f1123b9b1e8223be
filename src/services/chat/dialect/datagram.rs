//! UDP: `name : text` in both directions. Spaces around the first colon are optional.

use encoding_rs::{Encoding, UTF_8};

use crate::services::chat::request::ErrorReply;

/// A parsed datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatagramMessage {
    pub(crate) name: String,
    pub(crate) text: String,
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
        text: text.trim_start_matches(' ').replace("\r\n", "\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_colon_of_a_datagram_ends_the_name() {
        let message = |name: &str, text: &str| Ok(DatagramMessage { name: name.into(), text: text.into() });
        for datagram in ["eva:a: b", "eva : a: b", "eva  :  a: b\n", "eva :a: b\r\n"] {
            assert_eq!(parse_datagram(datagram.as_bytes(), UTF_8), message("eva", "a: b"), "{datagram:?}");
        }
        assert_eq!(parse_datagram(b"eva :", UTF_8), message("eva", ""));
        assert_eq!(parse_datagram(b"eva", UTF_8).unwrap_err().code, "bad-datagram");
        assert_eq!(parse_datagram(b"\xff : a", UTF_8).unwrap_err().code, "bad-text");
    }
}
