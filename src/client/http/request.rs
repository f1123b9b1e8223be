//! The bytes of a GET request. This module must not know a socket.

use std::fmt;
use std::str::FromStr;

use super::http_url::HttpUrl;

/// Names of header fields that a caller may not set: they describe the use of the connection, or a
/// request body.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names of header fields that are sent to the server of the caller's URL, and not to the target of
/// a redirect to another server.
const ORIGIN_ONLY: [&str; 3] = ["authorization", "cookie", "host"];

/// A header field that the caller adds to the request: `Name: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    name: String,
    value: String,
}

impl FromStr for RequestHeader {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, HeaderError> {
        let (name, value) = text.split_once(':').ok_or(HeaderError::MissingColon)?;
        let value = value.trim_matches([' ', '\t']);
        // RFC 9110, sections 5.1 and 5.5: a name is a token, and a line feed in a value would
        // start another field.
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return Err(HeaderError::InvalidName);
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(HeaderError::InvalidValue);
        }
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(HeaderError::Reserved(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// Error of a [`RequestHeader`]: the text is not a field that may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The text contains no colon.
    MissingColon,
    /// The name is empty or contains a character that a name may not have.
    InvalidName,
    /// The value contains a control character.
    InvalidValue,
    /// The field describes the use of the connection, which the client controls.
    Reserved(String),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingColon => f.write_str("invalid header field: write 'Name: value'"),
            Self::InvalidName => {
                f.write_str("invalid header field name: write letters, digits and hyphens before the colon")
            }
            Self::InvalidValue => {
                f.write_str("invalid header field value: it must be one line without control characters")
            }
            Self::Reserved(name) => {
                write!(f, "{name} describes the connection, which get controls itself: omit it")
            }
        }
    }
}

impl std::error::Error for HeaderError {}

/// Returns the request for `url`. A field in `headers` replaces the default field of the same name.
/// [`ORIGIN_ONLY`] fields are omitted unless the URL has the origin that the caller named
/// (`is_same_origin`).
pub(super) fn request(url: &HttpUrl, headers: &[RequestHeader], is_same_origin: bool) -> Vec<u8> {
    let is_sendable =
        |header: &&RequestHeader| is_same_origin || !ORIGIN_ONLY.contains(&header.name.to_ascii_lowercase().as_str());
    let headers: Vec<&RequestHeader> = headers.iter().filter(is_sendable).collect();
    let defaults = [
        ("Host", url.authority()),
        ("User-Agent", concat!("switchboard/", env!("CARGO_PKG_VERSION"))),
        ("Accept", "*/*"),
        // Without this field a server may compress the body, and the saved bytes would not be
        // the file.
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ];
    let own = defaults.iter().filter(|(name, _)| headers.iter().all(|header| !header.name.eq_ignore_ascii_case(name)));
    let given = headers.iter().map(|header| (header.name.as_str(), header.value.as_str()));
    let mut request = format!("GET {} HTTP/1.1\r\n", url.origin_form());
    for (name, value) in own.copied().chain(given) {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    request.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_text(url: &str, headers: &[&str], is_same_origin: bool) -> String {
        let headers: Vec<RequestHeader> = headers.iter().map(|text| text.parse().unwrap()).collect();
        String::from_utf8(request(&HttpUrl::parse(url).unwrap(), &headers, is_same_origin)).unwrap()
    }

    #[test]
    fn default_request_has_path_host_and_own_fields() {
        let agent = concat!("User-Agent: switchboard/", env!("CARGO_PKG_VERSION"), "\r\n");
        assert_eq!(
            request_text("h:81/a b?c#d", &[], true),
            format!(
                "GET /a%20b?c HTTP/1.1\r\nHost: h:81\r\n{agent}Accept: */*\r\nAccept-Encoding: identity\r\n\
                 Connection: close\r\n\r\n"
            )
        );
    }

    #[test]
    fn given_field_replaces_the_default() {
        let request = request_text("h/", &["accept:text/plain", "HOST: other", "X-One: a: b ", "X-One: c"], true);
        assert!(request.ends_with("accept: text/plain\r\nHOST: other\r\nX-One: a: b\r\nX-One: c\r\n\r\n"), "{request}");
        assert!(!request.contains("Host: h") && !request.contains("*/*"), "{request}");
    }

    #[test]
    fn origin_only_fields_are_omitted_for_another_server() {
        let given = ["Authorization: Basic eA==", "Cookie: a=b", "Host: named", "X-Kept: yes"];
        assert!(request_text("h/", &given, true).contains("Basic"));
        let request = request_text("h/", &given, false);
        for kept in ["Basic", "Cookie", "named"] {
            assert!(!request.contains(kept), "{request}");
        }
        assert!(request.contains("Host: h\r\n") && request.contains("X-Kept: yes\r\n"), "{request}");
    }

    #[test]
    fn invalid_header_fields_are_rejected() {
        for (text, error) in [
            ("no colon", HeaderError::MissingColon),
            (": x", HeaderError::InvalidName),
            ("a b: x", HeaderError::InvalidName),
            ("né: x", HeaderError::InvalidName),
            ("a\r\nb: x", HeaderError::InvalidName),
            ("a: x\r\nb: y", HeaderError::InvalidValue),
            ("a: x\ny", HeaderError::InvalidValue),
            ("a: x\0", HeaderError::InvalidValue),
            ("Transfer-Encoding: chunked", HeaderError::Reserved("Transfer-Encoding".to_owned())),
        ] {
            assert_eq!(text.parse::<RequestHeader>(), Err(error), "{text}");
        }
    }
}
