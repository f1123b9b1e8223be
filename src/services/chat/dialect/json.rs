//! Length-prefixed JSON: one object per frame. An error reply names the invalid field.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::utf8::invalid_utf8;
use crate::services::chat::config::MAX_REQUEST_BYTES;
use crate::services::chat::request::{ErrorReply, HubRequest, ParsedFrame, RoomText};
use crate::services::chat::wire::RequestLabel;

/// Bytes of a `ref`, as received. The server repeats it in the answer.
const MAX_LABEL_BYTES: usize = 256;

/// Parses one frame.
pub(super) fn parse(frame: &[u8]) -> ParsedFrame<'_> {
    let fields = match parse_object(frame) {
        Ok(fields) => fields,
        Err(error) => return ParsedFrame { request: Err(error), label: None },
    };
    match fields.label() {
        Ok(label) => ParsedFrame { request: fields.request(), label },
        Err(error) => ParsedFrame { request: Err(error), label: None },
    }
}

fn parse_object(frame: &[u8]) -> Result<RequestFields<'_>, ErrorReply> {
    if frame.len() > MAX_REQUEST_BYTES {
        let rule = format!("a request has at most {MAX_REQUEST_BYTES} bytes, and this one has {}", frame.len());
        return Err(ErrorReply::new("too-long", rule));
    }
    let text = std::str::from_utf8(frame).map_err(|error| invalid_utf8(error.valid_up_to()))?;
    // serde would also take an array for the fields in their order.
    let is_object = text.trim_ascii_start().starts_with('{');
    match serde_json::from_str(text) {
        Ok(fields) if is_object => Ok(fields),
        Err(error) if is_object || !error.is_data() => {
            Err(ErrorReply::new("bad-json", format!("the request is not valid JSON: {error}")))
        }
        _ => Err(ErrorReply::new("bad-json", "a request is an object, like {\"type\":\"ping\"}")),
    }
}

/// The fields of a request, each as the text of its JSON. Unknown fields are ignored.
#[derive(Deserialize)]
struct RequestFields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    nick: Option<&'a RawValue>,
    room: Option<&'a RawValue>,
    text: Option<&'a RawValue>,
    action: Option<&'a RawValue>,
    to: Option<&'a RawValue>,
    since: Option<&'a RawValue>,
    next: Option<&'a RawValue>,
    #[serde(rename = "ref")]
    label: Option<&'a RawValue>,
}

impl<'a> RequestFields<'a> {
    fn request(&self) -> Result<HubRequest<'a>, ErrorReply> {
        let (nick, room) = (|| parse_text("nick", self.nick), || parse_text("room", self.room));
        let kind = parse_text("type", self.kind)?;
        Ok(match &*kind {
            "hello" => HubRequest::Hello { nick: nick()? },
            "join" => HubRequest::Join { room: room()?, since: parse_number("since", self.since)? },
            "leave" => HubRequest::Leave { room: Some(room()?) },
            "say" => HubRequest::Say { room: Some(room()?), message: self.message()? },
            "whisper" => HubRequest::Whisper { to: parse_text("to", self.to)?, text: parse_text("text", self.text)? },
            "who" => HubRequest::Who { room: Some(room()?), next: parse_number("next", self.next)? },
            "rooms" => HubRequest::Rooms { next: parse_number("next", self.next)? },
            "nick" => HubRequest::Nick { nick: nick()? },
            "ping" => HubRequest::Ping,
            other => return Err(ErrorReply::new("unknown-type", format!("unknown request type {other:?}"))),
        })
    }

    fn message(&self) -> Result<RoomText<'a>, ErrorReply> {
        let text = parse_text("text", self.text)?;
        match self.action.map(RawValue::get) {
            None => Ok(RoomText::typed(text)),
            Some("true") => Ok(RoomText::action(text)),
            Some("false") => Ok(RoomText::message(text)),
            Some(_) => Err(ErrorReply::new("bad-field", "\"action\" must be true or false")),
        }
    }

    fn label(&self) -> Result<Option<RequestLabel>, ErrorReply> {
        match self.label {
            None => Ok(None),
            Some(label) if label.get().len() <= MAX_LABEL_BYTES => Ok(Some(label.into())),
            Some(_) => {
                let rule = format!("\"ref\" must be at most {MAX_LABEL_BYTES} bytes of JSON");
                Err(ErrorReply::new("bad-field", rule))
            }
        }
    }
}

/// A string that is borrowed if it has no escapes.
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

fn parse_text<'a>(name: &str, value: Option<&'a RawValue>) -> Result<Cow<'a, str>, ErrorReply> {
    let Some(value) = value else {
        return Err(ErrorReply::new("bad-field", format!("{name:?} is missing: expected a string")));
    };
    match serde_json::from_str(value.get()) {
        Ok(BorrowedText(text)) => Ok(text),
        Err(error) if error.is_data() => Err(ErrorReply::new("bad-field", format!("{name:?} must be a string"))),
        Err(error) => Err(ErrorReply::new("bad-json", format!("{name:?} is not valid JSON: {error}"))),
    }
}

