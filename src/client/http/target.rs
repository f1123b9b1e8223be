//! What is to be fetched, and where from. Knows URLs and no socket.

use std::fmt;

use url::{Host, Url};

use crate::frame::escape;

/// An address that can be fetched from: `http`, with a host, and without a user's name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: Url,
    /// Of the name or the literal; what is looked up.
    host: Host<String>,
    port: u16,
}

impl Target {
    /// Reads a URL as it is typed: one without a scheme is taken for `http`. Whatever HTTP cannot say is percent-encoded.
    ///
    /// ```
    /// use switchboard::client::http::Target;
    ///
    /// assert_eq!(Target::parse("127.0.0.1:8000/né x#top")?.to_string(), "http://127.0.0.1:8000/n%C3%A9%20x");
    /// assert!(Target::parse("https://example.org/").is_err());
    /// # Ok::<(), switchboard::client::http::BadUrl>(())
    /// ```
    ///
    /// # Errors
    /// [`BadUrl`] says what it is instead.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        // No host begins so, and a file here is not to be looked up there.
        if text.starts_with(['/', '.']) && !text.starts_with("//") {
            return Err(BadUrl::Path(text.to_owned()));
        }
        // The parser takes the host of 'localhost:8000/x' for a scheme.
        let has_scheme = text.contains("://") || is_scheme_of(text);
        let url = if has_scheme { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
        Self::of(url.map_err(|error| BadUrl::Malformed { url: text.to_owned(), error })?)
    }

    /// Where a `Location` leads from here.
    pub(super) fn join(&self, location: &str) -> Result<Self, BadUrl> {
        let url = self.url.join(location).map_err(|error| BadUrl::Malformed { url: location.to_owned(), error })?;
        Self::of(url)
    }

    fn of(mut url: Url) -> Result<Self, BadUrl> {
        match url.scheme() {
            "http" => {}
            "https" => return Err(BadUrl::Https(url.into())),
            scheme => return Err(BadUrl::Scheme { scheme: scheme.to_owned(), url: url.into() }),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadUrl::User);
        }
        // RFC 9110, section 7.1: a fragment is the client's own.
        url.set_fragment(None);
        let empty = url::ParseError::EmptyHost;
        match (url.host().map(|host| host.to_owned()), url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Self { url, host, port }),
            _ => Err(BadUrl::Malformed { url: url.into(), error: empty }),
        }
    }

    /// The host: a name to look up, or an address.
    pub(super) fn host(&self) -> &Host<String> {
        &self.host
    }

    /// The port, which is 80 where the URL has none.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What the `Host` field says: the port only where it is not 80.
    pub(super) fn authority(&self) -> &str {
        self.url.authority()
    }

    /// Path and query, as the request line has them.
    pub(super) fn origin_form(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// Whether both are the same server, so that what may be told to one may be told to the other.
    pub(super) fn has_origin_of(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }

    /// The last part of the path, percent-encoded as it is; none if the path ends with a slash.
    pub fn file_name(&self) -> Option<&str> {
        self.url.path_segments()?.next_back().filter(|name| !name.is_empty())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.as_str().fmt(f)
    }
}

/// Whether it begins with a scheme that has no `//` behind it, and not with a host and its port.
fn is_scheme_of(text: &str) -> bool {
    const SCHEMES: [&str; 9] = ["http", "https", "about", "data", "file", "javascript", "mailto", "tel", "urn"];
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let port = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) && !is_port
}

/// Why nothing can be fetched from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadUrl {
    /// It is no URL.
    Malformed {
        /// It.
        url: String,
        /// What is wrong with it.
        error: url::ParseError,
    },
    /// It is the path of a file.
    Path(String),
    /// It needs TLS.
    Https(String),
    /// It needs another protocol.
    Scheme {
        /// Which.
        scheme: String,
        /// It.
        url: String,
    },
    /// It holds a user's name or a password.
    User,
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { url, error } => {
                write!(f, "'{}' is no URL: {error}; write one like http://127.0.0.1:8000/file", escape::line(url))
            }
            Self::Path(path) => {
                write!(f, "'{}' is a path and no URL; write one like http://127.0.0.1:8000/file", escape::line(path))
            }
            Self::Https(url) => {
                write!(f, "{} needs TLS, which is not spoken here yet; is it there under http://, too?", escape::line(url))
            }
            Self::Scheme { scheme, url } => {
                write!(f, "{} is not fetched over HTTP: the scheme is {}, and http:// is spoken here", escape::line(url), escape::line(scheme))
            }
            Self::User => f.write_str(
                "a user name in a URL is not sent, because URLs are logged and shown; if the server asks for one, write \
                 -H 'Authorization: Basic …' with what 'printf NAME:PASSWORD | base64' prints",
            ),
        }
    }
}

