//! The head of a response: status line and header fields.

use httparse::ParserConfig;

use super::http_error::HttpError;

/// Maximum number of header fields in one head.
const MAX_FIELDS: usize = 100;

/// The parsed head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    status: u16,
    reason: String,
    minor_version: u8,
    fields: Vec<(String, Vec<u8>)>,
    raw: Vec<u8>,
}

impl ResponseHead {
    /// Parses a complete head, with the empty line at its end.
    pub(super) fn parse(raw: Vec<u8>) -> Result<Self, HttpError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        // RFC 9112, section 5.2: a user agent replaces the line fold with spaces.
        let mut config = ParserConfig::default();
        config.allow_obsolete_multiline_headers_in_responses(true);
        let complete = match config.parse_response(&mut parsed, &raw) {
            Ok(status) => status.is_complete(),
            Err(httparse::Error::TooManyHeaders) => return Err(HttpError::TooManyFields(MAX_FIELDS)),
            Err(error) => return Err(HttpError::BadHead(error.to_string())),
        };
        let (true, Some(status), Some(minor_version)) = (complete, parsed.code, parsed.version) else {
            return Err(HttpError::BadHead("it ends too early".to_owned()));
        };
        let reason = parsed.reason.unwrap_or_default().to_owned();
        let fields = parsed.headers.iter().map(|field| (field.name.to_owned(), unfolded(field.value))).collect();
        Ok(Self { status, reason, minor_version, fields, raw })
    }

    /// Returns the status code, such as 200.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the reason phrase. It is empty if the server sent none, or one that is not ASCII.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns true if the response has the version HTTP/1.0.
    pub(super) fn is_http10(&self) -> bool {
        self.minor_version == 0
    }

    /// Returns all header fields in the order of the head, with line folds replaced by spaces.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Returns the values of the fields with this name; the comparison ignores case.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the comma-separated items of all fields with this name (RFC 9110, section 5.6.1).
    /// Empty items are included; quoted strings are not recognised.
    pub(super) fn items<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name).flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
    }

    /// Returns the head as received, with the empty line at its end.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Returns status code and reason on one line for display: control characters are escaped, and
    /// a missing reason is added.
    pub fn status_line(&self) -> String {
        let reason = match self.reason.trim() {
            "" => known_reason(self.status),
            reason => reason,
        };
        format!("{} {}", self.status, crate::frame::escape::line(reason)).trim_end().to_owned()
    }
}

fn unfolded(value: &[u8]) -> Vec<u8> {
    value.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect()
}

/// Returns the standard reason of a common status code, for a server that sends none.
fn known_reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        410 => "Gone",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<ResponseHead, HttpError> {
        ResponseHead::parse(text.into())
    }

    #[test]
    fn head_has_status_and_fields() {
        let head = head("HTTP/1.0 404 Not\tHere\r\nA: 1, 2\r\nb:\r\na:  3 \r\n\r\n").unwrap();
        assert_eq!((head.status(), head.reason(), head.is_http10()), (404, "Not\tHere", true));
        assert_eq!(head.values("a").collect::<Vec<_>>(), [&b"1, 2"[..], b"3"]);
        assert_eq!(head.items("A").collect::<Vec<_>>(), [&b"1"[..], b"2", b"3"]);
        assert_eq!(head.values("B").collect::<Vec<_>>(), [b""]);
        assert_eq!(head.fields().count(), 3);
        assert_eq!(head.status_line(), r"404 Not\tHere");
    }

    #[test]
    fn missing_reason_is_added_and_folded_line_is_joined() {
        let head = head("HTTP/1.1 503\r\nA: 1\r\n 2\r\n\r\n").unwrap();
        assert_eq!(head.status_line(), "503 Service Unavailable");
        assert_eq!(head.values("a").next().map(|value| value.split(|b| *b == b' ').count()), Some(4));
    }

    #[test]
    fn malformed_head_is_an_error() {
        assert!(matches!(head("HTTP/1.1 2x0 OK\r\n\r\n"), Err(HttpError::BadHead(_))));
        assert!(matches!(head("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), Err(HttpError::BadHead(_))));
        assert!(matches!(head("HTTP/1.1 200 OK\r\na b: c\r\n\r\n"), Err(HttpError::BadHead(_))));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(head(&many), Err(HttpError::TooManyFields(MAX_FIELDS)));
    }
}
