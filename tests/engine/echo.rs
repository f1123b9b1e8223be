//! Echo over every framing and every transport.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

use switchboard::services::Echo;
use switchboard::{Context, Endpoint, Framing, Limits, Service};

use crate::support::{Client, Engine, RunningEngine, conformance, encode_frame, guard, listen_tcp};

conformance! {
    every_framing_echoes_whole_and_split_frames,
    unix_socket_echoes,
    ipv6_echoes,
    udp_replies_come_whole_from_the_same_address,
    udp_over_ipv4_and_ipv6_alternates,
    udp_bursts_keep_datagram_boundaries,
    listeners_of_one_service_have_their_own_framing,
    several_services_share_one_engine,
}

fn every_framing_echoes_whole_and_split_frames<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let listeners = Framing::NAMES.map(|(name, framing)| (name, listen_tcp(&mut engine, echo, framing)));
    let running = RunningEngine::start(engine);
    let mut frames = 0;
    for (name, addr) in listeners {
        let long = vec![b'x'; if name == "u8" { 255 } else { 40_000 }];
        // No payload ends with a carriage return, which would belong to the line ending. In raw
        // framing an empty payload adds no bytes.
        let payloads: [&[u8]; 5] = [b"a", b"", b"\0\xff\x80", &long, b"last"];
        let wire: Vec<u8> = payloads.iter().flat_map(|payload| encode_frame(name, payload)).collect();
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        // Everything in one write; then the same with the first 20 bytes sent one at a time.
        stream.write_all(&wire).unwrap();
        for byte in &wire[..20] {
            stream.write_all(&[*byte]).unwrap();
        }
        stream.write_all(&wire[20..]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == [&wire[..], &wire[..]].concat(), "{name}: the echo differs from what was sent");
        if name != "raw" {
            frames += 2 * payloads.len() as u64;
        }
    }
    let stats = running.drain();
    assert!(stats.frames_in > frames, "each payload is one frame: {stats}");
    assert_eq!(stats.bytes_in, stats.bytes_out);
    assert_eq!((stats.closed, stats.faulted, stats.open), (Framing::NAMES.len() as u64, 0, 0), "{stats}");
}

fn unix_socket_echoes<E: Engine>() {
    let path = std::env::temp_dir().join(format!("switchboard-echo-{}.sock", std::process::id()));
    let mut engine = E::with_limits(Limits::default());
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let at = Endpoint::Unix(path.clone());
    assert_eq!(engine.try_listen(echo, &at, Framing::Lines).unwrap(), at);
    let running = RunningEngine::start(engine);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(guard())).unwrap();
    stream.write_all(b"one\ntwo\nlast line without its end").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).unwrap();
    assert_eq!(back, "one\ntwo\nlast line without its end\n");
    assert_eq!(running.drain().frames_in, 3);
}

fn ipv6_echoes<E: Engine>() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let mut engine = E::with_limits(Limits::default());
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let Endpoint::Tcp(addr) = engine.listen(echo, "[::1]:0", Framing::U32BE) else { panic!("asked for TCP") };
    let Endpoint::Udp(udp) = engine.listen(echo, "udp:[::1]:0", Framing::Raw) else { panic!("asked for UDP") };
    let running = RunningEngine::start(engine);
    Client::connect(addr).echo(b"six");
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    socket.send_to(b"datagram", udp).unwrap();
    let mut buffer = [0; 64];
    let (len, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from), (&b"datagram"[..], udp));
    running.drain();
}

fn udp_replies_come_whole_from_the_same_address<E: Engine>() {
    // The last length is the longest that UDP carries over the family.
    for (any, longest) in [("127.0.0.1:0", 65_507), ("[::1]:0", 65_527)] {
        udp_replies_come_whole::<E>(any, [0, 1, 1472, longest]);
    }
}

fn udp_replies_come_whole<E: Engine>(any: &str, lengths: [usize; 4]) {
    let mut engine = E::with_limits(Limits::default());
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let addrs = [0, 1].map(|_| match engine.listen(echo, &format!("udp:{any}"), Framing::Raw) {
        Endpoint::Udp(addr) => addr,
        other => panic!("asked for UDP, got {other}"),
    });
    let running = RunningEngine::start(engine);
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    let mut buffer = vec![0; 70_000];
    for len in lengths {
        let payload: Vec<u8> = (0..len).map(|at: usize| (at % 251) as u8).collect();
        for addr in addrs {
            socket.send_to(&payload, addr).unwrap();
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            assert!(
                buffer[..len] == payload,
                "the echo of a datagram of {} bytes differs, and has {len} bytes",
                payload.len()
            );
            assert_eq!(from, addr, "the reply comes from the address that received the request");
        }
    }
    let stats = running.drain();
    assert_eq!((stats.datagrams_in, stats.datagrams_out, stats.datagrams_dropped), (8, 8, 0));
}