impl std::error::Error for BadUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_what_is_asked() {
        for (typed, host, port, authority, asked) in [
            ("http://example.org", "example.org", 80, "example.org", "/"),
            ("http://example.org:80/a", "example.org", 80, "example.org", "/a"),
            ("localhost:8000/x?y=1#z", "localhost", 8000, "localhost:8000", "/x?y=1"),
            ("127.0.0.1:8000", "127.0.0.1", 8000, "127.0.0.1:8000", "/"),
            ("data:8000/x", "data", 8000, "data:8000", "/x"),
            ("[::1]:8000/x", "[::1]", 8000, "[::1]:8000", "/x"),
            ("HTTP://EXAMPLE.org/你 好", "example.org", 80, "example.org", "/%E4%BD%A0%20%E5%A5%BD"),
            ("example.org/a/../b\r\nc", "example.org", 80, "example.org", "/bc"),
            ("bücher.example/?q=é", "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/?q=%C3%A9"),
        ] {
            let target = Target::parse(typed).unwrap();
            assert_eq!((target.host().to_string().as_str(), target.port()), (host, port), "{typed}");
            assert_eq!((target.authority(), target.origin_form().as_str()), (authority, asked), "{typed}");
        }
    }

    #[test]
    fn what_cannot_be_fetched_says_why() {
        for (typed, words) in [
            ("https://example.org/x", "needs TLS"),
            ("ftp://example.org/x", "the scheme is ftp"),
            ("http://eva:secret@example.org/", "a user name in a URL is not sent"),
            ("eva@example.org/", "a user name in a URL is not sent"),
            ("/etc/passwd", "'/etc/passwd' is a path and no URL; write one like http://"),
            ("./x", "is a path and no URL"),
            ("../x", "is a path and no URL"),
            ("mailto:x@y", "the scheme is mailto"),
            ("Data:text/plain,x", "the scheme is data"),
            ("eva:secret@example.org/", "a user name in a URL is not sent"),
            ("http://", "is no URL: empty host"),
            ("", "is no URL: empty host"),
            ("http://127.0.0.1:99999/", "is no URL: invalid port number"),
            ("http://[::1/", "is no URL: invalid IPv6 address"),
        ] {
            let error = Target::parse(typed).unwrap_err().to_string();
            assert!(error.contains(words), "{typed}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_location_is_read_from_where_one_is() {
        let here = Target::parse("http://h:81/a/b?c#d").unwrap();
        for (location, there) in [
            ("e", "http://h:81/a/e"),
            ("/e?f#g", "http://h:81/e?f"),
            ("//i/", "http://i/"),
            ("http://i:82/j", "http://i:82/j"),
            ("", "http://h:81/a/b?c"),
        ] {
            assert_eq!(here.join(location).unwrap().to_string(), there, "{location}");
        }
        assert!(matches!(here.join("https://h/"), Err(BadUrl::Https(_))));
        assert!(matches!(here.join("file:///etc/passwd"), Err(BadUrl::Scheme { .. })));
        assert!(here.has_origin_of(&here.join("/x").unwrap()));
        assert!(!here.has_origin_of(&here.join("http://h/x").unwrap()));
    }

    #[test]
    fn a_file_takes_the_last_part_of_the_path_for_its_name() {
        for (url, name) in
            [("h/a/b.txt?c", Some("b.txt")), ("h/a/", None), ("h", None), ("h/a/..", None), ("h/a%2fb", Some("a%2fb"))]
        {
            assert_eq!(Target::parse(url).unwrap().file_name(), name, "{url}");
        }
    }
}
