//! Blocking clients of u32be ports, and peers that behave badly.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::{GUARD, framed};

/// A well-behaved client.
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
        stream.set_read_timeout(Some(GUARD)).unwrap();
        stream.set_write_timeout(Some(GUARD)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    pub(crate) fn send(&self, payload: &[u8]) {
        self.send_bytes(&framed("u32be", payload));
    }

    /// Sends bytes that need not be a frame.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.socket().write_all(bytes).unwrap();
    }

    /// The next payload; panics at the end of the stream.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.try_receive().expect("a reply was expected, the stream ended")
    }

    /// The next payload, or nothing at the end of the stream. An end inside a frame, or a reset, is a failure.
    pub(crate) fn try_receive(&mut self) -> Option<Vec<u8>> {
        let mut head = [0; 4];
        if self.stream.read(&mut head[..1]).expect("the next frame or the end") == 0 {
            return None;
        }
        self.stream.read_exact(&mut head[1..]).expect("a whole head");
        let mut payload = vec![0; u32::from_be_bytes(head) as usize];
        self.stream.read_exact(&mut payload).expect("a whole payload");
        Some(payload)
    }

    pub(crate) fn ask(&mut self, payload: &[u8]) -> Vec<u8> {
        self.send(payload);
        self.receive()
    }

    /// Asks an echo service; panics unless the same comes back.
    pub(crate) fn echo(&mut self, payload: &[u8]) {
        assert_eq!(self.ask(payload), payload);
    }

    /// No more requests; answers may still come.
    pub(crate) fn finish(&self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Panics unless the stream ends here, and not with a reset.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.try_receive(), None, "the stream should have ended");
    }

    /// Whether nothing at all arrives for `window`.
    pub(crate) fn hears_nothing_for(&mut self, window: Duration) -> bool {
        self.socket().set_read_timeout(Some(window)).unwrap();
        let result = self.stream.read(&mut [0]);
        self.socket().set_read_timeout(Some(GUARD)).unwrap();
        matches!(result, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Breaks the connection off: the kernel sends a reset instead of an end (socket(7), `SO_LINGER` with zero).
    pub(crate) fn reset(self) {
        SockRef::from(self.socket()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// How sending without reading came to a stop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The server has stopped reading, after so many bytes.
    Blocked(usize),
    /// The server has broken the connection off.
    Broken,
}

/// Sends `bytes` again and again and reads nothing, until the socket has taken none of it during twenty calls in a row of
/// `meanwhile` and for a tenth of a second, which should give the server occasion to read if it wanted to.
pub(crate) fn write_all_it_takes(mut socket: &TcpStream, bytes: &[u8], mut meanwhile: impl FnMut()) -> Sent {
    socket.set_nonblocking(true).unwrap();
    let mut refused = 0;
    let mut sent = 0;
    let mut last_taken = Instant::now();
    while refused < 20 || last_taken.elapsed() < Duration::from_millis(100) {
        match socket.write(&bytes[sent % bytes.len()..]) {
            Ok(taken) => {
                sent += taken;
                refused = 0;
                last_taken = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                meanwhile();
            }
            Err(_) => return Sent::Broken,
        }
    }
    socket.set_nonblocking(false).unwrap();
    Sent::Blocked(sent)
}

/// Writes `bytes` again and again on a thread, until either side has shut the connection down.
pub(crate) fn flood(client: &Client, bytes: Vec<u8>) -> JoinHandle<()> {
    let mut socket = client.socket().try_clone().unwrap();
    thread::spawn(move || while socket.write_all(&bytes).is_ok() {})
}
