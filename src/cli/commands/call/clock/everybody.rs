//! `call clock --broadcast`: one datagram to everybody, and whatever comes back in time.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use switchboard::TextEncoding;
use switchboard::client::{TextSocket, TextSocketError};
use switchboard::escape;

use super::ERROR;
use crate::cli::commands::call::server::Server;
use crate::cli::commands::call::text::{Screen, Text, any_address, cannot_ask, deadline, tell};
use crate::cli::error::CliError;

/// Asks everybody at the server's address, and prints who answers within `limit` and what.
pub(super) fn ask(server: &Server, format: &str, limit: Duration, mut screen: Screen) -> Result<ExitCode, CliError> {
    let addrs: Vec<SocketAddr> = server.socket_addrs().collect();
    // IPv6 has no broadcasts.
    let Some(to) = addrs.iter().find(|addr| addr.is_ipv4()) else {
        return Err(CliError::Usage(
            "--broadcast is for IPv4 alone: write 255.255.255.255:PORT, or a subnet's".to_owned(),
        ));
    };
    let failed = |error: TextSocketError| cannot_ask(server, &error);
    let socket = TextSocket::bind(any_address(*to), TextEncoding::UTF_8).map_err(failed)?;
    socket.set_broadcast(true).map_err(failed)?;
    socket.send_to(format, *to).map_err(failed)?;
    let until = deadline(limit);
    let mut answered = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left)).map_err(failed)?;
        let (text, from) = match socket.recv_from() {
            Ok((text, from)) => (Text { text, is_readable: true }, from),
            Err(TextSocketError::InvalidText { bytes, from, encoding }) => (Text::decode(&bytes, encoding), from),
            Err(TextSocketError::Timeout) => break,
            Err(TextSocketError::Truncated { .. }) => continue,
            // Somebody's refusal of an unconnected socket's datagram is not everybody's.
            Err(TextSocketError::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(failed(error)),
        };
        if text.text.starts_with(ERROR) {
            tell(&format!("{from}: {}", escape::line(&text.text)));
        } else {
            answered = true;
            screen.answer(None, &Text { text: format!("{from}\t{}", text.text), ..text })?;
        }
        if screen.nobody_reads() {
            break;
        }
    }
    if answered { Ok(ExitCode::SUCCESS) } else { Err(nobody(server, *to, limit)) }
}

fn nobody(server: &Server, to: SocketAddr, limit: Duration) -> CliError {
    let advice = if to.ip() == Ipv4Addr::BROADCAST {
        "clocks answer where they listen on 0.0.0.0, and on this network alone"
    } else {
        "check the address, or allow more with --timeout"
    };
    server.failed(&format!("gave no time within {limit:?}; {advice}"))
}
