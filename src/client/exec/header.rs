//! The JSON header of a response in [`ExecDialect::Header`](super::ExecDialect::Header), as servers
//! of several authors write it.

use serde_json::Value;

use super::error::ExecResponseError;
use super::response::ResponseHeader;
use crate::frame::TextEncoding;

/// Returns true if the text has the form of an MD5. Some servers have a text of another kind in
/// this field.
pub(super) fn is_md5(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Parses the header and the length of the output. Other members of the object are ignored. Of the
/// known members, only the length must be valid: others count as absent if they are not.
pub(super) fn read_header(header: &[u8], encoding: TextEncoding) -> Result<(ResponseHeader, u64), ExecResponseError> {
    let Ok(Value::Object(header)) = serde_json::from_str(&encoding.decode_lossy(header)) else {
        return Err(ExecResponseError::BadHeader("is not a JSON object".to_owned()));
    };
    let bytes = header.get("total_size").and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    let bytes =
        bytes.ok_or_else(|| ExecResponseError::BadHeader("lacks the length of the output, total_size".to_owned()))?;
    let text = |name| header.get(name).and_then(Value::as_str).map(str::to_owned);
    let exit_code = header.get("exit_code").and_then(|value| match value {
        Value::Null => Some(None),
        value => value.as_i64().or_else(|| value.as_str()?.parse().ok()).map(Some),
    });
    let header = ResponseHeader {
        filename: text("filename"),
        exit_code,
        truncated: header.get("truncated").and_then(Value::as_bool).unwrap_or(false),
        md5: text("md5"),
        is_verified: false,
    };
    Ok((header, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_decoded() {
        let gbk: TextEncoding = "gbk".parse().unwrap();
        // The second byte of this character is a backslash in GBK, and neither is UTF-8.
        for (encoding, name, expected) in [
            (gbk, &b"\x81\x5c"[..], "\u{4e57}"),
            (gbk, b"\xff", "\u{fffd}"),
            (TextEncoding::UTF_8, b"\xff", "\u{fffd}"),
        ] {
            let json = [br#"{"filename":""#, name, br#"","total_size":7}"#].concat();
            let (header, bytes) = read_header(&json, encoding).unwrap();
            assert_eq!((header.filename.as_deref(), bytes), (Some(expected), 7));
        }
    }

    #[test]
    fn md5_has_32_hexadecimal_digits() {
        assert!(is_md5("d41d8cd98f00b204e9800998ecf8427e") && is_md5("D41D8CD98F00B204E9800998ECF8427E"));
        for text in ["", "sssxxxadwc123asd123", "d41d8cd98f00b204e9800998ecf8427", "d41d8cd98f00b204e9800998ecf8427g"] {
            assert!(!is_md5(text), "{text}");
        }
    }
}
