//! The JSON of the framed dialect as types: requests and replies, one object per frame.
//!
//! Server and client share these types. Both ignore unknown fields.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Number;

/// The largest frame of either side, in bytes. Only a listing can be this large.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// The largest number of file bytes in one frame.
pub const MAX_PIECE_BYTES: usize = 256 << 10;

/// The longest name, in bytes: `PATH_MAX` on Linux.
pub const MAX_NAME_BYTES: usize = 4096;

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum FilesRequest {
    /// A file's bytes: `{"get":"name","offset":0}`.
    Get {
        /// The file's name, relative to the root.
        get: String,
        /// The number of bytes at the file's start to skip.
        offset: u64,
    },
    /// The files below a directory: `{"list":""}`.
    List {
        /// The directory's name; empty for the root.
        list: String,
    },
}

impl FilesRequest {
    /// Encodes the request as a frame's payload.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }

    /// Parses a frame's payload.
    ///
    /// # Errors
    /// The [`FilesError`] to send to the client.
    pub fn from_json(payload: &[u8]) -> Result<Self, FilesError> {
        #[derive(Deserialize)]
        struct Fields {
            get: Option<String>,
            list: Option<String>,
            offset: Option<Number>,
        }
        let bad = |text: String| Err(FilesError::new(FilesErrorCode::BadRequest, text));
        // serde would accept an array as the fields in order.
        if !payload.trim_ascii_start().starts_with(b"{") {
            return bad("a request is an object, as in {\"get\":\"name\"} or {\"list\":\"\"}".to_owned());
        }
        match serde_json::from_slice(payload) {
            Ok(Fields { get: Some(get), list: None, offset }) => match offset.map_or(Some(0), |offset| offset.as_u64())
            {
                Some(offset) => Ok(Self::Get { get: check_length(get)?, offset }),
                None => bad("an offset is a number of bytes: whole, and not below 0".to_owned()),
            },
            Ok(Fields { get: None, list: Some(list), .. }) => Ok(Self::List { list: check_length(list)? }),
            Ok(_) => bad("ask for one thing, as in {\"get\":\"name\"} or {\"list\":\"\"}".to_owned()),
            Err(error) => bad(format!("this is no request: {error}")),
        }
    }
}

/// Rejects long names, because queued requests are held in memory.
fn check_length(name: String) -> Result<String, FilesError> {
    if name.len() > MAX_NAME_BYTES { Err(too_long(name.len())) } else { Ok(name) }
}

/// Returns the error for a name of `bytes` bytes.
pub(super) fn too_long(bytes: usize) -> FilesError {
    FilesError::new(FilesErrorCode::NotFound, format!("no name is {bytes} bytes long: {MAX_NAME_BYTES} are the most"))
}

/// The header before a file's bytes, of which `size - offset` follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHeader {
    /// The name as in the request.
    pub name: String,
    /// The size of the whole file, in bytes.
    pub size: u64,
    /// The number of bytes at the file's start that are skipped.
    pub offset: u64,
    /// The SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
    /// The time of the last write (RFC 3339), if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// The files below a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The files, sorted by name.
    pub files: Vec<ListedFile>,
    /// True if files were left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
}

/// One file of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// The name relative to the root, usable in a request.
    pub name: String,
    /// The size, in bytes.
    pub size: u64,
    /// The time of the last write, as in [`FileHeader`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// An error reply: `{"error":{"code":"not-found","text":…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesErrorReply {
    /// The error.
    pub error: FilesError,
}

/// An error, as a code for programs and a text for users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesError {
    /// One of [`FilesErrorCode`], or a code of another server.
    pub code: String,
    /// The error in words.
    #[serde(default)]
    pub text: String,
}

impl FilesError {
    pub(super) fn new(code: FilesErrorCode, text: impl Into<String>) -> Self {
        Self { code: code.to_string(), text: text.into() }
    }
}

/// The error codes of this crate's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesErrorCode {
    /// The file or directory does not exist.
    NotFound,
    /// The name is outside of the root, not a regular file, or not readable.
    Refused,
    /// The request is invalid.
    BadRequest,
    /// The file ends before the offset.
    BadOffset,
    /// The server is busy; retry later.
    Busy,
    /// The server could not read the file.
    Failed,
}

impl fmt::Display for FilesErrorCode {
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

/// Encodes `value` as JSON. Encoding the types of this module does not fail.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Formats a file's time (RFC 3339); `None` if it is unknown or outside of the calendar's range.
pub(super) fn format_time(time: std::io::Result<std::time::SystemTime>) -> Option<String> {
    Timestamp::try_from(time.ok()?).ok().map(|time| time.to_string())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde requires this signature")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_json_is_the_inverse_of_to_json() {
        let get = FilesRequest::Get { get: "a/\u{1f600}\n".to_owned(), offset: u64::MAX };
        let list = FilesRequest::List { list: String::new() };
        for request in [get, list] {
            assert_eq!(FilesRequest::from_json(&request.to_json()), Ok(request));
        }
        let plain = FilesRequest::Get { get: "x".to_owned(), offset: 0 };
        for text in [r#"{"get":"x"}"#, r#"{"offset":null,"get":"x","later":[{}]}"#] {
            assert_eq!(FilesRequest::from_json(text.as_bytes()).as_ref(), Ok(&plain), "{text}");
        }
    }

    #[test]
    fn from_json_rejects_invalid_requests() {
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
            assert_eq!(FilesRequest::from_json(text.as_bytes()).unwrap_err().code, "bad-request", "{text}");
        }
        for (text, expected) in [
            ("[]", "a request is an object"),
            ("null", "a request is an object"),
            (r#"{"get":"x","offset":-1}"#, "an offset is a number of bytes"),
            (r#"{"get":1}"#, "expected a string"),
        ] {
            let error = FilesRequest::from_json(text.as_bytes()).unwrap_err().text;
            assert!(error.contains(expected) && !error.contains("struct") && !error.contains("u64"), "{text}: {error}");
        }
        assert_eq!(FilesRequest::from_json(b"{\"get\":\"\xff\"}").unwrap_err().code, "bad-request");
        let long = FilesRequest::List { list: "x".repeat(MAX_NAME_BYTES + 1) };
        assert_eq!(FilesRequest::from_json(&long.to_json()).unwrap_err().code, "not-found");
    }
}