fn udp_over_ipv4_and_ipv6_alternates<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let clients = ["127.0.0.1:0", "[::1]:0"].map(|any| {
        let to = engine.listen(echo, &format!("udp:{any}"), Framing::Raw);
        let Endpoint::Udp(to) = to else { panic!("asked for UDP") };
        let socket = UdpSocket::bind(any).unwrap();
        socket.set_read_timeout(Some(guard())).unwrap();
        socket.connect(to).unwrap();
        socket
    });
    let running = RunningEngine::start(engine);
    for number in 0..6 {
        for socket in &clients {
            socket.send(&[number]).unwrap();
            let mut reply = [0; 2];
            assert_eq!(socket.recv(&mut reply).unwrap(), 1, "{number} at {socket:?}");
            assert_eq!(reply[0], number);
        }
    }
    running.drain();
}

fn udp_bursts_keep_datagram_boundaries<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let Endpoint::Udp(addr) = engine.listen(echo, "udp:127.0.0.1:0", Framing::Raw) else { panic!("asked for UDP") };
    let running = RunningEngine::start(engine);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    let mut buffer = vec![0; 2000];
    for round in 0..20u32 {
        // 32 datagrams fit into the default socket buffers. UDP drops the datagrams that overflow
        // them.
        let mut sent = HashSet::new();
        for number in 0..32u32 {
            let mut payload = (round * 32 + number).to_be_bytes().to_vec();
            payload.resize(4 + (number as usize * 37) % 1400, number as u8);
            socket.send_to(&payload, addr).unwrap();
            sent.insert(payload);
        }
        while !sent.is_empty() {
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(from, addr);
            assert!(
                sent.remove(&buffer[..len]),
                "received a datagram of {len} bytes that was not sent, or received it twice"
            );
        }
    }
    assert_eq!(running.drain().datagrams_in, 640);
}

fn listeners_of_one_service_have_their_own_framing<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let lines = listen_tcp(&mut engine, echo, Framing::Lines);
    let prefixed = listen_tcp(&mut engine, echo, Framing::U32BE);
    let odd = listen_tcp(&mut engine, echo, "u16be,offset=2,adjustment=4,skip=0".parse().unwrap());
    let running = RunningEngine::start(engine);
    let mut plain = TcpStream::connect(lines).unwrap();
    plain.set_read_timeout(Some(guard())).unwrap();
    plain.write_all(b"\0\0\0\x01a\n").unwrap();
    let mut back = [0; 6];
    plain.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"\0\0\0\x01a\n");
    Client::connect(prefixed).echo(b"with\nline\nfeeds");
    // The length counts the bytes after the field, and the service receives the whole frame.
    let mut stream = TcpStream::connect(odd).unwrap();
    stream.set_read_timeout(Some(guard())).unwrap();
    stream.write_all(b"id\x00\x05abcde").unwrap();
    let mut back = [0; 9];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"id\x00\x05abcde");
    drop((stream, plain));
    running.drain();
}

/// Replies with its name and the request.
struct NamedService(&'static str);

impl Service for NamedService {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(&[self.0.as_bytes(), b" ", payload].concat());
    }
}

fn several_services_share_one_engine<E: Engine>() {
    let names = ["echo", "upper", "robot"];
    let mut engine = E::with_limits(Limits::default());
    let addrs = names.map(|name| {
        let id = engine.add_service(name, NamedService(name));
        listen_tcp(&mut engine, id, Framing::U32BE)
    });
    let running = RunningEngine::start(engine);
    let mut clients = addrs.map(Client::connect);
    for round in 0..3 {
        for (client, name) in clients.iter_mut().zip(names) {
            let request = format!("round {round}");
            assert_eq!(client.ask(request.as_bytes()), format!("{name} {request}").as_bytes());
        }
    }
    drop(clients);
    assert_eq!(running.drain().frames_in, 9);
}