/// Parses a non-negative integer. One of more than 64 bits is greater than any id, so the greatest
/// number stands for it.
fn parse_number(name: &str, value: Option<&RawValue>) -> Result<Option<u64>, ErrorReply> {
    match value.map(RawValue::get) {
        None => Ok(None),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        Some(_) => Err(ErrorReply::new("bad-field", format!("{name:?} must be a non-negative integer"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFS: [&str; 12] = [
        "7",
        "-7",
        "-0",
        "18446744073709551616",
        "-123456789012345678901234567890",
        "0.1000",
        "3.141592653589793238462643383279",
        "1e400",
        "2E+05",
        r#""\u00e9\/""#,
        r#"{"a" : [1,  2.0]}"#,
        r#"{"a":1,"a":2}"#,
    ];

    #[test]
    fn json_request_with_unknown_fields_is_parsed() {
        let parsed = parse(br#"{"ref":7,"more":[1,{}],"text":"h\u00e9","room":"lobby","type":"say"}"#);
        assert_eq!(
            parsed.request.unwrap(),
            HubRequest::Say { room: Some("lobby".into()), message: RoomText::message("hé") }
        );
        assert_eq!(parsed.label, Some(7.into()));
        let HubRequest::Say { message: RoomText { text, .. }, .. } =
            parse(br#"{"type":"say","room":"x","text":"plain"}"#).request.unwrap()
        else {
            panic!("a message");
        };
        assert!(matches!(text, Cow::Borrowed("plain")));
    }

    #[test]
    fn json_error_names_the_fault_and_keeps_the_label() {
        for (frame, code, text) in [
            (&b"\xff"[..], "bad-utf8", "byte 0"),
            (b"", "bad-json", "EOF"),
            (b"{\"type\":\"ping\"", "bad-json", "column 14"),
            (b"[]", "bad-json", "object"),
            (br#"{"nick":"eva"}"#, "bad-field", "\"type\" is missing"),
            (br#"{"type":5}"#, "bad-field", "\"type\" must be a string"),
            (br#"{"type":"dance"}"#, "unknown-type", "\"dance\""),
            (br#"{"type":"hello"}"#, "bad-field", "\"nick\" is missing"),
            (br#"{"type":"join","room":"x","since":-1}"#, "bad-field", "\"since\""),
            (br#"{"type":"join","room":"x","since":1.5}"#, "bad-field", "\"since\""),
            (br#"{"type":"join","room":"x","since":"1"}"#, "bad-field", "\"since\""),
            (br#"{"type":"hello","nick":"\ud800"}"#, "bad-json", "\"nick\""),
            (br#"{"type":"ping","type":"ping"}"#, "bad-json", "duplicate field `type`"),
            (br#"["ping",null,null,null,null,null,null,null,null]"#, "bad-json", "object"),
            (b"7", "bad-json", "object"),
        ] {
            let error = parse(frame).request.unwrap_err();
            assert_eq!(error.code, code, "{error:?}");
            assert!(error.text.contains(text), "{error:?}");
        }
        let label = |json: &str| parse(json.as_bytes()).label.map(|label| label.json().to_owned());
        assert_eq!(label(r#"{"type":"dance","ref":"a"}"#).as_deref(), Some("\"a\""));
        assert_eq!(label(r#"{"type":"ping","ref":null}"#), None);
        let long = format!(r#"{{"type":"ping","ref":"{}"}}"#, "x".repeat(MAX_LABEL_BYTES));
        assert!(parse(long.as_bytes()).request.unwrap_err().text.contains("\"ref\""));
        let long = format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(MAX_REQUEST_BYTES));
        assert_eq!(parse(long.as_bytes()).request.unwrap_err().code, "too-long");
    }

    #[test]
    fn label_is_kept_byte_for_byte() {
        for json in REFS {
            let parsed = parse(format!(r#"{{"type":"ping","ref": {json} }}"#).as_bytes()).label.unwrap();
            assert_eq!(parsed.json(), json);
            assert_eq!(serde_json::to_string(&parsed).unwrap(), json);
        }
    }

    #[test]
    fn number_of_any_size_is_an_id() {
        let since = |digits: &str| {
            let request = format!(r#"{{"type":"join","room":"x","since":{digits}}}"#);
            let Ok(HubRequest::Join { since, .. }) = parse(request.as_bytes()).request else { panic!("{digits}") };
            since
        };
        for (digits, expected) in [
            ("null", None),
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", Some(u64::MAX)),
            ("100000000000000000000000000000000", Some(u64::MAX)),
        ] {
            assert_eq!(since(digits), expected, "{digits}");
        }
    }
}
