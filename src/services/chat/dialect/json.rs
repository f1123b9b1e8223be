//! Length-prefixed JSON: one object a frame. The answer to whatever is wrong names it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Heard;
use crate::services::chat::request::{Ask, Refusal};
use crate::services::chat::rules::MAX_REQUEST_BYTES;

/// Bytes of a label, which comes back as it was given.
const MAX_LABEL_BYTES: usize = 256;

pub(super) fn hear(frame: &[u8]) -> Heard<'static> {
    let mut fields = match object(frame) {
        Ok(fields) => Fields(fields),
        Err(refusal) => return Heard { ask: Err(refusal), label: None },
    };
    match fields.label() {
        Ok(label) => Heard { ask: fields.ask(), label },
        Err(refusal) => Heard { ask: Err(refusal), label: None },
    }
}

fn object(frame: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if frame.len() > MAX_REQUEST_BYTES {
        let rule = format!("a request has at most {MAX_REQUEST_BYTES} bytes, and this one has {}", frame.len());
        return Err(Refusal::new("too-long", rule));
    }
    let text = std::str::from_utf8(frame).map_err(|error| not_utf8(error.valid_up_to()))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refusal::new("bad-json", "a request is an object, like {\"type\":\"ping\"}")),
        Err(error) => Err(Refusal::new("bad-json", format!("the request is no JSON: {error}"))),
    }
}

pub(super) fn not_utf8(at: usize) -> Refusal {
    Refusal::new("bad-utf8", format!("the text is not valid UTF-8 from byte {at} on"))
}

/// The fields of a request that have not been looked at yet. Those that nobody looks at are ignored.
struct Fields(Map<String, Value>);

impl Fields {
    fn ask(&mut self) -> Result<Ask<'static>, Refusal> {
        let kind = self.text("type")?;
        Ok(match &*kind {
            "hello" => Ask::Hello { nick: self.text("nick")? },
            "join" => Ask::Join { room: self.text("room")?, since: self.number("since")? },
            "leave" => Ask::Leave { room: Some(self.text("room")?) },
            "say" => Ask::Say { room: Some(self.text("room")?), text: self.text("text")? },
            "whisper" => Ask::Whisper { to: self.text("to")?, text: self.text("text")? },
            "who" => Ask::Who { room: Some(self.text("room")?), next: self.number("next")? },
            "rooms" => Ask::Rooms { next: self.number("next")? },
            "nick" => Ask::Nick { nick: self.text("nick")? },
            "ping" => Ask::Ping,
            other => return Err(Refusal::new("unknown-type", format!("there is no request of type {other:?}"))),
        })
    }

    fn text(&mut self, name: &str) -> Result<Cow<'static, str>, Refusal> {
        match self.0.remove(name) {
            Some(Value::String(text)) => Ok(text.into()),
            Some(_) => Err(Refusal::new("bad-field", format!("{name:?} has to be a string"))),
            None => Err(Refusal::new("bad-field", format!("{name:?} is missing, a string"))),
        }
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, Refusal> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(Refusal::new("bad-field", format!("{name:?} has to be a whole number, not negative"))),
            },
        }
    }

    fn label(&mut self) -> Result<Option<Value>, Refusal> {
        match self.0.remove("ref") {
            None | Some(Value::Null) => Ok(None),
            Some(label) if label.to_string().len() <= MAX_LABEL_BYTES => Ok(Some(label)),
            Some(_) => {
                let rule = format!("\"ref\" has to be at most {MAX_LABEL_BYTES} bytes of JSON");
                Err(Refusal::new("bad-field", rule))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_understood_whatever_else_it_says() {
        let heard = hear(br#"{"ref":7,"more":[1,{}],"text":"h\u00e9","room":"lobby","type":"say"}"#);
        assert_eq!(heard.ask.unwrap(), Ask::Say { room: Some("lobby".into()), text: "hé".into() });
        assert_eq!(heard.label, Some(7.into()));
    }

    #[test]
    fn what_is_wrong_is_named_and_the_label_comes_back() {
        for (frame, code, says) in [
            (&b"\xff"[..], "bad-utf8", "byte 0"),
            (b"", "bad-json", "EOF"),
            (b"{\"type\":\"ping\"", "bad-json", "column 14"),
            (b"[]", "bad-json", "object"),
            (br#"{"nick":"eva"}"#, "bad-field", "\"type\" is missing"),
            (br#"{"type":5}"#, "bad-field", "\"type\" has to be a string"),
            (br#"{"type":"dance"}"#, "unknown-type", "\"dance\""),
            (br#"{"type":"hello"}"#, "bad-field", "\"nick\" is missing"),
            (br#"{"type":"join","room":"x","since":-1}"#, "bad-field", "\"since\""),
        ] {
            let refusal = hear(frame).ask.unwrap_err();
            assert_eq!(refusal.code, code, "{refusal:?}");
            assert!(refusal.text.contains(says), "{refusal:?}");
        }
        assert_eq!(hear(br#"{"type":"dance","ref":"a"}"#).label, Some("a".into()));
        assert_eq!(hear(br#"{"type":"ping","ref":{"a":[1]}}"#).label, Some(serde_json::json!({"a": [1]})));
        let long = format!(r#"{{"type":"ping","ref":"{}"}}"#, "x".repeat(MAX_LABEL_BYTES));
        assert!(hear(long.as_bytes()).ask.unwrap_err().text.contains("\"ref\""));
        let long = format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(MAX_REQUEST_BYTES));
        assert_eq!(hear(long.as_bytes()).ask.unwrap_err().code, "too-long");
    }
}
