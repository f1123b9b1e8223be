//! What is printed: for a program, and for a terminal, which nothing that a command says may command.

use serde_json::json;
use switchboard::client::exec::ExecResponse;
use switchboard::escape::hex;

use crate::cli::terminal::sanitize::StreamSanitizer;

/// An answer as one line of JSON.
pub(super) fn json(answer: &ExecResponse) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        filename: Option<&'a str>,
        total_size: usize,
        md5: Option<&'a str>,
        exit_code: Option<i64>,
        truncated: Option<bool>,
        #[serde(flatten)]
        output: serde_json::Value,
    }
    let report = answer.header.as_ref();
    let output = match std::str::from_utf8(&answer.output) {
        Ok(text) => json!({ "output": text }),
        Err(_) => json!({ "output_hex": hex(&answer.output) }),
    };
    let mut line = serde_json::to_vec(&Line {
        filename: report.and_then(|report| report.filename.as_deref()),
        total_size: answer.output.len(),
        md5: report.and_then(|report| report.md5.as_deref()),
        exit_code: report.and_then(|report| report.exit_code.flatten()),
        truncated: report.map(|report| report.truncated),
        output,
    })?;
    line.push(b'\n');
    Ok(line)
}

/// Bytes as a terminal may be given them. The prompt behind them gets a line of its own.
pub(super) fn for_terminal(bytes: &[u8]) -> String {
    let mut screen = StreamSanitizer::default();
    let mut shown = screen.show(bytes) + &screen.finish();
    if !shown.is_empty() && !shown.ends_with('\n') {
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard::client::exec::ResponseHeader;

    #[test]
    fn a_terminal_is_shown_and_not_commanded() {
        for (bytes, shown) in [
            (&b""[..], ""),
            (b"a\tb\nc\n", "a\tb\nc\n"),
            (b"no end", "no end\n"),
            (b"\x1b[31m\rred\r\n", "\\u{1b}[31m\\rred\n"),
            ("你好\u{202e}".as_bytes(), "你好\\u{202e}\n"),
            (b"a\xff\xfeb\n", "a\\xff\\xfeb\n"),
        ] {
            assert_eq!(for_terminal(bytes), shown);
        }
    }

    #[test]
    fn json_has_the_output_as_text_or_in_hexadecimal() {
        let plain = ExecResponse { header: None, output: b"a\"b\n".to_vec() };
        let expected =
            r#"{"filename":null,"total_size":4,"md5":null,"exit_code":null,"truncated":null,"output":"a\"b\n"}"#;
        assert_eq!(String::from_utf8(json(&plain).unwrap()).unwrap(), format!("{expected}\n"));
        let report =
            ResponseHeader { filename: Some("x".into()), exit_code: Some(Some(1)), truncated: true, md5: None };
        let binary = ExecResponse { header: Some(report), output: vec![0xff, 0] };
        let expected =
            r#"{"filename":"x","total_size":2,"md5":null,"exit_code":1,"truncated":true,"output_hex":"ff00"}"#;
        assert_eq!(String::from_utf8(json(&binary).unwrap()).unwrap(), format!("{expected}\n"));
    }
}
