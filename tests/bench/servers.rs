//! Echo servers, one thread each, written with nothing but a socket library, and what each does wrong.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use switchboard::bench::{Activity, Plan};
use switchboard::{Endpoint, Framing};

/// A small closed loop, to be changed by each test.
pub(crate) fn plan(target: Endpoint) -> Plan {
    Plan {
        target,
        framing: Framing::U32BE,
        connections: 4,
        payload_bytes: bytes(64),
        activity: Activity::Closed { in_flight: 1 },
        slow_readers: 0,
        ramp: Duration::ZERO,
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(300),
        answer_timeout: Duration::from_secs(10),
        seed: 1,
    }
}

pub(crate) fn bytes(count: usize) -> RangeInclusive<usize> {
    count..=count
}

/// Serves each connection of a port on a thread of its own.
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

/// Returns every byte.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}
