//! The threads that read the text of a server without JSON.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use switchboard::TextEncoding;
use switchboard::client::{Conversation, ConversationError, TextSocket, TextSocketError, WaitLimits};

use super::event::{ClientEvent, ConnectionEvent};
use crate::cli::commands::call::server_address::cause;
use crate::cli::commands::call::text::{DecodedText, receive_datagram};

/// Reads a stream to its end. A character that two reads share is one character.
pub(super) fn read_stream(mut conversation: Conversation, encoding: TextEncoding, events: &SyncSender<ClientEvent>) {
    let mut decoder = encoding.encoding().new_decoder_without_bom_handling();
    let mut decode = |bytes: &[u8], is_end| {
        let mut text = String::with_capacity(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(0));
        let (_, _, has_errors) = decoder.decode_to_string(bytes, &mut text, is_end);
        (!text.is_empty()).then_some(ConnectionEvent::Text(DecodedText { text, is_valid: !has_errors }))
    };
    // If the receiver is gone, the program is about to end.
    let send = |event| events.send(ClientEvent::Connection(0, event)).is_ok();
    let end = loop {
        match conversation.receive_bytes(WaitLimits::default()) {
            Ok([]) => break ConnectionEvent::Closed,
            Ok(bytes) => {
                if !decode(bytes, false).is_none_or(&send) {
                    return;
                }
            }
            Err(ConversationError::Io(error)) => {
                break ConnectionEvent::Lost(format!("connection lost: {}", cause(&error)));
            }
            Err(error) => break ConnectionEvent::Lost(error.to_string()),
        }
    };
    if decode(&[], true).is_none_or(&send) {
        send(end);
    }
}

/// Reads datagrams until the program ends.
pub(super) fn read_datagrams(socket: &TextSocket, number: u64, events: &SyncSender<ClientEvent>) {
    // A longer wait than any session needs; `receive_datagram` is called again after it.
    const WAIT: Duration = Duration::from_hours(1);
    loop {
        let event = match receive_datagram(socket, Instant::now() + WAIT) {
            Ok(None) => continue,
            Ok(Some(datagram)) => ConnectionEvent::Text(datagram.text),
            Err(TextSocketError::Io(error)) => ConnectionEvent::Unreachable(error),
            Err(error) => ConnectionEvent::Lost(error.to_string()),
        };
        // If the receiver is gone, the program is about to end.
        if events.send(ClientEvent::Connection(number, event)).is_err() {
            return;
        }
    }
}
