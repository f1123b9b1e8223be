//! Hostile clients. What the server answers them does not matter: they must not harm the others.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::SockRef;
use switchboard::{Endpoint, Framing, SocketStream};

use super::context::{ActorContext, converse};
use super::site::Listener;

const TCP: [Listener; 12] = [
    Listener::ECHO,
    Listener::ECHO_LINES,
    Listener::UPPER,
    Listener::GREET,
    Listener::ROBOT,
    Listener::ATTACKED_PARROT,
    Listener::CLOCK,
    Listener::FILES,
    Listener::FILES_PLAIN,
    Listener::EXEC,
    Listener::ATTACKED_CHAT,
    Listener::ATTACKED_CHAT_LINES,
];
const UDP: [Listener; 4] = [Listener::ECHO_UDP, Listener::GREET_UDP, Listener::CLOCK_UDP, Listener::ATTACKED_CHAT_UDP];

/// The time to connect. The server may be busy.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Openings of conversations, for this service and for others.
const OPENINGS: [&[u8]; 12] = [
    b"\0\0\0\x05hello",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\0\0\0\x17{\"get\":\"large\",\"offset\"",
    b"\0\0\0\x1b{\"get\":\"large\",\"offset\":0}",
    b"\0\0\0\x1d{\"type\":\"hello\",\"nick\":\"evil\"}",
    b"/join room\n/nick \xff\xfe\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    b"rm -rf /\n",
    b"%Y-%m-%d %Q",
    b"../../etc/passwd",
];

/// Connects, sends a part of a conversation, and resets.
pub(super) fn resets(cx: &mut ActorContext<'_>) {
    repeat(cx, Duration::from_millis(5), |cx| {
        let Some(mut stream) = connect(cx, &TCP) else { return };
        let opening = opening(cx);
        let len = cx.random.usize(..=opening.len());
        let _ = stream.write_all(opening.get(..len).unwrap_or_default());
        // Closing then sends a reset instead of a FIN.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    });
}

/// Sends random bytes, and reads a little of what comes.
pub(super) fn garbage(cx: &mut ActorContext<'_>) {
    repeat(cx, Duration::from_millis(5), |cx| {
        let Some(mut stream) = connect(cx, &TCP) else { return };
        let mut bytes = opening(cx).to_vec();
        let mut noise = vec![0; cx.random.usize(..4096)];
        cx.random.fill(&mut noise);
        bytes.extend(noise);
        let _ = stream.set_write_timeout(Some(CONNECT_TIMEOUT));
        let _ = stream.write_all(&bytes);
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = stream.read(&mut [0; 4096]);
    });
}

/// Connects and closes at once.
pub(super) fn churn(cx: &mut ActorContext<'_>) {
    repeat(cx, Duration::from_millis(50), |cx| {
        for _ in 0..20 {
            drop(connect(cx, &TCP));
        }
    });
}

/// Keeps connections open on which a request has begun and does not end.
pub(super) fn half_requests(cx: &mut ActorContext<'_>) {
    let mut held = Vec::new();
    repeat(cx, Duration::from_millis(20), |cx| {
        if held.len() == 100 {
            let index = cx.random.usize(..held.len());
            held.swap_remove(index);
        }
        if let Some(mut stream) = connect(cx, &TCP) {
            let opening = opening(cx);
            let _ = stream.write_all(opening.get(..opening.len() / 2).unwrap_or_default());
            held.push(stream);
        }
    });
}

/// Keeps connections open on which requests are sent and no answer is read.
pub(super) fn slow_readers(cx: &mut ActorContext<'_>) {
    let request = |listener: Listener, bytes: &[u8]| (listener, bytes.repeat(64));
    let large_echo = [&(64u32 << 10).to_be_bytes()[..], &vec![7; 64 << 10]].concat();
    let requests = [
        (Listener::ECHO, large_echo),
        request(Listener::FILES, b"\0\0\0\x1b{\"get\":\"large\",\"offset\":0}"),
        request(Listener::FILES_PLAIN, b"large"),
        request(Listener::UPPER, &[b'x'; 1024]),
        request(Listener::CLOCK, b"%Y%m%d"),
    ];
    let mut held: Vec<(SocketStream, usize)> = Vec::new();
    repeat(cx, Duration::from_millis(20), |cx| {
        if held.len() == 40 {
            let index = cx.random.usize(..held.len());
            held.swap_remove(index);
        }
        let which = cx.random.usize(..requests.len());
        let endpoint = requests.get(which).and_then(|(listener, _)| cx.site.endpoint(*listener).ok());
        if let Some(endpoint) = endpoint
            && let Ok(stream) = SocketStream::connect(std::slice::from_ref(endpoint), CONNECT_TIMEOUT)
        {
            held.push((stream, which));
        }
        // A stream that the server has closed is replaced in its turn.
        for (stream, which) in &held {
            if let Some((_, bytes)) = requests.get(*which) {
                let _ = stream.try_write(bytes);
            }
        }
    });
}

/// Sends bursts of the smallest requests, and reads the answers.
pub(super) fn floods(cx: &mut ActorContext<'_>) {
    let floods: [(Listener, Vec<u8>); 4] = [
        (Listener::ECHO, vec![0; 64 << 10]),
        (Listener::ECHO_LINES, vec![b'\n'; 32 << 10]),
        (Listener::CLOCK, vec![b'%'; 32 << 10]),
        (Listener::ATTACKED_CHAT_LINES, b"/who\n".repeat(2000)),
    ];
    repeat(cx, Duration::from_millis(100), |cx| {
        let Some((listener, bytes)) = cx.random.choice(&floods) else { return };
        let Ok(endpoint) = cx.site.endpoint(*listener) else { return };
        if let Ok(mut conversation) = converse(endpoint, Framing::Raw) {
            let limits = cx.limits_within(Duration::from_secs(2));
            conversation.queue_bytes(bytes);
            while conversation
                .receive_bytes(limits.with_stall_timeout(Some(Duration::from_millis(100))))
                .is_ok_and(|bytes| !bytes.is_empty())
            {}
        }
    });
}

/// Sends bursts of datagrams, right ones and garbage.
pub(super) fn datagrams(cx: &mut ActorContext<'_>) {
    let sockets: Vec<_> = (0..4).filter_map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()).collect();
    repeat(cx, Duration::from_millis(20), |cx| {
        let Some(socket) = cx.random.choice(&sockets) else { return };
        for _ in 0..32 {
            let listener = cx.random.choice(&UDP);
            let Some(addr) = listener.and_then(|listener| udp_addr(cx, *listener)) else { return };
            let _ = socket.send_to(opening(cx), addr);
        }
        let _ = socket.set_nonblocking(true);
        while socket.recv(&mut [0; 2048]).is_ok() {}
    });
}

/// Asks for commands that are refused, or that outlast their connection and their time.
pub(super) fn commands(cx: &mut ActorContext<'_>) {
    repeat(cx, Duration::from_millis(400), |cx| {
        let Some(mut stream) = connect(cx, &[Listener::EXEC]) else { return };
        let command = cx.random.choice([&b"sleep 1"[..], b"sleep 60", b"cat /etc/passwd", b"echo 'open", b"\0"]);
        let _ = stream.write_all(command.unwrap_or_default());
        let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
        let _ = stream.read(&mut [0; 4096]);
    });
}

fn repeat(cx: &mut ActorContext<'_>, pause: Duration, mut round: impl FnMut(&mut ActorContext<'_>)) {
    while !cx.stop.is_raised() {
        round(cx);
        cx.tally.add_round(0);
        cx.pause(pause);
    }
}

fn opening(cx: &mut ActorContext<'_>) -> &'static [u8] {
    cx.random.choice(OPENINGS).unwrap_or_default()
}

/// Connects to one of the listeners. `None` if the server does not accept.
fn connect(cx: &mut ActorContext<'_>, listeners: &[Listener]) -> Option<TcpStream> {
    let listener = cx.random.choice(listeners)?;
    let Endpoint::Tcp(addr) = cx.site.endpoint(*listener).ok()? else { return None };
    TcpStream::connect_timeout(addr, CONNECT_TIMEOUT).ok()
}

fn udp_addr(cx: &ActorContext<'_>, listener: Listener) -> Option<SocketAddr> {
    match cx.site.endpoint(listener).ok()? {
        Endpoint::Udp(addr) => Some(*addr),
        Endpoint::Tcp(_) | Endpoint::Unix(_) => None,
    }
}
