//! `call clock --broadcast`: one datagram to all clocks on the network, and their replies.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use switchboard::TextEncoding;
use switchboard::client::{TextSocket, TextSocketError};
use switchboard::escape;

use super::client::ERROR_PREFIX;
use crate::cli::commands::call::server_address::ServerAddress;
use crate::cli::commands::call::text::{DecodedText, ReplyPrinter, deadline, receive_datagram, request_error};
use crate::cli::error::CliError;
use crate::cli::terminal::stderr::print_notice;

/// Sends the format to a broadcast address, and prints each reply within `timeout` with its sender.
pub(super) fn run(
    server: &ServerAddress,
    format: &str,
    encoding: TextEncoding,
    timeout: Duration,
    mut printer: ReplyPrinter,
) -> Result<ExitCode, CliError> {
    let addrs: Vec<SocketAddr> = server.socket_addrs().collect();
    // IPv6 has no broadcast (RFC 4291, section 2).
    let Some(to) = addrs.iter().find(|addr| addr.is_ipv4()) else {
        return Err(CliError::Usage(
            "--broadcast needs an IPv4 address: use 255.255.255.255:PORT, or a subnet's".to_owned(),
        ));
    };
    let failed = |error: TextSocketError| request_error(server, &error);
    let socket = TextSocket::bind_for(*to, encoding).map_err(failed)?;
    socket.set_broadcast(true).map_err(failed)?;
    socket.send_to(format, *to).map_err(failed)?;
    let until = deadline(timeout);
    let mut has_reply = false;
    loop {
        let datagram = match receive_datagram(&socket, until) {
            Ok(Some(datagram)) => datagram,
            Ok(None) => break,
            Err(TextSocketError::Truncated { .. }) => continue,
            // One machine without a clock rejected the datagram (ICMP); others may reply.
            Err(TextSocketError::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(failed(error)),
        };
        let (received, from) = (datagram.text, datagram.from);
        if received.text.starts_with(ERROR_PREFIX) {
            print_notice(&format!("{from}: {}", escape::line(&received.text)));
        } else {
            has_reply = true;
            let text = format!("{from}\t{}", received.text);
            printer.print_reply(None, &DecodedText { text, ..received })?;
        }
        if printer.is_closed() {
            break;
        }
    }
    if has_reply { Ok(ExitCode::SUCCESS) } else { Err(no_reply_error(server, *to, timeout)) }
}

fn no_reply_error(server: &ServerAddress, to: SocketAddr, timeout: Duration) -> CliError {
    let advice = if to.ip() == Ipv4Addr::BROADCAST {
        "clocks reply only if they listen on 0.0.0.0, in this network"
    } else {
        "check the address, or allow more with --timeout"
    };
    server.error(&format!("no reply within {timeout:?}; {advice}"))
}
