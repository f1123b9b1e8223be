//! Correct and faulty servers for the load. Each connection has a thread.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A server at a free port. It runs until the test process exits.
pub(super) struct Server {
    pub(super) address: String,
}

impl Server {
    /// Starts a server that calls `serve` for each connection.
    pub(super) fn start(serve: impl Fn(TcpStream) -> std::io::Result<()> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serve = serve.clone();
                thread::spawn(move || serve(stream));
            }
        });
        Self { address }
    }

    /// Starts a server that sends for each frame (`u32be`) the frames that `change` returns.
    /// `change` receives the index of the frame in its connection.
    pub(super) fn of_frames(change: impl Fn(usize, Vec<u8>) -> Vec<Vec<u8>> + Clone + Send + 'static) -> Self {
        Self::start(move |stream| answer(stream, &change))
    }

    /// Starts an echo server that closes the first connection after its first frame.
    pub(super) fn breaking_off_once() -> Self {
        let is_first = Arc::new(AtomicBool::new(true));
        Self::start(move |mut stream| {
            if is_first.swap(false, Ordering::Relaxed) {
                receive(&mut stream).map(drop)
            } else {
                answer(stream, &|_, payload| vec![payload])
            }
        })
    }

    /// Starts a server that accepts one connection, and closes it and the listener after the first
    /// frame.
    pub(super) fn leaving() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            drop(listener);
            receive(&mut stream).map(drop)
        });
        Self { address }
    }
}

fn answer(mut stream: TcpStream, change: &impl Fn(usize, Vec<u8>) -> Vec<Vec<u8>>) -> std::io::Result<()> {
    for number in 0.. {
        let Some(payload) = receive(&mut stream)? else { break };
        for payload in change(number, payload) {
            let len = u32::try_from(payload.len()).unwrap();
            stream.write_all(&[&len.to_be_bytes(), &payload[..]].concat())?;
        }
    }
    Ok(())
}

/// Starts a correct echo server.
pub(super) fn echo() -> Server {
    Server::of_frames(|_, payload| vec![payload])
}

/// Returns the next payload, or `None` at the end of the stream.
fn receive(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    match stream.read_exact(&mut len) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut payload = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut payload)?;
    Ok(Some(payload))
}
