//! The framed dialect's JSON, as types: what a client asks for and what it is told. One object a frame.
//!
//! Server and client both use these, so that a field has one name. Unknown fields are ignored on either side.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Number;

/// The largest frame that either side sends, in bytes; only a listing comes near it.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// File bytes in one frame, at most.
pub const MAX_PIECE_BYTES: usize = 256 << 10;

/// Bytes of a name, at most: no system opens longer paths.
pub const MAX_NAME_BYTES: usize = 4096;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Request {
    /// A file's bytes: `{"get":"name","offset":0}`.
    Get {
        /// Its name, relative to the root.
        get: String,
        /// Bytes at its start that are not wanted.
        offset: u64,
    },
    /// What is below a directory: `{"list":""}`.
    List {
        /// The directory's name; empty: the root.
        list: String,
    },
}

impl Request {
    /// It as a frame's payload.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }

    /// Understands a frame's payload.
    ///
    /// # Errors
    /// [`Fault`] to be told to who sent it.
    pub fn from_json(payload: &[u8]) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct Fields {
            get: Option<String>,
            list: Option<String>,
            offset: Option<Number>,
        }
        let bad = |text: String| Err(Fault::new(Code::BadRequest, text));
        // An array would be taken for the fields in their order.
        if !payload.trim_ascii_start().starts_with(b"{") {
            return bad("a request is an object, as in {\"get\":\"name\"} or {\"list\":\"\"}".to_owned());
        }
        match serde_json::from_slice(payload) {
            Ok(Fields { get: Some(get), list: None, offset }) => match offset.map_or(Some(0), |offset| offset.as_u64())
            {
                Some(offset) => Ok(Self::Get { get: short(get)?, offset }),
                None => bad("an offset is a number of bytes: whole, and not below 0".to_owned()),
            },
            Ok(Fields { get: None, list: Some(list), .. }) => Ok(Self::List { list: short(list)? }),
            Ok(_) => bad("ask for one thing, as in {\"get\":\"name\"} or {\"list\":\"\"}".to_owned()),
            Err(error) => bad(format!("this is no request: {error}")),
        }
    }
}

/// A name that waits for its turn is held in memory until then.
fn short(name: String) -> Result<String, Fault> {
    if name.len() > MAX_NAME_BYTES { Err(too_long(name.len())) } else { Ok(name) }
}

pub(super) fn too_long(bytes: usize) -> Fault {
    Fault::new(Code::NotFound, format!("no name is {bytes} bytes long: {MAX_NAME_BYTES} are the most"))
}

/// What precedes a file's bytes, of which `size - offset` follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// As it was asked for.
    pub name: String,
    /// The whole file's, in bytes.
    pub size: u64,
    /// Bytes at its start that do not follow.
    pub offset: u64,
    /// Of the whole file, in hexadecimal.
    pub sha256: String,
    /// When the file was written to last, as RFC 3339, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// What is below a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// In the order of their names.
    pub files: Vec<Listed>,
    /// There is more than is told.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
}

/// One file of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Relative to the root, so that it can be asked for.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// As in [`Head`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// Why there is nothing: `{"error":{"code":"not-found","text":…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The reason.
    pub error: Fault,
}

/// A reason, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// One of [`Code`], as far as a client knows.
    pub code: String,
    /// In words.
    #[serde(default)]
    pub text: String,
}

impl Fault {
    pub(super) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code: code.to_string(), text: text.into() }
    }
}

/// The codes of the library's own server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// There is no such file or directory.
    NotFound,
    /// It is none that is served: it lies elsewhere, is no regular file, or may not be read.
    Refused,
    /// The request is none.
    BadRequest,
    /// The file ends before the offset.
    BadOffset,
    /// Too much is going on; ask again later.
    Busy,
    /// The server could not read it.
    Failed,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not-found",
            Self::Refused => "refused",
            Self::BadRequest => "bad-request",
            Self::BadOffset => "bad-offset",
            Self::Busy => "busy",
            Self::Failed => "failed",
        })
    }
}

/// None of these has anything that JSON has no words for.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A file's time, where the calendar has a name for it.
pub(super) fn written_at(time: std::io::Result<std::time::SystemTime>) -> Option<String> {
    Timestamp::try_from(time.ok()?).ok().map(|time| time.to_string())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        let get = Request::Get { get: "a/\u{1f600}\n".to_owned(), offset: u64::MAX };
        let list = Request::List { list: String::new() };
        for request in [get, list] {
            assert_eq!(Request::from_json(&request.to_json()), Ok(request));
        }
        let plain = Request::Get { get: "x".to_owned(), offset: 0 };
        for text in [r#"{"get":"x"}"#, r#"{"offset":null,"get":"x","later":[{}]}"#] {
            assert_eq!(Request::from_json(text.as_bytes()).as_ref(), Ok(&plain), "{text}");
        }
    }

    #[test]
    fn what_is_no_request_is_told_so() {
        for text in [
            "",
            "x",
            "[]",
            r#"["x",null,0]"#,
            "{}",
            "null",
            r#"{"get":1}"#,
            r#"{"get":"x","offset":-1}"#,
            r#"{"get":"x","offset":0.5}"#,
            r#"{"get":"x","offset":18446744073709551616}"#,
            r#"{"get":"x","list":""}"#,
            r#"{"get":"x","get":"y"}"#,
            "{\"get\":\"\u{0}\"}",
        ] {
            assert_eq!(Request::from_json(text.as_bytes()).unwrap_err().code, "bad-request", "{text}");
        }
        for (text, says) in [
            ("[]", "a request is an object"),
            ("null", "a request is an object"),
            (r#"{"get":"x","offset":-1}"#, "an offset is a number of bytes"),
            (r#"{"get":1}"#, "expected a string"),
        ] {
            let said = Request::from_json(text.as_bytes()).unwrap_err().text;
            assert!(said.contains(says) && !said.contains("struct") && !said.contains("u64"), "{text}: {said}");
        }
        assert_eq!(Request::from_json(b"{\"get\":\"\xff\"}").unwrap_err().code, "bad-request");
        let long = Request::List { list: "x".repeat(MAX_NAME_BYTES + 1) };
        assert_eq!(Request::from_json(&long.to_json()).unwrap_err().code, "not-found");
    }
}
