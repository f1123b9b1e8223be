//! Deadlines, and peers and pauses that move them: line 3 of `docs/overload.md`.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use switchboard::{CloseReason, ConnId, Context, Limits, Payload, Peer, Service};

use crate::support::{Client, Engine, conformance, observe, scaled, serve};

conformance! {
    a_slow_but_steady_reader_is_not_cut,
    #[cfg(target_os = "linux")]
    a_peer_cut_for_not_reading_leaves_nothing_in_the_kernel,
    #[cfg(target_os = "linux")]
    a_slow_consumer_leaves_nothing_in_the_kernel,
}

/// More than the kernel buffers for one connection.
const LARGE_REPLY_BYTES: usize = 12 << 20;

/// Replies to each frame with a large one.
struct LargeReply;

impl Service for LargeReply {
    fn on_frame(&mut self, cx: &mut Context<'_>, _payload: &[u8]) {
        cx.reply(&vec![7; LARGE_REPLY_BYTES]);
    }
}

/// Connects with a small receive buffer, so that the kernel tells early what has been read.
fn connect_with_small_buffer(addr: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&addr.into()).unwrap();
    Client::new(TcpStream::from(socket))
}

fn a_slow_but_steady_reader_is_not_cut<E: Engine>() {
    let write_timeout = scaled(Duration::from_secs(1));
    let (service, events) = observe(LargeReply);
    let (running, addr) = serve::<E>(Limits { write_timeout, ..Limits::default() }, service);
    let client = connect_with_small_buffer(addr);
    client.send(b"go");
    let mut socket = client.socket();
    let begun = Instant::now();
    // 25 kB in a second: the server's kernel has room to report only after half a minute.
    while begun.elapsed() < 3 * write_timeout {
        socket.read_exact(&mut [0; 256]).expect("a reader that goes on was cut");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(events.try_next_closed(), None);
    let stopped = Instant::now();
    assert_eq!(events.next_closed().1, CloseReason::WriteTimeout(write_timeout));
    assert!(stopped.elapsed() > write_timeout / 2, "cut after {:?}", stopped.elapsed());
    drop(running);
}

/// Returns the bytes that the kernel has yet to send from `from` to `to`, and `None` if it has no
/// such connection any more.
#[cfg(target_os = "linux")]
fn unsent_in_kernel(from: SocketAddr, to: SocketAddr) -> Option<u64> {
    let hex = |addr: SocketAddr| match addr {
        SocketAddr::V4(addr) => format!("{:08X}:{:04X}", u32::from(*addr.ip()).swap_bytes(), addr.port()),
        SocketAddr::V6(_) => unreachable!("the tests use IPv4"),
    };
    // The fields are those of proc_net_tcp: number, local, remote, state, tx_queue:rx_queue.
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = fields.find(|fields| fields[1] == hex(from) && fields[2] == hex(to))?;
    Some(u64::from_str_radix(found[4].split(':').next().unwrap(), 16).unwrap())
}

/// Reads what the client's own kernel holds, and expects a reset behind it.
fn expect_reset(client: &Client) {
    let mut buffer = vec![0; 1 << 16];
    let error = loop {
        match client.socket().read(&mut buffer) {
            Ok(0) => panic!("the close was not abortive"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[cfg(target_os = "linux")]
fn a_peer_cut_for_not_reading_leaves_nothing_in_the_kernel<E: Engine>() {
    let write_timeout = scaled(Duration::from_millis(300));
    let (service, events) = observe(LargeReply);
    let (running, addr) = serve::<E>(Limits { write_timeout, ..Limits::default() }, service);
    let client = connect_with_small_buffer(addr);
    client.send(b"go");
    assert_eq!(events.next_closed().1, CloseReason::WriteTimeout(write_timeout));
    running.await_counter("open", |open| open == 0);
    assert_eq!(unsent_in_kernel(addr, client.socket().local_addr().unwrap()), None);
    expect_reset(&client);
    running.drain();
}

/// Sends each frame to all connections.
#[derive(Default)]
struct Broadcaster(Vec<ConnId>);

impl Service for Broadcaster {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.0.push(cx.conn());
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.broadcast(&self.0, Payload::from(payload));
    }
}

#[cfg(target_os = "linux")]
fn a_slow_consumer_leaves_nothing_in_the_kernel<E: Engine>() {
    let (service, events) = observe(Broadcaster::default());
    let (running, addr) = serve::<E>(Limits::default(), service);
    let slow = connect_with_small_buffer(addr);
    events.next_opened();
    let mut speaker = Client::connect(addr);
    let message = vec![1; 64 * 1024];
    let (_, reason) = events.repeat_until_closed(|| speaker.echo(&message));
    assert!(matches!(reason, CloseReason::SlowConsumer(_)), "{reason:?}");
    running.await_counter("open", |open| open == 1);
    assert_eq!(unsent_in_kernel(addr, slow.socket().local_addr().unwrap()), None);
    expect_reset(&slow);
    drop(speaker);
    running.drain();
}

/// The real program, stopped and continued.
#[cfg(feature = "cli")]
mod pauses {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::thread;
    use std::time::Duration;

    use crate::program::{Program, Signal, millis};
    use crate::support::{guard, scaled};

    const HELLO: &[u8] = b"\0\0\0\x05hello";

    fn timeout() -> Duration {
        scaled(Duration::from_secs(1))
    }

    fn connect(address: &str) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn expect_echo(mut client: &TcpStream) {
        let mut reply = [0; HELLO.len()];
        client.read_exact(&mut reply).expect("a client that was in time was cut");
        assert_eq!(reply, HELLO);
    }

    /// Stops the server for longer than its timeouts, and calls `work` meanwhile.
    fn pause(server: &Program, work: impl FnOnce()) {
        server.signal(Signal::STOP);
        work();
        thread::sleep(timeout() * 2);
        server.signal(Signal::CONT);
    }

    /// The bytes come during the pause, so they are in time; and there are more clients than one
    /// poll reports.
    #[test]
    fn nobody_is_cut_for_a_pause_of_ours() {
        switchboard::raise_descriptor_limit().unwrap();
        let limit = millis(timeout());
        for (engine, count) in [("reactor", 1200), ("threads", 50)] {
            let limits = ["--frame-timeout", &limit, "--idle-timeout", &limit, "--write-timeout", &limit];
            let mut server = Program::serve(&[&limits[..], &["--engine", engine, "--listen", "127.0.0.1:0"]].concat());
            let address = server.address("tcp");
            let mut clients: Vec<_> = (0..count).map(|_| connect(&address)).collect();
            let (half, rest) = HELLO.split_at(6);
            for client in &mut clients {
                // The reply tells that the server has the half frame, too.
                client.write_all(&[HELLO, half].concat()).unwrap();
            }
            clients.iter().for_each(expect_echo);
            pause(&server, || {
                for client in &mut clients {
                    client.write_all(rest).unwrap();
                }
            });
            clients.iter().for_each(expect_echo);
            drop(clients);
            server.signal(Signal::TERM);
            assert_eq!(server.wait().code(), Some(0), "{engine}");
        }
    }

    /// A reader that read in the pause was in time, too.
    #[test]
    fn a_reader_that_read_in_the_pause_is_not_cut() {
        let limit = millis(timeout());
        for engine in ["reactor", "threads"] {
            let limits = ["--max-frame-bytes", "16MiB", "--write-timeout", &limit, "--engine", engine];
            let mut server = Program::serve(&[&limits[..], &["--listen", "127.0.0.1:0"]].concat());
            let mut client = connect(&server.address("tcp"));
            let payload = vec![7; 16 << 20];
            client.write_all(&u32::try_from(payload.len()).unwrap().to_be_bytes()).unwrap();
            client.write_all(&payload).unwrap();
            let mut reply = vec![0; 4 + payload.len()];
            let (first, rest) = reply.split_at_mut(1 << 20);
            client.read_exact(&mut first[..1]).unwrap();
            pause(&server, || client.read_exact(&mut first[1..]).unwrap());
            client.read_exact(rest).expect("a reader that was in time was cut");
            assert!(reply[4..] == payload, "{engine}");
        }
    }
}
