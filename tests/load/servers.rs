//! Echo servers that use nothing but the standard library's sockets.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use switchboard::load::{Activity, LoadConfig};
use switchboard::{Endpoint, Framing};

use crate::guard::guard;

/// Payload bytes of a message, unless a test sets another size.
pub(crate) const PAYLOAD: usize = 64;

/// Returns the configuration of a small closed loop, which each test changes.
pub(crate) fn plan(target: Endpoint) -> LoadConfig {
    LoadConfig {
        target,
        framing: Framing::U32BE,
        connections: 4,
        payload_bytes: bytes(PAYLOAD),
        activity: Activity::Closed { in_flight: 1 },
        slow_readers: 0,
        ramp: Duration::ZERO,
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(300),
        reply_timeout: guard(),
        seed: 1,
    }
}

pub(crate) fn bytes(count: usize) -> RangeInclusive<usize> {
    count..=count
}

/// Starts a TCP server; it serves each connection on a thread of its own.
pub(crate) fn tcp(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.unwrap(), serve.clone());
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    Endpoint::Tcp(addr)
}

/// Echoes every byte.
pub(crate) fn echo(mut stream: impl Read + Write) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// Echoes every u32be frame, after a call of `each`.
pub(crate) fn echo_frames(mut stream: TcpStream, mut each: impl FnMut()) {
    let mut frame = vec![0; 4 + PAYLOAD];
    while stream.read_exact(&mut frame).is_ok() {
        each();
        if stream.write_all(&frame).is_err() {
            return;
        }
    }
}

/// Starts a UDP server that echoes every datagram.
pub(crate) fn udp() -> Endpoint {
    FaultyEcho::new(Fault::None, u32be).serve_datagrams()
}

/// The treatment of one message in a thousand, and of the 20th, by a faulty server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Drop,
    Duplicate,
    Reorder,
    Corrupt,
}

/// Number of the first message that is treated wrongly. Even a busy machine sends so many.
const FIRST: u64 = 20;
const ONE_IN: u64 = 1000;

/// Returns the bytes of a stream's first frame, header included; `None` if it is incomplete.
pub(crate) type FirstFrameBytes = fn(&[u8]) -> Option<usize>;

pub(crate) fn u32be(stream: &[u8]) -> Option<usize> {
    let len = 4 + u32::from_be_bytes(*stream.first_chunk()?) as usize;
    (stream.len() >= len).then_some(len)
}

pub(crate) fn line(stream: &[u8]) -> Option<usize> {
    stream.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
}

pub(crate) fn piece(stream: &[u8]) -> Option<usize> {
    (stream.len() >= PAYLOAD).then_some(PAYLOAD)
}

/// An echo server that commits a fault now and then, and counts its faults.
#[derive(Clone)]
pub(crate) struct FaultyEcho {
    fault: Fault,
    first_frame_bytes: FirstFrameBytes,
    messages: Arc<AtomicU64>,
    /// Faults that are due and could not be committed yet.
    pending: Arc<AtomicU64>,
    committed: Arc<AtomicU64>,
}

impl FaultyEcho {
    pub(crate) fn new(fault: Fault, first_frame_bytes: FirstFrameBytes) -> Self {
        let counter = || Arc::new(AtomicU64::new(0));
        Self { fault, first_frame_bytes, messages: counter(), pending: counter(), committed: counter() }
    }

    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    pub(crate) fn serve_streams(&self) -> Endpoint {
        let server = self.clone();
        tcp(move |stream| server.serve(stream))
    }

    fn serve(&self, mut stream: TcpStream) {
        let (mut input, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            input.extend_from_slice(&buffer[..read]);
            let (mut frames, mut used) = (Vec::new(), 0);
            while let Some(len) = (self.first_frame_bytes)(&input[used..]) {
                frames.push(input[used..used + len].to_vec());
                used += len;
            }
            input.drain(..used);
            if stream.write_all(&self.answers(frames).concat()).is_err() {
                return;
            }
        }
    }

    fn answers(&self, frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        let mut frames = frames.into_iter();
        while let Some(mut frame) = frames.next() {
            if self.fault == Fault::None || !self.is_due() {
                answers.push(frame);
                continue;
            }
            match self.fault {
                Fault::None | Fault::Drop => {}
                Fault::Duplicate => answers.extend([frame.clone(), frame]),
                Fault::Reorder => {
                    let Some(next) = frames.next() else {
                        // The swap needs a next frame, so a later frame is reordered instead.
                        self.pending.fetch_add(1, Ordering::Relaxed);
                        answers.push(frame);
                        continue;
                    };
                    answers.extend([next, frame]);
                }
                Fault::Corrupt => {
                    corrupt(&mut frame, self.committed());
                    answers.push(frame);
                }
            }
            self.committed.fetch_add(1, Ordering::Relaxed);
        }
        answers
    }

    fn is_due(&self) -> bool {
        let number = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        let by_number = number == FIRST || number.is_multiple_of(ONE_IN);
        let decrement = |pending: u64| pending.checked_sub(1);
        by_number || self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, decrement).is_ok()
    }

    pub(crate) fn serve_datagrams(&self) -> Endpoint {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        let server = self.clone();
        thread::spawn(move || server.answer_datagrams(&socket));
        Endpoint::Udp(addr)
    }

    fn answer_datagrams(&self, socket: &UdpSocket) {
        // A held datagram without a successor is answered late, which is not a fault.
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut held: HashMap<SocketAddr, Vec<u8>> = HashMap::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Ok((len, from)) = socket.recv_from(&mut buffer) else {
                for (to, datagram) in held.drain() {
                    let _ = socket.send_to(&datagram, to);
                }
                continue;
            };
            let datagram = buffer[..len].to_vec();
            let answers = match held.remove(&from) {
                Some(earlier) => {
                    self.committed.fetch_add(1, Ordering::Relaxed);
                    vec![datagram, earlier]
                }
                None if self.fault == Fault::Reorder => {
                    if self.is_due() {
                        held.insert(from, datagram);
                        continue;
                    }
                    vec![datagram]
                }
                None => self.answers(vec![datagram]),
            };
            for answer in answers {
                let _ = socket.send_to(&answer, from);
            }
        }
    }
}

/// Flips one bit of the payload, in another byte each time. The flip turns no letter into a line
/// feed.
fn corrupt(frame: &mut [u8], count: u64) {
    let at = frame.len() - 2 - usize::try_from(count).unwrap() % (PAYLOAD - 1);
    frame[at] ^= 1;
}
