//! A blocking client for u32be listeners, and clients that misbehave on purpose.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::{encode_frame, guard, scaled};

/// A client that sends and receives u32be frames over TCP.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::new(stream)
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(guard())).unwrap();
        stream.set_write_timeout(Some(guard())).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    pub(crate) fn send(&self, payload: &[u8]) {
        self.send_bytes(&encode_frame("u32be", payload));
    }

    /// Sends raw bytes, which may be part of a frame or several frames.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.socket().write_all(bytes).unwrap();
    }

    /// Returns the next payload. Panics at the end of the stream.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.receive_or_end().expect("the stream ended before the expected frame")
    }

    /// Returns the next payload, or `None` at the end of the stream. Panics if the stream ends
    /// inside a frame or is reset.
    pub(crate) fn receive_or_end(&mut self) -> Option<Vec<u8>> {
        let mut header = [0; 4];
        if self.stream.read(&mut header[..1]).expect("read of the next frame failed") == 0 {
            return None;
        }
        self.stream.read_exact(&mut header[1..]).expect("the stream ended inside a header");
        let mut payload = vec![0; u32::from_be_bytes(header) as usize];
        self.stream.read_exact(&mut payload).expect("the stream ended inside a payload");
        Some(payload)
    }

    /// Sends one request and returns the next payload.
    pub(crate) fn ask(&mut self, payload: &[u8]) -> Vec<u8> {
        self.send(payload);
        self.receive()
    }

    /// Sends a payload to an echo service. Panics if the reply differs.
    pub(crate) fn echo(&mut self, payload: &[u8]) {
        assert_eq!(self.ask(payload), payload);
    }

    /// Shuts down the write side. The client can still receive replies.
    pub(crate) fn finish(&self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Panics unless the next event is the end of the stream. A reset also panics.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.receive_or_end(), None, "expected the end of the stream");
    }

    /// Returns true if no byte arrives and the stream stays open for `window`.
    pub(crate) fn receives_nothing_for(&mut self, window: Duration) -> bool {
        self.socket().set_read_timeout(Some(window)).unwrap();
        let result = self.stream.read(&mut [0]);
        self.socket().set_read_timeout(Some(guard())).unwrap();
        matches!(result, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Resets the connection: with `SO_LINGER` of zero, close(2) sends RST instead of FIN
    /// (socket(7)).
    pub(crate) fn reset(self) {
        SockRef::from(self.socket()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Result of sending without reading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SendOutcome {
    /// The server stopped reading after this number of bytes.
    Blocked(usize),
    /// The write failed: the server closed or reset the connection.
    Disconnected,
}

/// Sends `bytes` repeatedly and reads nothing, until the socket is blocked: for 100 ms (on an idle
/// machine) and for 20 consecutive calls of `meanwhile` it accepts no byte. In that time a server
/// that reads would have read.
pub(crate) fn write_until_blocked(mut socket: &TcpStream, bytes: &[u8], mut meanwhile: impl FnMut()) -> SendOutcome {
    socket.set_nonblocking(true).unwrap();
    let mut blocked_writes = 0;
    let mut sent = 0;
    let mut last_write = Instant::now();
    while blocked_writes < 20 || last_write.elapsed() < scaled(Duration::from_millis(100)) {
        match socket.write(&bytes[sent % bytes.len()..]) {
            Ok(written) => {
                sent += written;
                blocked_writes = 0;
                last_write = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                blocked_writes += 1;
                meanwhile();
            }
            Err(_) => return SendOutcome::Disconnected,
        }
    }
    socket.set_nonblocking(false).unwrap();
    SendOutcome::Blocked(sent)
}

/// Starts a thread that writes `bytes` repeatedly until the connection is shut down by either side.
pub(crate) fn flood(client: &Client, bytes: Vec<u8>) -> JoinHandle<()> {
    let mut socket = client.socket().try_clone().unwrap();
    thread::spawn(move || while socket.write_all(&bytes).is_ok() {})
}
