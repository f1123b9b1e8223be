//! A connection to a chat server without JSON: a stream, or a UDP socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::{io, vec};

use switchboard::client::{Conversation, TextSocket, TextSocketError};
use switchboard::services::chat::requested_proof;
use switchboard::{Framing, SocketStream, TextEncoding};

use super::connection::ChatConnection;
use super::event::ClientEvent;
use super::session_io::{spawn, thread_error};
use super::text_reader;
use crate::cli::commands::call::server_address::ServerAddress;
use crate::cli::commands::call::text::{connect_socket, request_error};
use crate::cli::error::CliError;

/// The write side of a connection; a thread reads.
pub(super) enum TextConnection {
    Stream { connection: ChatConnection, encoding: TextEncoding },
    Datagrams(DatagramConnection),
}

/// A UDP socket connected to one address of a server.
pub(super) struct DatagramConnection {
    server: ServerAddress,
    socket: Arc<TextSocket>,
    name: String,
    /// Addresses to try if no server listens at this one.
    other_addresses: vec::IntoIter<SocketAddr>,
    /// The number of this connection. Events of earlier ones are ignored.
    number: u64,
    /// The last line, until it was sent once more with a proof of the own address.
    unproved_line: Option<String>,
    events: SyncSender<ClientEvent>,
}

impl TextConnection {
    /// Starts the threads of a stream.
    pub(super) fn stream(
        stream: SocketStream,
        framing: Framing,
        encoding: TextEncoding,
        events: SyncSender<ClientEvent>,
    ) -> Result<Self, CliError> {
        let stream = Arc::new(stream);
        // The text that comes need not end with a line feed, whatever the framing of the lines
        // sent.
        let conversation = Conversation::new(Arc::clone(&stream), Framing::Raw, 0);
        spawn("read", move || text_reader::read_stream(conversation, encoding, &events))?;
        let connection = ChatConnection::new(stream, framing).map_err(|error| thread_error(&error))?;
        Ok(Self::Stream { connection, encoding })
    }

    /// Opens a UDP socket and starts the thread that reads it.
    pub(super) fn datagrams(
        server: ServerAddress,
        name: String,
        encoding: TextEncoding,
        events: SyncSender<ClientEvent>,
    ) -> Result<Self, CliError> {
        let mut other_addresses = server.socket_addrs().collect::<Vec<_>>().into_iter();
        let first = other_addresses.next().unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let socket = Arc::new(connect_socket(first, encoding).map_err(|error| request_error(&server, &error))?);
        let (number, unproved_line) = (0, None);
        let connection = DatagramConnection { server, socket, name, other_addresses, number, unproved_line, events };
        connection.start_reader()?;
        Ok(Self::Datagrams(connection))
    }

    /// Sends a line.
    ///
    /// # Errors
    /// The reason why the line was not sent.
    pub(super) fn send(&mut self, line: &str) -> Result<(), String> {
        match self {
            Self::Stream { connection, encoding } => {
                connection.send(&encoding.encode(line).map_err(|error| error.to_string())?);
                Ok(())
            }
            Self::Datagrams(connection) => connection.send(line).map_err(|error| error.to_string()),
        }
    }

    /// Sends the last line once more with a proof of the own address, if `answer` asks for it.
    /// Returns true if it does.
    pub(super) fn prove_address(&mut self, answer: &str) -> bool {
        match self {
            Self::Stream { .. } => false,
            Self::Datagrams(connection) => connection.prove_address(answer),
        }
    }

    /// Shuts down the write side of a stream after its last line. Returns false over UDP, where a
    /// server does not notice the end.
    pub(super) fn finish(&mut self) -> bool {
        match self {
            Self::Stream { connection, .. } => connection.finish(),
            Self::Datagrams(_) => return false,
        }
        true
    }

    /// Returns the number of the connection whose events count.
    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Stream { .. } => 0,
            Self::Datagrams(connection) => connection.number,
        }
    }

    /// Changes to the server's next address, if it has one. Returns false otherwise.
    pub(super) fn try_next_address(&mut self) -> Result<bool, CliError> {
        match self {
            Self::Stream { .. } => Ok(false),
            Self::Datagrams(connection) => connection.try_next_address(),
        }
    }
}

impl DatagramConnection {
    fn send(&mut self, line: &str) -> Result<(), TextSocketError> {
        self.unproved_line = Some(line.to_owned());
        self.send_text(line)
    }

    fn prove_address(&mut self, answer: &str) -> bool {
        let Some(command) = requested_proof(answer) else { return false };
        let Some(line) = self.unproved_line.take() else { return false };
        // A datagram that is not sent is one that is lost: the line has no answer.
        let _ = self.send_text(&format!("{command} {line}"));
        true
    }

    fn send_text(&self, line: &str) -> Result<(), TextSocketError> {
        let text = format!("{} : {line}", self.name);
        match self.socket.send(&text) {
            // The system reports the fate of an earlier datagram, and has not sent this one.
            Err(TextSocketError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.socket.send(&text)
            }
            sent => sent,
        }
    }

    fn try_next_address(&mut self) -> Result<bool, CliError> {
        let Some(next) = self.other_addresses.next() else { return Ok(false) };
        let socket = connect_socket(next, self.socket.encoding());
        self.socket = Arc::new(socket.map_err(|error| request_error(&self.server, &error))?);
        self.number += 1;
        self.start_reader()?;
        Ok(true)
    }

    fn start_reader(&self) -> Result<(), CliError> {
        let (socket, number, events) = (Arc::clone(&self.socket), self.number, self.events.clone());
        spawn("read", move || text_reader::read_datagrams(&socket, number, &events))
    }
}
