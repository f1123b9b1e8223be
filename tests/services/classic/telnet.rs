//! Telnet commands on `lines` listeners, in the services that read text.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use jiff::tz::TimeZone;
use switchboard::services::{Clock, Echo, Parrot, Robot};
use switchboard::{Framing, Limits, TextEncoding};

use crate::support::{Engine, RunningEngine, conformance, guard, listen_tcp};

conformance! {
    telnet_commands_are_not_part_of_a_line,
    echo_returns_bytes_unchanged,
}

/// A client that sends lines of bytes.
struct LineClient(BufReader<TcpStream>);

impl LineClient {
    fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        Self(BufReader::new(stream))
    }

    fn ask(&mut self, line: &[u8]) -> Vec<u8> {
        self.0.get_ref().write_all(&[line, b"\r\n"].concat()).unwrap();
        let mut reply = Vec::new();
        self.0.read_until(b'\n', &mut reply).unwrap();
        reply.pop();
        reply
    }
}

fn telnet_commands_are_not_part_of_a_line<E: Engine>() {
    for label in ["utf-8", "gbk", "latin1", "windows-1251"] {
        let encoding: TextEncoding = label.parse().unwrap();
        let mut engine = E::with_limits(Limits::default());
        let robot = Robot::new("R2", vec![], encoding, TimeZone::UTC);
        let robot = engine.add_service(robot.options("robot"), robot);
        let parrot = engine.add_service("parrot", Parrot::new(encoding, 7));
        let clock = Clock::new(TimeZone::UTC);
        let clock = engine.add_service(clock.options("clock"), clock);
        let addresses = [robot, parrot, clock].map(|service| listen_tcp(&mut engine, service, Framing::Lines));
        let _running = RunningEngine::start(engine);
        let [mut robot, mut parrot, mut clock] = addresses.map(LineClient::connect);
        assert!(!robot.ask(b"\xff\xfb\x1f\xff\xfd\x03hello").is_empty(), "{label}");
        assert_eq!(parrot.ask(b"\xff\xfb\x1f\xff\xfd\x03hello"), b"hello", "{label}");
        assert_eq!(clock.ask(b"\xff\xfb\x1f\xff\xfd\x03%%"), b"%", "{label}");
        // Byte 255 is sent twice by telnet.
        if label == "windows-1251" {
            let mut parrot = LineClient::connect(addresses[1]);
            let replies: Vec<_> = (0..100).map(|_| parrot.ask(b"\xff\xff")).collect();
            assert!(replies.iter().any(|reply| reply == b"\xff"), "{replies:?}");
        }
    }
}

fn echo_returns_bytes_unchanged<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let address = listen_tcp(&mut engine, echo, Framing::Lines);
    let _running = RunningEngine::start(engine);
    let bytes = b"\xff\xfb\x1f\xff\xff\xffhello";
    assert_eq!(LineClient::connect(address).ask(bytes), bytes);
}
