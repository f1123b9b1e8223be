//! The URL of a request. This module must not know a socket.

use std::fmt;

use url::{Host, Url};

use crate::frame::escape;

/// A URL that [`fetch`](super::fetch()) can request: the scheme is `http`, it has a host, and it
/// has no user name or password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    url: Url,
    /// The host of `url`: a name to resolve, or an IP address.
    host: Host<String>,
    port: u16,
}

impl HttpUrl {
    /// Parses a URL as typed; without a scheme it is `http`. Characters that a URL cannot contain
    /// are percent-encoded.
    ///
    /// ```
    /// use switchboard::client::http::HttpUrl;
    ///
    /// assert_eq!(HttpUrl::parse("127.0.0.1:8000/né x#top")?.to_string(), "http://127.0.0.1:8000/n%C3%A9%20x");
    /// assert!(HttpUrl::parse("https://example.org/").is_err());
    /// # Ok::<(), switchboard::client::http::UrlError>(())
    /// ```
    ///
    /// # Errors
    /// [`UrlError`] if the text is not a valid `http` URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        // A host name cannot start like this. The text is a local path, which must not be sent
        // to a name server.
        if text.starts_with(['/', '.']) && !text.starts_with("//") {
            return Err(UrlError::FilePath(text.to_owned()));
        }
        // `Url::parse` takes the host of `localhost:8000/x` for a scheme.
        let has_scheme = text.contains("://") || is_scheme_without_slashes(text);
        let url = if has_scheme { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
        Self::from_url(url.map_err(|error| UrlError::Malformed { url: text.to_owned(), error })?)
    }

    /// Resolves the value of a `Location` field against this URL.
    pub(super) fn join(&self, location: &str) -> Result<Self, UrlError> {
        let url = self.url.join(location).map_err(|error| UrlError::Malformed { url: location.to_owned(), error })?;
        Self::from_url(url)
    }

    fn from_url(mut url: Url) -> Result<Self, UrlError> {
        match url.scheme() {
            "http" => {}
            "https" => return Err(UrlError::NeedsTls(url.into())),
            scheme => return Err(UrlError::UnsupportedScheme { scheme: scheme.to_owned(), url: url.into() }),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        // RFC 9110, section 7.1: a client does not send the fragment.
        url.set_fragment(None);
        let empty = url::ParseError::EmptyHost;
        match (url.host().map(|host| host.to_owned()), url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Self { url, host, port }),
            _ => Err(UrlError::Malformed { url: url.into(), error: empty }),
        }
    }

    /// Returns the host: a name to resolve, or an IP address.
    pub(super) fn host(&self) -> &Host<String> {
        &self.host
    }

    /// Returns the port; 80 if the URL has none.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the value of the `Host` field. It contains the port if that is not 80.
    pub(super) fn authority(&self) -> &str {
        self.url.authority()
    }

    /// Returns path and query, in the form that the request line has.
    pub(super) fn origin_form(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// Returns true if both URLs have the same host and port. Credentials for one may then be sent
    /// to the other.
    pub(super) fn has_same_origin(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }

    /// Returns the last segment of the path, percent-encoded; `None` if the path ends with a slash.
    pub fn file_name(&self) -> Option<&str> {
        self.url.path_segments()?.next_back().filter(|name| !name.is_empty())
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.as_str().fmt(f)
    }
}

/// Returns true if the text starts with a scheme without `//`, as in `mailto:x`, and not with a
/// host and port.
fn is_scheme_without_slashes(text: &str) -> bool {
    const SCHEMES: [&str; 9] = ["http", "https", "about", "data", "file", "javascript", "mailto", "tel", "urn"];
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let port = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) && !is_port
}

