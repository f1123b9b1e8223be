//! The address of a listener or UDP socket with its transport: parsing, name resolution, display.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use std::{fmt, io};

use super::resolution::Resolution;
use super::zone::interface_index;

/// A transport and an address on it.
///
/// ```
/// use switchboard::Endpoint;
///
/// // Parsing takes an IP address or a path; a host name has to be looked up.
/// let literal: Endpoint = "[::1]:7000".parse()?;
/// assert!(literal.is_local());
/// assert!("localhost:7000".parse::<Endpoint>().is_err());
/// for endpoint in Endpoint::resolve("localhost:7000")? {
///     println!("{endpoint}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// `InvalidInput` with a [`ParseEndpointError`] if the text is not an address; otherwise the
    /// resolver's error.
    pub fn resolve(text: &str) -> io::Result<Vec<Self>> {
        Self::resolve_with(text, |host, port| Ok((host, port).to_socket_addrs()?.collect()))
    }

    /// Resolves as [`resolve`](Self::resolve) does, but waits for a name's addresses for `timeout`
    /// at most. The system's resolver may take half a minute if no name server answers.
    ///
    /// # Errors
    /// As for `resolve`, and `TimedOut`.
    pub fn resolve_within(text: &str, timeout: Duration) -> io::Result<Vec<Self>> {
        Self::resolve_with(text, |host, port| Resolution::start(host.to_owned(), port)?.into_result(timeout))
    }

    fn resolve_with(
        text: &str,
        look_up: impl FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>>,
    ) -> io::Result<Vec<Self>> {
        match text.parse() {
            Ok(endpoint) => return Ok(vec![endpoint]),
            Err(ParseEndpointError::HostName(_)) => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
        }
        let (make, rest) = split_transport(text);
        let (host, port) = split_host(rest).ok_or(io::ErrorKind::InvalidInput)?;
        let found: Vec<Self> = look_up(host, port)?.into_iter().map(make).collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

/// Splits a transport's prefix from the address; TCP has none by default.
fn split_transport(text: &str) -> (fn(SocketAddr) -> Endpoint, &str) {
    match text.split_once(':') {
        Some(("udp", rest)) => (Endpoint::Udp, rest),
        Some(("tcp", rest)) => (Endpoint::Tcp, rest),
        _ => (Endpoint::Tcp, text),
    }
}

/// Parses an IP address and a port. The standard library reads the zone of an IPv6 address as a
/// number only.
fn parse_addr(text: &str) -> Result<SocketAddr, ParseEndpointError> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    if let Some((ip, zone, port)) = split_zone(text) {
        let index = interface_index(zone).ok_or_else(|| ParseEndpointError::UnknownZone(zone.to_owned()))?;
        return Ok(SocketAddrV6::new(ip, port, 0, index).into());
    }
    let (host, _) = split_host(text).ok_or(ParseEndpointError::Syntax)?;
    Err(ParseEndpointError::HostName(host.to_owned()))
}

/// Splits `[ip%zone]:port`.
fn split_zone(text: &str) -> Option<(Ipv6Addr, &str, u16)> {
    let (ip, rest) = text.strip_prefix('[')?.split_once('%')?;
    let (zone, port) = rest.rsplit_once("]:")?;
    (!zone.is_empty()).then_some((ip.parse().ok()?, zone, port.parse().ok()?))
}

/// Splits `host:port`; `None` if the host cannot be a name.
fn split_host(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let is_name = !host.is_empty() && !host.contains([':', '[', ']', '%', '/']);
    is_name.then_some((host, port.parse().ok()?))
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
#[non_exhaustive]
pub enum ParseEndpointError {
    /// The text is not an address.
    Syntax,
    /// The text has this host name instead of an IP address. [`Endpoint::resolve`] looks it up.
    HostName(String),
    /// The zone of an IPv6 address is not a network interface of this machine.
    UnknownZone(String),
}

impl fmt::Display for ParseEndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("not an address: write host:port, [v6]:port, udp:host:port or unix:PATH"),
            Self::HostName(host) => write!(
                f,
                "not a literal address: {host:?} is a host name; write an IP address, or look the name up with \
                 Endpoint::resolve"
            ),
            Self::UnknownZone(zone) => {
                write!(f, "not an address of this machine: it has no network interface {zone:?}; see 'ip link'")
            }
        }
    }
}

impl std::error::Error for ParseEndpointError {}

impl FromStr for Endpoint {
    type Err = ParseEndpointError;

    /// Parses a literal address. [`Endpoint::resolve`] resolves host names. The zone of an IPv6
    /// address is a network interface, by its name or its number: `[fe80::1%eth0]:7000`. `Display`
    /// gives the number.
    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        match text.split_once(':') {
            Some(("unix", "")) => Err(ParseEndpointError::Syntax),
            Some(("unix", path)) => Ok(Self::Unix(path.into())),
            _ => {
                let (make, rest) = split_transport(text);
                parse_addr(rest).map(make)
            }
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
            "localhost:",
            "udp:",
            "unix:",
            ":80",
            "http://localhost:80",
            "[::1%]:80",
            "[::1%lo]",
            "[::1%lo:80",
            "::1%lo:80",
            "[127.0.0.1%lo]:80",
            "127.0.0.1%lo:80",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(ParseEndpointError::Syntax), "{text}");
        }
    }

    #[test]
    fn a_host_name_is_named_with_the_function_that_resolves_it() {
        for (text, name) in
            [("localhost:0", "localhost"), ("udp:a.example:53", "a.example"), ("127.0.0.256:1", "127.0.0.256")]
        {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert_eq!(error, ParseEndpointError::HostName(name.to_owned()));
            let text = error.to_string();
            assert!(text.contains("literal address") && text.contains("Endpoint::resolve"), "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_zone_is_read_by_name_and_by_number() {
        let index = interface_index("lo").unwrap();
        for (text, transport, ip) in [
            ("[::1%lo]:7000", "tcp", "::1"),
            ("tcp:[fe80::1%lo]:7000", "tcp", "fe80::1"),
            ("udp:[fe80::1%lo]:7000", "udp", "fe80::1"),
        ] {
            let by_name: Endpoint = text.parse().unwrap();
            assert_eq!(by_name.to_string(), format!("{transport} [{ip}%{index}]:7000"));
            let by_number = text.replace("lo", &index.to_string());
            assert_eq!(by_number.parse::<Endpoint>().unwrap(), by_name, "{by_number}");
            assert_eq!(Endpoint::resolve(text).unwrap(), [by_name]);
        }
        let error = "[fe80::1%no-such-if]:80".parse::<Endpoint>().unwrap_err();
        assert_eq!(error, ParseEndpointError::UnknownZone("no-such-if".to_owned()));
        assert!(error.to_string().contains("no network interface \"no-such-if\""), "{error}");
        let error = Endpoint::resolve("[fe80::1%no-such-if]:80").unwrap_err();
        assert!(error.to_string().contains("no-such-if"), "{error}");
    }

    #[test]
    fn resolve_keeps_the_transport() {
        for (text, transport) in [("localhost:0", "tcp"), ("tcp:localhost:0", "tcp"), ("udp:localhost:0", "udp")] {
            let found = Endpoint::resolve(text).unwrap();
            assert!(!found.is_empty(), "{text}");
            assert_eq!(Endpoint::resolve_within(text, Duration::from_secs(30)).unwrap(), found);
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
