//! A text client over UDP: one datagram, its reply or a timeout, the next datagram.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use std::vec;

use switchboard::TextEncoding;
use switchboard::client::{TextSocket, TextSocketError};

use super::reply::{DecodedText, TextReply};
use super::stream_text_client::deadline;
use crate::cli::commands::call::server_address::ServerAddress;
use crate::cli::error::CliError;

/// Late datagrams discarded before a request. More are left, so that a flood cannot stop the
/// client.
const MAX_LATE_DATAGRAMS: usize = 1024;

/// The shortest time from one request to the next. `serve` answers 1,000 datagrams of one source in
/// a second (`--answers-per-second`), and a pipe may have more lines than that.
const REQUEST_INTERVAL: Duration = Duration::from_millis(1);

/// A UDP socket connected to one server; it receives from no other address.
pub(in crate::cli::commands::call) struct DatagramTextClient {
    server: ServerAddress,
    socket: TextSocket,
    timeout: Duration,
    /// Returns true for (sent, received) if the received bytes may be the reply.
    may_be_reply: fn(&[u8], &[u8]) -> bool,
    /// Addresses to try if this one refuses. Empty after the first reply.
    other_addresses: vec::IntoIter<SocketAddr>,
    /// The earliest time of the next request.
    next_request: Instant,
}

impl DatagramTextClient {
    pub(super) fn open(
        server: ServerAddress,
        encoding: TextEncoding,
        timeout: Duration,
        may_be_reply: fn(&[u8], &[u8]) -> bool,
    ) -> Result<Self, CliError> {
        let mut other_addresses = server.socket_addrs().collect::<Vec<_>>().into_iter();
        let first = other_addresses.next().unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let socket = connect_socket(first, encoding).map_err(|error| request_error(&server, &error))?;
        Ok(Self { server, socket, timeout, may_be_reply, other_addresses, next_request: Instant::now() })
    }

    pub(super) fn server(&self) -> &ServerAddress {
        &self.server
    }

    /// Sends `text` and waits for the reply.
    pub(super) fn request(&mut self, text: &str) -> Result<TextReply, CliError> {
        std::thread::sleep(self.next_request.saturating_duration_since(Instant::now()));
        self.next_request = Instant::now() + REQUEST_INTERVAL;
        self.discard_late_replies();
        loop {
            match self.try_request(text, deadline(self.timeout)) {
                Ok(reply) => {
                    if matches!(reply, TextReply::Text(_)) {
                        self.other_addresses = Vec::new().into_iter();
                    }
                    return Ok(reply);
                }
                Err(TextSocketError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    let Some(next) = self.other_addresses.next() else {
                        return Err(self.server.unreachable(&error));
                    };
                    self.socket = connect_socket(next, self.socket.encoding())
                        .map_err(|error| request_error(&self.server, &error))?;
                }
                Err(error) => return Err(request_error(&self.server, &error)),
            }
        }
    }

    /// Sends `text` without waiting for a reply.
    pub(super) fn send(&self, text: &str) -> Result<(), CliError> {
        self.socket.send(text).map_err(|error| request_error(&self.server, &error))
    }

    /// Waits until `until`. Discards datagrams that arrive meanwhile: they are late replies.
    pub(super) fn wait(&self, until: Instant) -> Result<(), CliError> {
        loop {
            match receive_datagram(&self.socket, until) {
                Ok(None) => return Ok(()),
                Err(TextSocketError::Io(error)) => return Err(self.server.unreachable(&error)),
                received => log::debug!("late datagram discarded: {received:?}"),
            }
        }
    }

    fn try_request(&self, text: &str, until: Instant) -> Result<TextReply, TextSocketError> {
        match self.socket.send(text) {
            Err(error @ (TextSocketError::Unencodable(_) | TextSocketError::TooLarge { .. })) => {
                return Ok(TextReply::Missing(format!("not sent: {error}")));
            }
            sent => sent?,
        }
        let (encoding, mut mismatches) = (self.socket.encoding(), 0);
        loop {
            match receive_datagram(&self.socket, until) {
                Ok(None) => return Ok(TextReply::Missing(self.timeout_text(mismatches))),
                Ok(Some(datagram)) if (self.may_be_reply)(&encoding.encode_lossy(text), &datagram.bytes) => {
                    return Ok(TextReply::Text(datagram.text));
                }
                Ok(Some(_)) => mismatches += 1,
                Err(error @ TextSocketError::Truncated { .. }) => return Ok(TextReply::Missing(error.to_string())),
                Err(error) => return Err(error),
            }
        }
    }

    fn timeout_text(&self, mismatches: u32) -> String {
        let cause = match mismatches {
            0 => "UDP may have lost the request or the reply".to_owned(),
            _ => format!("received {mismatches} datagrams that cannot be the reply"),
        };
        format!("no reply within {:?}: {cause}", self.timeout)
    }

    /// Discards datagrams that arrived since the last reply: they belong to earlier requests.
    fn discard_late_replies(&self) {
        let socket = self.socket.socket();
        if socket.set_nonblocking(true).is_err() {
            return;
        }
        // An error other than WouldBlock is an earlier request's, such as a refused port; discard
        // it too.
        let is_pending =
            |received: io::Result<usize>| !matches!(received, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        let late = (0..MAX_LATE_DATAGRAMS).take_while(|_| is_pending(socket.recv(&mut [0]))).count();
        if late > 0 {
            log::debug!("late datagrams discarded: {late}");
        }
        // If this fails, the next receive call returns WouldBlock and the request times out.
        let _ = socket.set_nonblocking(false);
    }
}

/// A datagram, as text and as received.
#[derive(Debug)]
pub(in crate::cli::commands::call) struct ReceivedDatagram {
    pub(in crate::cli::commands::call) text: DecodedText,
    bytes: Vec<u8>,
    pub(in crate::cli::commands::call) from: SocketAddr,
}

/// Receives the next datagram, whatever its text; `None` after `until`.
pub(in crate::cli::commands::call) fn receive_datagram(
    socket: &TextSocket,
    until: Instant,
) -> Result<Option<ReceivedDatagram>, TextSocketError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(None);
    }
    socket.set_read_timeout(Some(left))?;
    match socket.recv_from() {
        Ok((text, from)) => {
            let bytes = socket.encoding().encode_lossy(&text).into_owned();
            Ok(Some(ReceivedDatagram { text: DecodedText { text, is_valid: true }, bytes, from }))
        }
        Err(TextSocketError::InvalidText { bytes, from, encoding }) => {
            Ok(Some(ReceivedDatagram { text: DecodedText::decode(&bytes, encoding), bytes, from }))
        }
        Err(TextSocketError::Timeout) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a socket that is connected to `addr`; the system chooses the local address.
pub(in crate::cli::commands::call) fn connect_socket(
    addr: SocketAddr,
    encoding: TextEncoding,
) -> Result<TextSocket, TextSocketError> {
    let socket = TextSocket::bind_for(addr, encoding)?;
    socket.connect(addr)?;
    Ok(socket)
}

/// Builds the error for a request that could not be sent or received.
pub(in crate::cli::commands::call) fn request_error(server: &ServerAddress, error: &TextSocketError) -> CliError {
    match error {
        TextSocketError::Io(error) => server.unreachable(error),
        other => server.error(&format!("request failed: {other}")),
    }
}
