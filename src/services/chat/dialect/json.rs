//! Length-prefixed JSON: one object per frame. An error reply names the invalid field.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::utf8::invalid_utf8;
use crate::services::chat::config::MAX_REQUEST_BYTES;
use crate::services::chat::request::{ErrorReply, HubRequest, ParsedFrame, RoomText};

/// Bytes of a `ref`, serialized. The server repeats it in the answer.
const MAX_LABEL_BYTES: usize = 256;

/// Parses one frame.
pub(super) fn parse(frame: &[u8]) -> ParsedFrame<'static> {
    let mut fields = match parse_object(frame) {
        Ok(fields) => RequestFields(fields),
        Err(error) => return ParsedFrame { request: Err(error), label: None },
    };
    match fields.take_label() {
        Ok(label) => ParsedFrame { request: fields.take_request(), label },
        Err(error) => ParsedFrame { request: Err(error), label: None },
    }
}

fn parse_object(frame: &[u8]) -> Result<Map<String, Value>, ErrorReply> {
    if frame.len() > MAX_REQUEST_BYTES {
        let rule = format!("a request has at most {MAX_REQUEST_BYTES} bytes, and this one has {}", frame.len());
        return Err(ErrorReply::new("too-long", rule));
    }
    let text = std::str::from_utf8(frame).map_err(|error| invalid_utf8(error.valid_up_to()))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ErrorReply::new("bad-json", "a request is an object, like {\"type\":\"ping\"}")),
        Err(error) => Err(ErrorReply::new("bad-json", format!("the request is not valid JSON: {error}"))),
    }
}

/// The fields of a request that are not parsed yet. Unknown fields are ignored.
struct RequestFields(Map<String, Value>);

impl RequestFields {
    fn take_request(&mut self) -> Result<HubRequest<'static>, ErrorReply> {
        let kind = self.take_text("type")?;
        Ok(match &*kind {
            "hello" => HubRequest::Hello { nick: self.take_text("nick")? },
            "join" => HubRequest::Join { room: self.take_text("room")?, since: self.take_number("since")? },
            "leave" => HubRequest::Leave { room: Some(self.take_text("room")?) },
            "say" => HubRequest::Say { room: Some(self.take_text("room")?), message: self.take_message()? },
            "whisper" => HubRequest::Whisper { to: self.take_text("to")?, text: self.take_text("text")? },
            "who" => HubRequest::Who { room: Some(self.take_text("room")?), next: self.take_number("next")? },
            "rooms" => HubRequest::Rooms { next: self.take_number("next")? },
            "nick" => HubRequest::Nick { nick: self.take_text("nick")? },
            "ping" => HubRequest::Ping,
            other => return Err(ErrorReply::new("unknown-type", format!("unknown request type {other:?}"))),
        })
    }

    fn take_text(&mut self, name: &str) -> Result<Cow<'static, str>, ErrorReply> {
        match self.0.remove(name) {
            Some(Value::String(text)) => Ok(text.into()),
            Some(_) => Err(ErrorReply::new("bad-field", format!("{name:?} must be a string"))),
            None => Err(ErrorReply::new("bad-field", format!("{name:?} is missing: expected a string"))),
        }
    }

    fn take_message(&mut self) -> Result<RoomText<'static>, ErrorReply> {
        let text = self.take_text("text")?;
        match self.0.remove("action") {
            None | Some(Value::Null) => Ok(RoomText::typed(text)),
            Some(Value::Bool(is_action)) => Ok(RoomText { text, is_action }),
            Some(_) => Err(ErrorReply::new("bad-field", "\"action\" must be true or false")),
        }
    }

    fn take_number(&mut self, name: &str) -> Result<Option<u64>, ErrorReply> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(ErrorReply::new("bad-field", format!("{name:?} must be a non-negative integer"))),
            },
        }
    }

    fn take_label(&mut self) -> Result<Option<Value>, ErrorReply> {
        match self.0.remove("ref") {
            None | Some(Value::Null) => Ok(None),
            Some(label) if label.to_string().len() <= MAX_LABEL_BYTES => Ok(Some(label)),
            Some(_) => {
                let rule = format!("\"ref\" must be at most {MAX_LABEL_BYTES} bytes of JSON");
                Err(ErrorReply::new("bad-field", rule))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_request_with_unknown_fields_is_parsed() {
        let parsed = parse(br#"{"ref":7,"more":[1,{}],"text":"h\u00e9","room":"lobby","type":"say"}"#);
        assert_eq!(parsed.request.unwrap(), HubRequest::Say { room: Some("lobby".into()), message: RoomText::message("hé") });
        assert_eq!(parsed.label, Some(7.into()));
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
        ] {
            let error = parse(frame).request.unwrap_err();
            assert_eq!(error.code, code, "{error:?}");
            assert!(error.text.contains(text), "{error:?}");
        }
        assert_eq!(parse(br#"{"type":"dance","ref":"a"}"#).label, Some("a".into()));
        assert_eq!(parse(br#"{"type":"ping","ref":{"a":[1]}}"#).label, Some(serde_json::json!({"a": [1]})));
        let long = format!(r#"{{"type":"ping","ref":"{}"}}"#, "x".repeat(MAX_LABEL_BYTES));
        assert!(parse(long.as_bytes()).request.unwrap_err().text.contains("\"ref\""));
        let long = format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(MAX_REQUEST_BYTES));
        assert_eq!(parse(long.as_bytes()).request.unwrap_err().code, "too-long");
    }
}
