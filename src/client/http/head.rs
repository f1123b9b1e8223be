//! The head of an answer: status line and header fields, parsed. Knows nothing of where it came from.

use httparse::ParserConfig;

use super::fault::Fault;

/// Header fields in one head.
const MAX_FIELDS: usize = 100;

/// What an answer begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    status: u16,
    reason: String,
    minor_version: u8,
    fields: Vec<(String, Vec<u8>)>,
    raw: Vec<u8>,
}

impl Head {
    /// Reads a whole head, the empty line at its end included.
    pub(super) fn parse(raw: Vec<u8>) -> Result<Self, Fault> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        // RFC 9112, section 5.2: a user agent takes a folded line for a space.
        let mut config = ParserConfig::default();
        config.allow_obsolete_multiline_headers_in_responses(true);
        let complete = match config.parse_response(&mut parsed, &raw) {
            Ok(status) => status.is_complete(),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::TooManyFields(MAX_FIELDS)),
            Err(error) => return Err(Fault::BadHead(error.to_string())),
        };
        let (true, Some(status), Some(minor_version)) = (complete, parsed.code, parsed.version) else {
            return Err(Fault::BadHead("it ends too early".to_owned()));
        };
        let reason = parsed.reason.unwrap_or_default().to_owned();
        let fields = parsed.headers.iter().map(|field| (field.name.to_owned(), unfolded(field.value))).collect();
        Ok(Self { status, reason, minor_version, fields, raw })
    }

    /// The status: 200 and its like.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What the server calls the status, as it sent it. It may be empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether it is an answer of HTTP/1.0.
    pub(super) fn is_http_1_0(&self) -> bool {
        self.minor_version == 0
    }

    /// All fields in the order in which they came, as they were sent.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The values of the fields of this name, in any case.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The items of a field that is a list, of all fields of this name; RFC 9110, section 5.6.1.
    pub(super) fn items<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name).flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
    }

    /// The head as it came, with the empty line.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Status and reason in one line, for people: control characters are spelt out.
    pub fn status_in_words(&self) -> String {
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

/// A server may leave the reason out. These are the ones that need no body to be understood.
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

    fn head(text: &str) -> Result<Head, Fault> {
        Head::parse(text.into())
    }

    #[test]
    fn a_head_is_a_status_and_fields() {
        let head = head("HTTP/1.0 404 Not\tHere\r\nA: 1, 2\r\nb:\r\na:  3 \r\n\r\n").unwrap();
        assert_eq!((head.status(), head.reason(), head.is_http_1_0()), (404, "Not\tHere", true));
        assert_eq!(head.values("a").collect::<Vec<_>>(), [&b"1, 2"[..], b"3"]);
        assert_eq!(head.items("A").collect::<Vec<_>>(), [&b"1"[..], b"2", b"3"]);
        assert_eq!(head.values("B").collect::<Vec<_>>(), [b""]);
        assert_eq!(head.fields().count(), 3);
        assert_eq!(head.status_in_words(), r"404 Not\tHere");
    }

    #[test]
    fn a_missing_reason_is_known_and_a_folded_line_is_one() {
        let head = head("HTTP/1.1 503\r\nA: 1\r\n 2\r\n\r\n").unwrap();
        assert_eq!(head.status_in_words(), "503 Service Unavailable");
        assert_eq!(head.values("a").next().map(|value| value.split(|b| *b == b' ').count()), Some(4));
    }

    #[test]
    fn a_head_that_is_none_says_what_is_wrong() {
        assert!(matches!(head("HTTP/1.1 2x0 OK\r\n\r\n"), Err(Fault::BadHead(_))));
        assert!(matches!(head("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), Err(Fault::BadHead(_))));
        assert!(matches!(head("HTTP/1.1 200 OK\r\na b: c\r\n\r\n"), Err(Fault::BadHead(_))));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(head(&many), Err(Fault::TooManyFields(MAX_FIELDS)));
    }
}
