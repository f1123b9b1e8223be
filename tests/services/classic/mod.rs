//! The classic services as a plain socket program sees them: bytes sent, bytes received, on both
//! engines.

mod clock;
mod greet;
mod parrot;
mod robot;
mod telnet;
mod upper;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};

use crate::support::{Engine, RunningEngine, guard, listen_tcp};
use switchboard::{Endpoint, Framing, Limits, Service, ServiceOptions};

/// A service at a raw TCP port and a UDP port.
struct Stand {
    /// Dropped, the engine stops.
    _running: RunningEngine,
    tcp: SocketAddr,
    udp: SocketAddr,
}

fn stand<E: Engine>(options: impl Into<ServiceOptions>, service: impl Service + Send + 'static) -> Stand {
    let mut engine = E::with_limits(Limits::default());
    let id = engine.add_service(options, service);
    let address = listen_tcp(&mut engine, id, Framing::Raw);
    let Endpoint::Udp(udp) = engine.listen(id, "udp:127.0.0.1:0", Framing::Raw) else { panic!("asked for UDP") };
    Stand { _running: RunningEngine::start(engine), tcp: address, udp }
}

/// A client on which nothing waits for ever.
struct Raw(TcpStream);

impl Raw {
    fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        Self(stream)
    }

    /// Sends one message and takes one read for the answer, as a first program with sockets does.
    fn ask(&mut self, message: &[u8]) -> Vec<u8> {
        self.0.write_all(message).unwrap();
        let mut answer = vec![0; 65_536];
        let len = self.0.read(&mut answer).unwrap();
        answer.truncate(len);
        answer
    }

    /// Sends one message and takes everything for the answer until the server closes.
    fn ask_all(&mut self, message: &[u8]) -> Vec<u8> {
        self.0.write_all(message).unwrap();
        self.rest()
    }

    fn rest(&mut self) -> Vec<u8> {
        let mut answer = Vec::new();
        self.0.read_to_end(&mut answer).unwrap();
        answer
    }

    fn says_no_more(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

/// Sends one datagram and waits for one.
fn datagram(to: SocketAddr, message: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    socket.connect(to).unwrap();
    socket.send(message).unwrap();
    let mut answer = vec![0; 65_536];
    let len = socket.recv(&mut answer).unwrap();
    answer.truncate(len);
    answer
}
