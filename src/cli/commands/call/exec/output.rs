//! The output of a response, as JSON or as text that cannot control the terminal.

use serde_json::json;
use switchboard::client::exec::ExecResponse;
use switchboard::escape::hex;

use crate::cli::terminal::sanitize::StreamSanitizer;

/// Returns a response as a JSON object.
pub(super) fn to_json(response: &ExecResponse) -> impl serde::Serialize {
    #[derive(serde::Serialize)]
    struct JsonResponse<'a> {
        filename: Option<&'a str>,
        total_size: usize,
        md5: Option<&'a str>,
        exit_code: Option<i64>,
        truncated: Option<bool>,
        #[serde(flatten)]
        output: serde_json::Value,
    }
    let header = response.header.as_ref();
    let output = match std::str::from_utf8(&response.output) {
        Ok(text) => json!({ "output": text }),
        Err(_) => json!({ "output_hex": hex(&response.output) }),
    };
    JsonResponse {
        filename: header.and_then(|header| header.filename.as_deref()),
        total_size: response.output.len(),
        md5: header.and_then(|header| header.md5.as_deref()),
        exit_code: header.and_then(|header| header.exit_code.flatten()),
        truncated: header.map(|header| header.truncated),
        output,
    }
}

/// Escapes control characters, and adds a final line feed so that the prompt starts on a new line.
pub(super) fn escape_for_terminal(bytes: &[u8]) -> String {
    let mut sanitizer = StreamSanitizer::default();
    let mut escaped = sanitizer.show(bytes) + &sanitizer.finish();
    if !escaped.is_empty() && !escaped.ends_with('\n') {
        escaped.push('\n');
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard::client::exec::ResponseHeader;

    #[test]
    fn terminal_output_has_no_control_characters() {
        for (bytes, escaped) in [
            (&b""[..], ""),
            (b"a\tb\nc\n", "a\tb\nc\n"),
            (b"no end", "no end\n"),
            (b"\x1b[31m\rred\r\n", "\\u{1b}[31m\\rred\n"),
            ("你好\u{202e}".as_bytes(), "你好\\u{202e}\n"),
            (b"a\xff\xfeb\n", "a\\xff\\xfeb\n"),
        ] {
            assert_eq!(escape_for_terminal(bytes), escaped);
        }
    }

    #[test]
    fn json_has_output_as_text_or_hexadecimal() {
        let plain = ExecResponse { header: None, output: b"a\"b\n".to_vec() };
        let expected =
            r#"{"filename":null,"total_size":4,"md5":null,"exit_code":null,"truncated":null,"output":"a\"b\n"}"#;
        assert_eq!(serde_json::to_string(&to_json(&plain)).unwrap(), expected);
        let header =
            ResponseHeader { filename: Some("x".into()), exit_code: Some(Some(1)), truncated: true, md5: None };
        let binary = ExecResponse { header: Some(header), output: vec![0xff, 0] };
        let expected =
            r#"{"filename":"x","total_size":2,"md5":null,"exit_code":1,"truncated":true,"output_hex":"ff00"}"#;
        assert_eq!(serde_json::to_string(&to_json(&binary)).unwrap(), expected);
    }
}
