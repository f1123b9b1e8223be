//! The bytes of a request. Knows no socket.

use std::fmt;
use std::str::FromStr;

use super::http_url::Target;

/// Fields that say how the connection is used, or what body follows. The program does not do what others would say here.
const OUR_OWN: [&str; 9] = [
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

/// Fields that are meant for one server and none that it sends us to.
const CONFIDED: [&str; 3] = ["authorization", "cookie", "host"];

/// A header field that the user wants to be sent: `Name: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

impl FromStr for Header {
    type Err = BadHeader;

    fn from_str(text: &str) -> Result<Self, BadHeader> {
        let (name, value) = text.split_once(':').ok_or(BadHeader::NoColon)?;
        let value = value.trim_matches([' ', '\t']);
        // RFC 9110, sections 5.1 and 5.5: a name is a token; in a value, a line feed would begin another field.
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return Err(BadHeader::Name);
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(BadHeader::Value);
        }
        if OUR_OWN.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(BadHeader::OurOwn(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// Why a header field is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// There is no colon.
    NoColon,
    /// The name is none.
    Name,
    /// The value holds a control character, a line feed most likely.
    Value,
    /// The field says how this very connection is used.
    OurOwn(String),
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon => f.write_str("not a header field: write 'Name: value'"),
            Self::Name => f.write_str("not a header field's name: write letters, digits and hyphens before the colon"),
            Self::Value => f.write_str("a header field's value is one line, without control characters"),
            Self::OurOwn(name) => {
                write!(f, "{name} says how the connection is used, and get knows that itself: leave it out")
            }
        }
    }
}

impl std::error::Error for BadHeader {}

/// The request for `target`. Fields of `headers` come instead of our own of the same name; what is confided to a server is left out
/// where the user has not named this one (`is_named`).
pub(super) fn request(target: &Target, headers: &[Header], is_named: bool) -> Vec<u8> {
    let told = |header: &&Header| is_named || !CONFIDED.contains(&header.name.to_ascii_lowercase().as_str());
    let headers: Vec<&Header> = headers.iter().filter(told).collect();
    let defaults = [
        ("Host", target.authority()),
        ("User-Agent", concat!("switchboard/", env!("CARGO_PKG_VERSION"))),
        ("Accept", "*/*"),
        // Otherwise a server is free to compress, and what is saved would not be the file.
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ];
    let own = defaults.iter().filter(|(name, _)| headers.iter().all(|header| !header.name.eq_ignore_ascii_case(name)));
    let given = headers.iter().map(|header| (header.name.as_str(), header.value.as_str()));
    let mut request = format!("GET {} HTTP/1.1\r\n", target.origin_form());
    for (name, value) in own.copied().chain(given) {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    request.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str, headers: &[&str], is_named: bool) -> String {
        let headers: Vec<Header> = headers.iter().map(|text| text.parse().unwrap()).collect();
        String::from_utf8(request(&Target::parse(url).unwrap(), &headers, is_named)).unwrap()
    }

    #[test]
    fn a_request_says_who_asks_whom_for_what() {
        let agent = concat!("User-Agent: switchboard/", env!("CARGO_PKG_VERSION"), "\r\n");
        assert_eq!(
            asked("h:81/a b?c#d", &[], true),
            format!(
                "GET /a%20b?c HTTP/1.1\r\nHost: h:81\r\n{agent}Accept: */*\r\nAccept-Encoding: identity\r\n\
                 Connection: close\r\n\r\n"
            )
        );
    }

    #[test]
    fn a_given_field_takes_the_place_of_ours() {
        let request = asked("h/", &["accept:text/plain", "HOST: other", "X-One: a: b ", "X-One: c"], true);
        assert!(request.ends_with("accept: text/plain\r\nHOST: other\r\nX-One: a: b\r\nX-One: c\r\n\r\n"), "{request}");
        assert!(!request.contains("Host: h") && !request.contains("*/*"), "{request}");
    }

    #[test]
    fn what_is_confided_to_one_server_is_not_told_to_another() {
        let given = ["Authorization: Basic eA==", "Cookie: a=b", "Host: named", "X-Kept: yes"];
        assert!(asked("h/", &given, true).contains("Basic"));
        let request = asked("h/", &given, false);
        for kept in ["Basic", "Cookie", "named"] {
            assert!(!request.contains(kept), "{request}");
        }
        assert!(request.contains("Host: h\r\n") && request.contains("X-Kept: yes\r\n"), "{request}");
    }

    #[test]
    fn nothing_is_smuggled_in_with_a_field() {
        for (text, error) in [
            ("no colon", BadHeader::NoColon),
            (": x", BadHeader::Name),
            ("a b: x", BadHeader::Name),
            ("né: x", BadHeader::Name),
            ("a\r\nb: x", BadHeader::Name),
            ("a: x\r\nb: y", BadHeader::Value),
            ("a: x\ny", BadHeader::Value),
            ("a: x\0", BadHeader::Value),
            ("Transfer-Encoding: chunked", BadHeader::OurOwn("Transfer-Encoding".to_owned())),
        ] {
            assert_eq!(text.parse::<Header>(), Err(error), "{text}");
        }
    }
}