/// Error of [`HttpUrl::parse`]: the text is not a URL that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// The text is not a URL.
    Malformed {
        /// The text.
        url: String,
        /// The parser's error.
        error: url::ParseError,
    },
    /// The text is the path of a file.
    FilePath(String),
    /// The scheme is `https`, and this client has no TLS.
    NeedsTls(String),
    /// The scheme is neither `http` nor `https`.
    UnsupportedScheme {
        /// The scheme.
        scheme: String,
        /// The URL.
        url: String,
    },
    /// The URL contains a user name or a password.
    Credentials,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { url, error } => {
                write!(f, "invalid URL '{}': {error}; write one like http://127.0.0.1:8000/file", escape::line(url))
            }
            Self::FilePath(path) => {
                write!(f, "'{}' is a file path; write a URL like http://127.0.0.1:8000/file", escape::line(path))
            }
            Self::NeedsTls(url) => {
                write!(f, "{} needs TLS, which this client does not support; try the URL with http://", escape::line(url))
            }
            Self::UnsupportedScheme { scheme, url } => {
                write!(f, "unsupported scheme in {}: {}; use http", escape::line(url), escape::line(scheme))
            }
            Self::Credentials => f.write_str(
"the URL contains a user name or a password, and URLs appear in logs; send -H 'Authorization: Basic …' instead, \
                 with the output of: printf NAME:PASSWORD | base64",
            ),
        }
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_as_typed_becomes_host_port_and_request_target() {
        for (typed, host, port, authority, origin_form) in [
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
            let parsed = HttpUrl::parse(typed).unwrap();
            assert_eq!((parsed.host().to_string().as_str(), parsed.port()), (host, port), "{typed}");
            assert_eq!((parsed.authority(), parsed.origin_form().as_str()), (authority, origin_form), "{typed}");
        }
    }

    #[test]
    fn unsupported_urls_are_rejected_with_the_reason() {
        for (typed, expected) in [
            ("https://example.org/x", "needs TLS"),
            ("ftp://example.org/x", "unsupported scheme in ftp://example.org/x: ftp"),
            ("http://eva:secret@example.org/", "contains a user name or a password"),
            ("eva@example.org/", "contains a user name or a password"),
            ("/etc/passwd", "'/etc/passwd' is a file path; write a URL like http://"),
            ("./x", "is a file path"),
            ("../x", "is a file path"),
            ("mailto:x@y", "unsupported scheme in mailto:x@y: mailto"),
            ("Data:text/plain,x", ": data; use http"),
            ("eva:secret@example.org/", "contains a user name or a password"),
            ("http://", "invalid URL 'http://': empty host"),
            ("", "invalid URL '': empty host"),
            ("http://127.0.0.1:99999/", "invalid URL 'http://127.0.0.1:99999/': invalid port number"),
            ("http://[::1/", "invalid URL 'http://[::1/': invalid IPv6 address"),
        ] {
            let error = HttpUrl::parse(typed).unwrap_err().to_string();
            assert!(error.contains(expected), "{typed}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn location_is_resolved_against_the_requested_url() {
        let base = HttpUrl::parse("http://h:81/a/b?c#d").unwrap();
        for (location, expected) in [
            ("e", "http://h:81/a/e"),
            ("/e?f#g", "http://h:81/e?f"),
            ("//i/", "http://i/"),
            ("http://i:82/j", "http://i:82/j"),
            ("", "http://h:81/a/b?c"),
        ] {
            assert_eq!(base.join(location).unwrap().to_string(), expected, "{location}");
        }
        assert!(matches!(base.join("https://h/"), Err(UrlError::NeedsTls(_))));
        assert!(matches!(base.join("file:///etc/passwd"), Err(UrlError::UnsupportedScheme { .. })));
        assert!(base.has_same_origin(&base.join("/x").unwrap()));
        assert!(!base.has_same_origin(&base.join("http://h/x").unwrap()));
    }

    #[test]
    fn file_name_is_the_last_segment_of_the_path() {
        for (url, name) in
            [("h/a/b.txt?c", Some("b.txt")), ("h/a/", None), ("h", None), ("h/a/..", None), ("h/a%2fb", Some("a%2fb"))]
        {
            assert_eq!(HttpUrl::parse(url).unwrap().file_name(), name, "{url}");
        }
    }
}
