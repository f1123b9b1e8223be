//! Resets, garbage and wrong protocols: line 8 of `docs/overload.md`. One engine serves each
//! service at each of its framings. After each attack, other clients of the service are served.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use jiff::tz::TimeZone;
use socket2::SockRef;
use switchboard::services::chat::{Chat, ChatConfig};
use switchboard::services::exec::{Allowed, Exec, ExecRules, Program};
use switchboard::services::files::{Files, FilesDialect};
use switchboard::services::{Clock, Echo, Greet, Parrot, Robot, RobotLanguage, Upper};
use switchboard::{Endpoint, Framing, Limits, Service, ServiceId, ServiceOptions, TextEncoding};
use tempfile::TempDir;

use crate::support::{Engine, RunningEngine, conformance, encode_frame, guard, listen_tcp};

conformance! {
    reset_at_any_byte_ends_that_connection_only,
    end_at_any_byte_ends_that_connection_only,
    garbage_ends_that_connection_only,
    garbage_datagrams_end_nothing,
}

/// The bytes that an honest client sends and that its answer contains. `%` stands for a number.
type Exchange = (Vec<u8>, &'static str);

/// A port under attack.
struct Target {
    name: &'static str,
    addr: SocketAddr,
    conversation: Vec<u8>,
    honest: Exchange,
}

/// The engine with all services, and a client of each that stays connected.
struct Stand {
    engine: RunningEngine,
    targets: Vec<Target>,
    udp: Vec<(&'static str, SocketAddr)>,
    bystanders: Vec<TcpStream>,
    number: usize,
    _folder: TempDir,
}

/// Adds services to an engine and collects their addresses.
struct Setup<E> {
    engine: E,
    targets: Vec<Target>,
    udp: Vec<(&'static str, SocketAddr)>,
}

impl<E: Engine> Setup<E> {
    fn service(&mut self, options: impl Into<ServiceOptions>, service: impl Service + Send + 'static) -> ServiceId {
        self.engine.add_service(options, service)
    }

    /// Listens for a service. `messages` are the conversation, and the last one is an honest
    /// request.
    fn tcp(&mut self, name: &'static str, id: ServiceId, framing: Framing, messages: &[&str], expected: &'static str) {
        let encode = |message: &&str| match framing {
            Framing::Raw => message.as_bytes().to_vec(),
            Framing::Lines => encode_frame("lines", message.as_bytes()),
            _ => encode_frame("u32be", message.as_bytes()),
        };
        let addr = listen_tcp(&mut self.engine, id, framing);
        let conversation = messages.iter().flat_map(encode).collect();
        let honest = (messages.last().map(encode).unwrap(), expected);
        self.targets.push(Target { name, addr, conversation, honest });
    }

    fn udp(&mut self, name: &'static str, id: ServiceId) {
        let Endpoint::Udp(addr) = self.engine.listen(id, "udp:127.0.0.1:0", Framing::Raw) else { unreachable!() };
        self.udp.push((name, addr));
    }
}

impl Stand {
    fn open<E: Engine>() -> Self {
        let mut setup = Setup { engine: E::with_limits(Limits::default()), targets: Vec::new(), udp: Vec::new() };
        let echo = setup.service(Echo.options("echo"), Echo);
        setup.tcp("echo u32be", echo, Framing::U32BE, &["one", "", "hello"], "hello");
        setup.tcp("echo lines", echo, Framing::Lines, &["one", "", "hello"], "hello");
        setup.tcp("echo raw", echo, Framing::Raw, &["one", "hello"], "hello");
        setup.udp("echo", echo);
        let upper = setup.service(Upper.options("upper"), Upper);
        setup.tcp("upper", upper, Framing::Raw, &["one", "hello"], "HELLO");
        setup.udp("upper", upper);
        let greet = Greet::new("Hello {}", TextEncoding::UTF_8).unwrap();
        let greet = setup.service(greet.options("greet"), greet);
        setup.tcp("greet", greet, Framing::Raw, &["Ann"], "Ann");
        setup.udp("greet", greet);
        let parrot = setup.service("parrot", Parrot::new(TextEncoding::UTF_8, 7));
        setup.tcp("parrot", parrot, Framing::Raw, &["one", "two"], "");
        let robot = Robot::with_built_in_rules("R2", RobotLanguage::English, TextEncoding::UTF_8, TimeZone::UTC);
        let robot = setup.service(robot.options("robot"), robot);
        setup.tcp("robot raw", robot, Framing::Raw, &["hello", "time"], "");
        setup.tcp("robot lines", robot, Framing::Lines, &["hello", "time"], "");
        setup.udp("robot", robot);
        let clock = Clock::new(TimeZone::UTC);
        let clock = setup.service(clock.options("clock"), clock);
        setup.tcp("clock raw", clock, Framing::Raw, &["now", "now"], "");
        setup.tcp("clock lines", clock, Framing::Lines, &["now", "now"], "");
        setup.udp("clock", clock);
        let chat = Chat::new(ChatConfig { max_requests_per_second: 0, ..ChatConfig::default() });
        let chat = setup.service(chat.options("chat"), chat);
        let hello = r#"{"type":"hello","nick":"honest%"}"#;
        let say = r#"{"type":"say","room":"lobby","text":"hé"}"#;
        setup.tcp("chat json", chat, Framing::U32BE, &[r#"{"type":"join","room":"r"}"#, say, hello], "welcome");
        setup.tcp("chat lines", chat, Framing::Lines, &["/join garden", "hello", "/who", "honest%"], "");
        setup.tcp("chat raw", chat, Framing::Raw, &["honest%"], "");
        setup.udp("chat", chat);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), "file content").unwrap();
        let files = Files::open(folder.path(), FilesDialect::Framed).unwrap();
        let framed = setup.service(files.options("files"), files);
        setup.tcp("files framed", framed, Framing::U32BE, &[r#"{"list":""}"#, r#"{"get":"x"}"#], "sha256");
        let files = Files::open(folder.path(), FilesDialect::Plain).unwrap();
        let plain = setup.service(files.options("plain"), files);
        setup.tcp("files plain", plain, Framing::Raw, &["x"], "file content");
        let echo_only = ExecRules::new(Allowed::Programs(vec![Program::find("echo").unwrap()]));
        let exec = Exec::new(echo_only);
        let exec = setup.service(exec.options("exec"), exec);
        setup.tcp("exec raw", exec, Framing::Raw, &["echo hello"], "hello");
        setup.tcp("exec u32be", exec, Framing::U32BE, &["echo hello"], "hello");
        let Setup { engine, targets, udp } = setup;
        let engine = RunningEngine::start(engine);
        let bystanders = targets.iter().map(|target| connect(target.addr)).collect();
        Self { engine, targets, udp, bystanders, number: 0, _folder: folder }
    }

    /// A new client of target `at` is served.
    fn serve_newcomer(&mut self, at: usize) {
        self.number += 1;
        let target = &self.targets[at];
        target.ask(&mut connect(target.addr), self.number);
    }

    /// The clients that were connected all the time are served, and nothing has panicked.
    fn finish(mut self) {
        for (target, mut bystander) in self.targets.iter().zip(self.bystanders) {
            self.number += 1;
            target.ask(&mut bystander, self.number);
        }
        self.engine.await_counter("open", |open| open == 0);
        assert_eq!(self.engine.counters()["panics"], 0);
        self.engine.drain();
    }
}

impl Target {
    /// Sends an honest request and waits for its answer.
    fn ask(&self, client: &mut TcpStream, number: usize) {
        let (request, expected) = &self.honest;
        let request = String::from_utf8(request.clone()).unwrap();
        // A longer number would not match a length prefix.
        client.write_all(request.replace('%', &char::from(b'a' + (number % 26) as u8).to_string()).as_bytes()).unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        while answer.is_empty() || !String::from_utf8_lossy(&answer).contains(expected) {
            let count = uninterrupted(|| client.read(&mut buffer)).unwrap();
            assert_ne!(count, 0, "{}: no answer but {:?}", self.name, String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..count]);
        }
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(guard())).unwrap();
    stream.set_write_timeout(Some(guard())).unwrap();
    stream
}

/// Reads again after a signal. The end of a command interrupts a read, and a read with a timeout is
/// not restarted (signal(7)).
fn uninterrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Sends `bytes` as far as the server takes them, ends the input, and reads until the server closes
/// or resets.
fn attack(target: &Target, bytes: &[u8]) {
    let mut client = connect(target.addr);
    let _ = client.write_all(bytes);
    let _ = client.shutdown(Shutdown::Write);
    let mut buffer = [0; 4096];
    loop {
        match uninterrupted(|| client.read(&mut buffer)) {
            Ok(1..) => {}
            Ok(0) => break,
            Err(error) => {
                let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "{} stays open after {shown:?}", target.name);
                break;
            }
        }
    }
}

fn reset_at_any_byte_ends_that_connection_only<E: Engine>() {
    let mut stand = Stand::open::<E>();
    for at in 0..stand.targets.len() {
        let target = &stand.targets[at];
        for cut in 0..=target.conversation.len() {
            let mut client = connect(target.addr);
            client.write_all(&target.conversation[..cut]).unwrap();
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        }
        stand.serve_newcomer(at);
    }
    stand.finish();
}

fn end_at_any_byte_ends_that_connection_only<E: Engine>() {
    let mut stand = Stand::open::<E>();
    for at in 0..stand.targets.len() {
        let target = &stand.targets[at];
        for cut in 0..=target.conversation.len() {
            attack(target, &target.conversation[..cut]);
        }
        stand.serve_newcomer(at);
    }
    stand.finish();
}

fn garbage_ends_that_connection_only<E: Engine>() {
    let mut stand = Stand::open::<E>();
    for at in 0..stand.targets.len() {
        for garbage in garbage() {
            let target = &stand.targets[at];
            attack(target, &garbage);
            attack(target, &encode_frame("u32be", &garbage));
            attack(target, &[&garbage[..], b"\n"].concat());
        }
        stand.serve_newcomer(at);
    }
    stand.finish();
}

fn garbage_datagrams_end_nothing<E: Engine>() {
    let stand = Stand::open::<E>();
    let socket = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(guard())).unwrap();
        socket
    };
    for (name, addr) in &stand.udp {
        let (attacker, honest) = (socket(), socket());
        for garbage in garbage() {
            attacker.send_to(&garbage, addr).unwrap();
            // After each, so that the socket's receive buffer never overflows.
            honest.send_to(b"honest : hello", addr).unwrap();
            let answered = uninterrupted(|| honest.recv(&mut vec![0; 65_536]));
            assert!(answered.is_ok(), "{name}: {answered:?}");
        }
    }
    stand.finish();
}

/// Bytes of other protocols, absurd lengths, wrong encodings, requests at the edge of each
/// service's syntax, and noise.
fn garbage() -> Vec<Vec<u8>> {
    let texts = [
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "SSH-2.0-x\r\n",
        "\r\r\n\n\r",
        "\0\0\n\0",
        "\u{202e}\u{feff}\u{1b}[2J",
        r#"{"type":"hello","nick":"\u0000"}"#,
        r#"{"type":"hello","nick":"\ud800"}"#,
        r#"{"type":1e999}"#,
        r#"{"type":"hello","nick":"x","protocol":18446744073709551616}"#,
        r#"{"type":"join","room":"lobby","since":-1}"#,
        r#"{"type":"join","room":"lobby","since":18446744073709551615}"#,
        r#"{"type":"who","room":"lobby","after":{}}"#,
        "/",
        "/ ",
        "//",
        "/me",
        "/join",
        "/join lobby 99999999999999999999",
        "/msg",
        "/msg x",
        "/kick é",
        "/ban 0.0.0.0/0 99999999999d",
        "/who é é",
        "/nick é",
        "../../etc/passwd",
        "x/../x",
        r#"{"get":"x","offset":18446744073709551615}"#,
        r#"{"get":"x","offset":-0.5}"#,
        r#"{"get":"\u0000"}"#,
        r#"{"list":"../"}"#,
        "'",
        "\"",
        "\\",
        "echo 'x",
        "echo \\",
        "Start",
        "Start\r\n",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.extend([
        // A TLS ClientHello.
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[0x5a; 500]].concat(),
        vec![0xff; 16],
        b"\x7f\xff\xff\xff".to_vec(),
        b"\x80\x00\x00\x00x".to_vec(),
        vec![0; 400],
        // Telnet, whole and cut.
        b"\xff\xfb\x01\xff\xfa\x18\x01\xff\xf0\xff\xff".to_vec(),
        b"\xff".to_vec(),
        b"\xff\xfa\x18".to_vec(),
        // Latin-1, cut, overlong and surrogate UTF-8, UTF-16.
        b"caf\xe9".to_vec(),
        b"\xe2\x82".to_vec(),
        b"\xc0\xaf".to_vec(),
        b"\xed\xa0\x80".to_vec(),
        b"\xff\xfeh\0i\0".to_vec(),
        b"[".repeat(20_000),
        br#"{"a":"#.repeat(4_000),
        "é".repeat(5_000).into_bytes(),
        b"a/".repeat(3_000),
        b" ".repeat(10_000),
        b"\n".repeat(2_000),
    ]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    all.extend((0..16).map(|_| (0..next() % 3_000).map(|_| next() as u8).collect()));
    all
}
