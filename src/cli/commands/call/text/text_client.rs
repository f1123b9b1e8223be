//! A client of a text service, over either transport.

use std::time::{Duration, Instant};

use switchboard::TextEncoding;

use super::datagram_text_client::DatagramTextClient;
use super::reply::{DecodedText, TextReply};
use super::reply_rules::ReplyRules;
use super::stream_text_client::{StreamTextClient, UnsolicitedRead};
use crate::cli::commands::call::server_address::ServerAddress;
use crate::cli::error::CliError;

/// The client of the server's transport.
pub(in crate::cli::commands::call) enum TextClient {
    Stream(StreamTextClient),
    Datagrams(DatagramTextClient),
}

impl TextClient {
    /// Creates the client for the transport of `server`. Over UDP, `may_be_reply` returns true for
    /// (sent, received) if the received bytes may be the reply.
    pub(in crate::cli::commands::call) fn open(
        server: ServerAddress,
        rules: ReplyRules,
        may_be_reply: fn(&[u8], &[u8]) -> bool,
        encoding: TextEncoding,
        timeout: Duration,
    ) -> Result<Self, CliError> {
        if server.is_udp() {
            return DatagramTextClient::open(server, encoding, timeout, may_be_reply).map(Self::Datagrams);
        }
        Ok(Self::Stream(StreamTextClient::new(server, rules, encoding, timeout)))
    }

    pub(in crate::cli::commands::call) fn server(&self) -> &ServerAddress {
        match self {
            Self::Stream(client) => client.server(),
            Self::Datagrams(client) => client.server(),
        }
    }

    /// Sends `text` and waits for the reply.
    pub(in crate::cli::commands::call) fn request(&mut self, text: &str) -> Result<TextReply, CliError> {
        match self {
            Self::Stream(client) => client.request(text),
            Self::Datagrams(client) => client.request(text),
        }
    }

    /// Takes the texts received since the last reply, without waiting. Over UDP, such texts are
    /// late replies, and are discarded.
    pub(in crate::cli::commands::call) fn take_unsolicited(&mut self) -> Result<Vec<DecodedText>, CliError> {
        match self {
            Self::Stream(client) => client.take_unsolicited(),
            Self::Datagrams(_) => Ok(Vec::new()),
        }
    }

    /// Waits until `until`. On a stream, the server's close and unsolicited text end the wait.
    pub(in crate::cli::commands::call) fn wait_unsolicited(
        &mut self,
        until: Instant,
    ) -> Result<UnsolicitedRead, CliError> {
        match self {
            Self::Stream(client) => client.wait_unsolicited(until),
            Self::Datagrams(client) => client.wait(until).map(|()| UnsolicitedRead::TimedOut),
        }
    }
}
