//! The address of a listener or UDP socket with its transport: parsing, name resolution, display.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::{fmt, io};

/// A transport and an address on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP listener.
    Tcp(SocketAddr),
    /// A UDP socket.
    Udp(SocketAddr),
    /// A Unix-domain stream listener at a path of the file system.
    Unix(PathBuf),
}

impl Endpoint {
    /// Returns the transport's name as the `listening` line prints it: `tcp`, `udp` or `unix`.
    pub fn transport(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Udp(_) => "udp",
            Self::Unix(_) => "unix",
        }
    }

    /// Returns true if only this machine can reach the endpoint: a path, or a loopback address
    /// (IPv4-mapped IPv6 included).
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(addr) | Self::Udp(addr) => addr.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Returns the address without its transport.
    pub fn address(&self) -> impl fmt::Display + '_ {
        Address(self)
    }

    /// Parses `host:port`, `[v6]:port`, `udp:host:port`, `tcp:host:port` or `unix:PATH`. A host
    /// name is resolved, which blocks, and gives one endpoint for each of its addresses.
    ///
    /// # Errors
    /// `InvalidInput` if the text is not an address; otherwise the resolver's error.
    pub fn resolve(text: &str) -> io::Result<Vec<Self>> {
        if let Ok(endpoint) = text.parse() {
            return Ok(vec![endpoint]);
        }
        let (make, host): (fn(SocketAddr) -> Self, &str) = match text.split_once(':') {
            Some(("udp", rest)) => (Self::Udp, rest),
            Some(("tcp", rest)) => (Self::Tcp, rest),
            _ => (Self::Tcp, text),
        };
        let found: Vec<Self> = host.to_socket_addrs()?.map(make).collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport(), self.address())
    }
}

/// An endpoint to be written without its transport.
struct Address<'a>(&'a Endpoint);

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Endpoint::Tcp(addr) | Endpoint::Udp(addr) => write!(f, "{addr}"),
            Endpoint::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The error of parsing text that is not a literal address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseEndpointError;

impl fmt::Display for ParseEndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address: write host:port, [v6]:port, udp:host:port or unix:PATH")
    }
}

impl std::error::Error for ParseEndpointError {}

impl FromStr for Endpoint {
    type Err = ParseEndpointError;

    /// Parses a literal address. [`Endpoint::resolve`] resolves host names.
    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        match text.split_once(':') {
            Some(("unix", "")) => Err(ParseEndpointError),
            Some(("unix", path)) => Ok(Self::Unix(path.into())),
            Some(("udp", rest)) => rest.parse().map(Self::Udp).map_err(|_| ParseEndpointError),
            Some(("tcp", rest)) => rest.parse().map(Self::Tcp).map_err(|_| ParseEndpointError),
            _ => text.parse().map(Self::Tcp).map_err(|_| ParseEndpointError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_str_and_display_of_addresses() {
        for (text, shown) in [
            ("127.0.0.1:7000", "tcp 127.0.0.1:7000"),
            ("0.0.0.0:0", "tcp 0.0.0.0:0"),
            ("[::1]:80", "tcp [::1]:80"),
            ("[::]:80", "tcp [::]:80"),
            ("tcp:10.0.0.1:80", "tcp 10.0.0.1:80"),
            ("tcp:[::1]:80", "tcp [::1]:80"),
            ("udp:127.0.0.1:53", "udp 127.0.0.1:53"),
            ("udp:[2001:db8::1]:53", "udp [2001:db8::1]:53"),
            ("unix:/run/switchboard.sock", "unix /run/switchboard.sock"),
            ("unix:a:b", "unix a:b"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(format!("{} {}", endpoint.transport(), endpoint.address()), shown);
            assert_eq!(Endpoint::resolve(text).unwrap(), [endpoint], "a literal address is not resolved");
        }
    }

    #[test]
    fn from_str_rejects_other_text() {
        for text in [
            "",
            ":",
            "80",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "::1:80",
            "[::1]",
            "localhost:80",
            "udp:",
            "unix:",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(ParseEndpointError), "{text}");
        }
    }

    #[test]
    fn resolve_keeps_the_transport() {
        for (text, transport) in [("localhost:0", "tcp"), ("tcp:localhost:0", "tcp"), ("udp:localhost:0", "udp")] {
            let found = Endpoint::resolve(text).unwrap();
            assert!(!found.is_empty(), "{text}");
            assert!(found.iter().all(|endpoint| endpoint.transport() == transport), "{found:?}");
        }
    }

    #[test]
    fn resolve_rejects_other_text() {
        for text in ["", "localhost", "localhost:", "localhost:http", "localhost:65536", "unix:", "udp:localhost"] {
            assert_eq!(Endpoint::resolve(text).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{text}");
        }
    }
}
