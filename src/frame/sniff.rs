//! Guesses the protocol of bytes that are not frames. The guess appears in error texts only; no
//! behaviour depends on it.

use super::error::LooksLike;

const HTTP_METHODS: [&[u8]; 10] =
    [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"PATCH ", b"TRACE ", b"PRI "];

/// Bytes examined at most. A prefix that is not a length is detected within the first bytes of the
/// stream.
const MAX_EXAMINED: usize = 64;

/// Returns a guess at the protocol of `bytes`, which stand where a frame should begin; `None`
/// without a match.
pub(super) fn looks_like(bytes: &[u8]) -> Option<LooksLike> {
    let bytes = bytes.get(..MAX_EXAMINED).unwrap_or(bytes);
    // A TLS record: type 22 (handshake), version 3.0 to 3.4 (RFC 8446, section 5.1).
    if let [0x16, 0x03, 0x00..=0x04, ..] = bytes {
        return Some(LooksLike::Tls);
    }
    if bytes.len() < 2 {
        return None;
    }
    if HTTP_METHODS.iter().any(|method| bytes.starts_with(method)) {
        return Some(LooksLike::Http);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The last character may be incomplete, because the rest has not arrived.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
        Err(_) => return None,
    };
    let printable = |c: char| !c.is_control() || matches!(c, '\t' | '\r' | '\n');
    (!text.is_empty() && text.chars().all(printable)).then_some(LooksLike::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_http_and_tls_are_recognised() {
        assert_eq!(looks_like(b"hello\n"), Some(LooksLike::Text));
        assert_eq!(looks_like("你好".as_bytes().get(..4).unwrap()), Some(LooksLike::Text));
        assert_eq!(looks_like(b"GET / HTTP/1.1\r\n"), Some(LooksLike::Http));
        assert_eq!(looks_like(b"PRI * HTTP/2.0"), Some(LooksLike::Http));
        assert_eq!(looks_like(&[0x16, 0x03, 0x01, 0x02, 0x00]), Some(LooksLike::Tls));
        assert_eq!(looks_like(&[0, 0, 0, 5, b'h']), None);
        assert_eq!(looks_like(&[0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(looks_like(b""), None);
    }
}
