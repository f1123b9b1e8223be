//! One small client, three ways: it sends a text to an echo server that puts the length before each message, and reads the answer.
//! `switchboard serve echo`, then `cargo run --example three_clients`.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use switchboard::{FrameDecoder, Framing, encode};

/// Nobody waits longer, and nobody keeps more, whatever the server says.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let server = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned()).parse()?;
    for (name, answer) in [
        ("blocking", blocking(server, b"hello")?),
        ("polled", polled(server, b"hello")?),
        ("decoded", decoded(server, b"hello")?),
    ] {
        println!("{name}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

// ANCHOR: blocking
/// As in Python: each call waits. `write_all` is `sendall`, and `read_exact` is the loop around `recv` that everybody forgets once.
fn blocking(server: SocketAddr, text: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&u32::try_from(text.len())?.to_be_bytes())?;
    stream.write_all(text)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    if length > MAX_BYTES {
        return Err("the server promises too much".into());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
// ANCHOR_END: blocking

// ANCHOR: polled
/// No call waits but the poll, so it could wait for a thousand sockets. What a call did not do is remembered here.
fn polled(server: SocketAddr, text: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(8));
    let mut stream = mio::net::TcpStream::connect(server)?;
    poll.registry().register(&mut stream, Token(0), Interest::READABLE | Interest::WRITABLE)?;
    let mut unsent = [&u32::try_from(text.len())?.to_be_bytes(), text].concat();
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.checked_duration_since(Instant::now()).ok_or("the server takes too long")?;
        match poll.poll(&mut events, Some(left)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        // Its first event says how connecting went: EINPROGRESS is what `connect` has left to be found out here.
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
        // Until it would block: there is no second event for what was there already.
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Err("the server closed too early".into()),
                Ok(bytes) => received.extend(buffer.iter().take(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            if let Some((length, answer)) = received.split_first_chunk::<4>() {
                let length = usize::try_from(u32::from_be_bytes(*length))?;
                if length > MAX_BYTES {
                    return Err("the server promises too much".into());
                }
                if let Some(answer) = answer.get(..length) {
                    return Ok(answer.to_vec());
                }
            }
        }
    }
}
// ANCHOR_END: polled

// ANCHOR: decoded
/// With Switchboard's framing: reads of any size, and the decoder says when a message is whole. It works as well on a nonblocking socket.
fn decoded(server: SocketAddr, text: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    encode(Framing::U32BE, text, &mut request)?;
    stream.write_all(&request)?;
    let (mut decoder, mut buffer) = (FrameDecoder::new(Framing::U32BE, MAX_BYTES), [0; 4096]);
    loop {
        let bytes = stream.read(&mut buffer)?;
        let mut input = buffer.get(..bytes).filter(|input| !input.is_empty()).ok_or("the server closed too early")?;
        if let Some(answer) = decoder.decode(&mut input)? {
            return Ok(answer.to_vec());
        }
    }
}
// ANCHOR_END: decoded
