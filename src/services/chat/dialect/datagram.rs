//! UDP: `name : text` in, `name : text` out. Spaces around the first colon do not matter.

use encoding_rs::{Encoding, UTF_8};

use crate::services::chat::request::Refusal;

/// A datagram, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::services::chat) struct Said {
    pub(in crate::services::chat) name: String,
    pub(in crate::services::chat) text: String,
}

pub(in crate::services::chat) fn hear(datagram: &[u8], encoding: &'static Encoding) -> Result<Said, Refusal> {
    let decoded = if encoding == UTF_8 {
        std::str::from_utf8(datagram).ok().map(Into::into)
    } else {
        encoding.decode_without_bom_handling_and_without_replacement(datagram)
    };
    let name = encoding.name();
    let text = decoded.ok_or_else(|| Refusal::new("bad-text", format!("the datagram is not valid {name}")))?;
    let Some((name, text)) = text.trim_end_matches(['\r', '\n']).split_once(':') else {
        return Err(Refusal::new("bad-datagram", "write name : text"));
    };
    Ok(Said { name: name.trim_matches(' ').to_owned(), text: text.trim_start_matches(' ').replace("\r\n", "\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_ends_the_name() {
        let said = |name: &str, text: &str| Ok(Said { name: name.into(), text: text.into() });
        for datagram in ["eva:a: b", "eva : a: b", "eva  :  a: b\n", "eva :a: b\r\n"] {
            assert_eq!(hear(datagram.as_bytes(), UTF_8), said("eva", "a: b"), "{datagram:?}");
        }
        assert_eq!(hear(b"eva :", UTF_8), said("eva", ""));
        assert_eq!(hear(b"eva", UTF_8).unwrap_err().code, "bad-datagram");
        assert_eq!(hear(b"\xff : a", UTF_8).unwrap_err().code, "bad-text");
    }
}
