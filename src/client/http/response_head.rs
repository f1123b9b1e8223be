//! The head of a response: status line and header fields.

use httparse::ParserConfig;

use super::http_error::HttpError;

/// Maximum number of header fields in one head.
const MAX_FIELDS: usize = 100;

/// Maximum length of a malformed line in an error message, in bytes.
const MAX_EXCERPT_BYTES: usize = 60;

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
        let (status, minor_version) =
            parse_into(&mut parsed, &raw).map_err(|error| with_status(head_error(&raw, error), &raw))?;
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
        status_line_of(self.status, &self.reason)
    }
}

fn status_line_of(status: u16, reason: &str) -> String {
    let reason = match reason.trim() {
        "" => known_reason(status),
        reason => reason,
    };
    format!("{status} {}", crate::frame::escape::line(reason)).trim_end().to_owned()
}

/// Adds the status in the first line of a head to its error, unless the status is 1xx or 2xx.
pub(super) fn with_status(error: HttpError, head: &[u8]) -> HttpError {
    let end = memchr::memchr(b'\n', head).map_or(0, |end| end + 1);
    let status_line = [head.get(..end).unwrap_or_default(), b"\r\n"].concat();
    let mut parsed = httparse::Response::new(&mut []);
    match parse_into(&mut parsed, &status_line) {
        Ok((status, _)) if !matches!(status, 100..=299) => {
            let status = status_line_of(status, parsed.reason.unwrap_or_default());
            HttpError::BadHeadWithStatus { status, error: Box::new(error) }
        }
        _ => error,
    }
}

/// Parses a complete head. Returns the status code and the minor version.
fn parse_into<'b>(response: &mut httparse::Response<'_, 'b>, raw: &'b [u8]) -> Result<(u16, u8), httparse::Error> {
    // RFC 9112, section 5.2: a user agent replaces the line fold with spaces.
    let mut config = ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    let is_complete = config.parse_response(response, raw)?.is_complete();
    response.code.zip(response.version).filter(|_| is_complete).ok_or(httparse::Error::Status)
}

/// Returns the error of a head that `parse_into` rejects, with the first line that it rejects.
fn head_error(raw: &[u8], error: httparse::Error) -> HttpError {
    if error == httparse::Error::TooManyHeaders {
        return HttpError::TooManyFields(MAX_FIELDS);
    }
    // Parses the lines up to the one with this end, as a complete head.
    let parse_up_to = |end: usize| {
        let head = [raw.get(..end).unwrap_or_default(), b"\r\n"].concat();
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        parse_into(&mut httparse::Response::new(&mut fields), &head)
    };
    let ends: Vec<_> = memchr::memchr_iter(b'\n', raw).map(|at| at + 1).collect();
    // A binary search: a head may have tens of thousands of folded lines.
    let index = ends.partition_point(|end| parse_up_to(*end).is_ok());
    let (start, end) = (index.checked_sub(1).and_then(|before| ends.get(before)), ends.get(index));
    let line = raw.get(start.copied().unwrap_or(0)..end.copied().unwrap_or(0)).unwrap_or_default().trim_ascii_end();
    let line = line.get(..MAX_EXCERPT_BYTES).unwrap_or(line).to_vec();
    let error = end.and_then(|end| parse_up_to(*end).err()).unwrap_or(error);
    HttpError::BadHeadLine { number: index + 1, line, cause: error.to_string() }
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
    fn malformed_line_is_named() {
        let long = format!("HTTP/1.1 200 OK\r\na: b\r\n{}\r\n\r\n", "x".repeat(100));
        for (text, expected) in [
            ("HTTP/1.1 2x0 OK\r\n\r\n", "invalid response status in line 1, 'HTTP/1.1 2x0 OK'"),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "invalid header name in line 2, 'no colon'"),
            ("HTTP/1.1 200 OK\r\na: b\r\n\x1b[2J c: d\r\ne: f\r\n\r\n", r"name in line 3, '\u{1b}[2J c: d'"),
            ("HTTP/1.1 200 OK\na: b\n c\nd: \0\n\n", r"invalid header value in line 4, 'd: \u{0}'"),
            (&long, &format!("invalid header name in line 3, '{}'", "x".repeat(MAX_EXCERPT_BYTES))),
        ] {
            let error = head(text).unwrap_err();
            assert!(matches!(error, HttpError::BadHeadLine { .. }), "{error:?}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        // As many lines as fit into a head: the time to find the line must not grow with their
        // square.
        let error = head(&format!("HTTP/1.1 200 OK\na: b\n{}c\n\n", " \n".repeat(32_000))).unwrap_err();
        assert!(error.to_string().ends_with("in line 32003, 'c'"), "{error}");
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(head(&many), Err(HttpError::TooManyFields(MAX_FIELDS)));
    }

    #[test]
    fn status_that_is_an_error_comes_first() {
        let many = "a: b\r\n".repeat(MAX_FIELDS + 1);
        for (fields, expected) in
            [("no colon\r\n", "invalid header name in line 2, 'no colon'"), (&many, "more than the maximum of 100")]
        {
            let error = head(&format!("HTTP/1.1 503\r\n{fields}\r\n")).unwrap_err().to_string();
            assert!(error.starts_with("the server responded 503 Service Unavailable; "), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
}
