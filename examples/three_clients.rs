//! One small client, written three times: it sends a text to an echo server whose messages have a
//! length prefix, and reads the reply. Run `switchboard serve echo`, then
//! `cargo run --example three_clients`.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use switchboard::{FrameDecoder, Framing, encode};

/// The longest wait for the server.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest reply that a client stores, whatever length the server declares.
const MAX_BYTES: usize = 1 << 20;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("three_clients: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let server =
        address.parse().map_err(|_| format!("{address} is not an address: write one such as 127.0.0.1:7000"))?;
    for (name, reply) in [
        ("blocking", blocking(server, b"hello").map_err(|error| with_advice(server, error))?),
        ("polled", polled(server, b"hello")?),
        ("decoded", decoded(server, b"hello")?),
    ] {
        println!("{name}: {}", String::from_utf8_lossy(&reply));
    }
    Ok(())
}

/// Adds what to do if no server listens.
fn with_advice(server: SocketAddr, error: Box<dyn Error>) -> Box<dyn Error> {
    match error.downcast_ref::<io::Error>() {
        Some(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => format!(
            "no server listens on {server}: start one with 'switchboard serve echo' or 'cargo run -- serve echo'"
        )
        .into(),
        _ => error,
    }
}

// ANCHOR: blocking
/// Blocking calls, as in Python. `write_all` is `sendall`; `read_exact` is the loop around `recv`
/// that beginners often forget.
fn blocking(server: SocketAddr, text: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&u32::try_from(text.len())?.to_be_bytes())?;
    stream.write_all(text)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    if length > MAX_BYTES {
        return Err("the server declares a reply that is too long".into());
    }
    let mut reply = vec![0; length];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}
// ANCHOR_END: blocking

// ANCHOR: polled
/// Nonblocking calls. Only `poll` waits, and it could wait for a thousand sockets. The client
/// stores the bytes that a call did not send or that are not a complete message.
fn polled(server: SocketAddr, text: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(8));
    let mut stream = mio::net::TcpStream::connect(server)?;
    poll.registry().register(&mut stream, Token(0), Interest::READABLE | Interest::WRITABLE)?;
    let mut unsent = [&u32::try_from(text.len())?.to_be_bytes(), text].concat();
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    let end = Instant::now() + TIMEOUT;
    loop {
        let left = end.checked_duration_since(Instant::now()).ok_or("timeout: the server did not reply")?;
        match poll.poll(&mut events, Some(left)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        // `connect` returned while connecting was in progress (EINPROGRESS); the first event
        // reports the result.
        if let Some(error) = stream.take_error()? {
            return Err(error.into());
        }
        if stream.peer_addr().is_err() {
            continue;
        }
        while !unsent.is_empty() {
            match stream.write(&unsent) {
                Ok(bytes) => drop(unsent.drain(..bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        // Read until `WouldBlock`: bytes that are here already cause no second event.
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Err("the server closed before its reply was complete".into()),
                Ok(bytes) => received.extend(buffer.iter().take(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            if let Some((length, reply)) = received.split_first_chunk::<4>() {
                let length = usize::try_from(u32::from_be_bytes(*length))?;
                if length > MAX_BYTES {
                    return Err("the server declares a reply that is too long".into());
                }
                if let Some(reply) = reply.get(..length) {
                    return Ok(reply.to_vec());
                }
            }
        }
    }
}
// ANCHOR_END: polled

// ANCHOR: decoded
/// With Switchboard's decoder: reads of any size, and the decoder returns each complete message.
/// The same code works on a nonblocking socket.
fn decoded(server: SocketAddr, text: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut request = Vec::new();
    encode(Framing::U32BE, text, &mut request)?;
    stream.write_all(&request)?;
    let (mut decoder, mut buffer) = (FrameDecoder::new(Framing::U32BE, MAX_BYTES), [0; 4096]);
    loop {
        let bytes = stream.read(&mut buffer)?;
        let mut input = buffer
            .get(..bytes)
            .filter(|input| !input.is_empty())
            .ok_or("the server closed before its reply was complete")?;
        if let Some(reply) = decoder.decode(&mut input)? {
            return Ok(reply.to_vec());
        }
    }
}
// ANCHOR_END: decoded
