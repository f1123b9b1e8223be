//! One conversation over UDP: a datagram, its answer or none, the next datagram.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use std::vec;

use switchboard::TextEncoding;
use switchboard::client::{TextSocket, TextSocketError};

use super::stream::deadline;
use super::talk::{Reply, Text};
use crate::cli::commands::call::server::Server;
use crate::cli::error::CliError;

/// Datagrams of earlier requests that are thrown away before the next request is sent all the same.
const MAX_LATE: usize = 1024;

/// A UDP socket that hears one server and nobody else.
pub(in crate::cli::commands::call) struct Datagrams {
    server: Server,
    socket: TextSocket,
    limit: Duration,
    /// Whether a text (the second) may be the answer to another (the first).
    may_answer: fn(&[u8], &[u8]) -> bool,
    /// Addresses to go on with where nobody listens at this one. Once somebody has answered there are none.
    others: vec::IntoIter<SocketAddr>,
}

impl Datagrams {
    pub(in crate::cli::commands::call) fn open(
        server: Server,
        encoding: TextEncoding,
        limit: Duration,
        may_answer: fn(&[u8], &[u8]) -> bool,
    ) -> Result<Self, CliError> {
        let mut others = server.socket_addrs().collect::<Vec<_>>().into_iter();
        let first = others.next().unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let socket = connected(first, encoding).map_err(|error| cannot_ask(&server, &error))?;
        Ok(Self { server, socket, limit, may_answer, others })
    }

    /// Sends `text` and waits for its answer.
    pub(in crate::cli::commands::call) fn ask(&mut self, text: &str) -> Result<Reply, CliError> {
        self.forget_late_answers();
        loop {
            match self.exchange(text, deadline(self.limit)) {
                Ok(reply) => {
                    if matches!(reply, Reply::Text(_)) {
                        self.others = Vec::new().into_iter();
                    }
                    return Ok(reply);
                }
                Err(TextSocketError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    let Some(next) = self.others.next() else { return Err(self.server.cannot_reach(&error)) };
                    self.socket =
                        connected(next, self.socket.encoding()).map_err(|error| cannot_ask(&self.server, &error))?;
                }
                Err(error) => return Err(cannot_ask(&self.server, &error)),
            }
        }
    }

    /// Sends `text`, to which no answer is expected.
    pub(in crate::cli::commands::call) fn tell(&self, text: &str) -> Result<(), CliError> {
        self.socket.send(text).map_err(|error| cannot_ask(&self.server, &error))
    }

    /// Waits until `until`. What comes meanwhile is late, and thrown away.
    pub(in crate::cli::commands::call) fn wait(&self, until: Instant) -> Result<(), CliError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.socket.set_read_timeout(Some(left)).map_err(|error| cannot_ask(&self.server, &error))?;
            match self.socket.recv() {
                Err(TextSocketError::Io(error)) => return Err(self.server.cannot_reach(&error)),
                came => log::debug!("late: {came:?}"),
            }
        }
    }

    fn exchange(&self, text: &str, until: Instant) -> Result<Reply, TextSocketError> {
        match self.socket.send(text) {
            Err(error @ (TextSocketError::Unencodable(_) | TextSocketError::TooLarge { .. })) => {
                return Ok(Reply::Nothing(format!("not sent: {error}")));
            }
            sent => sent?,
        }
        let mut strays = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Reply::Nothing(self.nothing_came(strays)));
            }
            self.socket.set_read_timeout(Some(left))?;
            let encoding = self.socket.encoding();
            let (came, bytes) = match self.socket.recv() {
                Ok(text) => {
                    let bytes = encoding.encode_lossy(&text).into_owned();
                    (Text { text, is_readable: true }, bytes)
                }
                Err(TextSocketError::InvalidText { bytes, .. }) => (Text::decode(&bytes, encoding), bytes),
                Err(TextSocketError::Timeout) => continue,
                Err(error @ TextSocketError::Truncated { .. }) => return Ok(Reply::Nothing(error.to_string())),
                Err(error) => return Err(error),
            };
            if (self.may_answer)(&encoding.encode_lossy(text), &bytes) {
                return Ok(Reply::Text(came));
            }
            strays += 1;
        }
    }

    fn nothing_came(&self, strays: u32) -> String {
        let why = match strays {
            0 => "it, or the answer, may be lost: UDP promises nothing".to_owned(),
            _ => format!("{strays} came that cannot be the answer"),
        };
        format!("no answer within {:?}; {why}", self.limit)
    }

    /// What came since the last answer is an answer to something earlier.
    fn forget_late_answers(&self) {
        let socket = self.socket.socket();
        if socket.set_nonblocking(true).is_err() {
            return;
        }
        // That nobody listened then is no longer of interest either: it is asked again.
        let is_there =
            |received: io::Result<usize>| !matches!(received, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        let late = (0..MAX_LATE).take_while(|_| is_there(socket.recv(&mut [0]))).count();
        if late > 0 {
            log::debug!("{late} late datagrams thrown away");
        }
        // If it cannot be undone, the next receiving call says that nothing came.
        let _ = socket.set_nonblocking(false);
    }
}

/// A socket that sends to `addr` from whatever address of this machine the system chooses.
fn connected(addr: SocketAddr, encoding: TextEncoding) -> Result<TextSocket, TextSocketError> {
    let socket = TextSocket::bind(any_address(addr), encoding)?;
    socket.connect(addr)?;
    Ok(socket)
}

/// Any port of this machine, in the family of `addr`.
pub(in crate::cli::commands::call) fn any_address(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

pub(in crate::cli::commands::call) fn cannot_ask(server: &Server, error: &TextSocketError) -> CliError {
    match error {
        TextSocketError::Io(error) => server.cannot_reach(error),
        other => server.failed(&format!("cannot be asked: {other}")),
    }
}
