//! Peers that hold memory: line 2 of `docs/overload.md`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};

use switchboard::{ConnId, Context, Limits, Peer, Service};

use crate::support::{Client, Engine, conformance, encode_frame, serve_echo, serve_with, write_until_blocked};

conformance! {
    honest_newcomers_are_served_while_others_fill_the_memory,
    a_batch_for_many_slow_readers_counts_once,
    bytes_that_a_service_holds_close_the_largest_holder,
    #[cfg(target_os = "linux")]
    half_frames_stay_within_the_limit,
    #[cfg(target_os = "linux")]
    unread_replies_stay_within_the_limit,
    #[cfg(target_os = "linux")]
    undecoded_requests_stay_within_the_limit,
}

const MIB: usize = 1 << 20;

/// Starts `count` clients that send as much as they can of a frame without its end, and come again
/// whenever they are cut. They end with the server.
fn start_rude_clients(addr: SocketAddr, count: usize) -> Vec<JoinHandle<()>> {
    let rude = move || {
        let most_of_a_frame = encode_frame("u32be", &vec![7; MIB])[..MIB].to_vec();
        while let Ok(mut stream) = TcpStream::connect(addr) {
            let _ = stream.write_all(&most_of_a_frame);
            while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
        }
    };
    (0..count).map(|_| thread::spawn(rude)).collect()
}

/// The rude share their address with the honest, so only the reserve can keep a place for these.
fn honest_newcomers_are_served_while_others_fill_the_memory<E: Engine>() {
    let (running, addr) = serve_echo::<E>(Limits { max_buffered_bytes: 16 * MIB, ..Limits::default() });
    let rude = start_rude_clients(addr, 60);
    running.await_counter("buffered_bytes", |bytes| bytes >= 12 << 20);
    for number in 0..40_u32 {
        let mut honest = Client::connect(addr);
        honest.echo(&[number as u8; 4_000]);
        honest.echo(b"again");
    }
    let counters = running.counters();
    assert!(counters["buffered_bytes"] <= 20 << 20, "{counters:?}");
    running.handle.stop();
    drop(running);
    for thread in rude {
        thread.join().unwrap();
    }
}

/// Sends each frame to all connections.
#[derive(Default)]
struct ToAll(Vec<ConnId>);

impl Service for ToAll {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.0.push(cx.conn());
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.broadcast(&self.0, payload);
    }
}

/// 20 members that do not read share 40 messages of 256 KiB: 10 MiB, which is not 200 MiB. The
/// kernel takes some of them.
fn a_batch_for_many_slow_readers_counts_once<E: Engine>() {
    let limits = Limits { max_buffered_bytes: 32 * MIB, max_write_buffer_bytes: 64 * MIB, ..Limits::default() };
    let (running, addr) = serve_with::<E>(limits, "test", ToAll::default());
    let members: Vec<Client> = (0..20).map(|_| Client::connect(addr)).collect();
    running.await_counter("open", |open| open == 20);
    let mut sender = Client::connect(addr);
    for number in 0..40_u8 {
        assert_eq!(sender.ask(&vec![number; 256 * 1024])[0], number);
    }
    let counters = running.counters();
    let shared_mib = counters["shared_bytes"] >> 20;
    assert!((1..=11).contains(&shared_mib) && counters["buffered_bytes"] < 8 << 20, "{counters:?}");
    Client::connect(addr).ask(b"a newcomer is served");
    drop((members, sender));
    running.await_counter("open", |open| open == 0);
    running.await_counter("shared_bytes", |bytes| bytes == 0);
    running.drain();
}

/// Keeps each frame for ever, and says so.
#[derive(Default)]
struct Keeper {
    kept: Vec<Vec<u8>>,
    bytes: usize,
}

impl Service for Keeper {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        self.bytes += payload.len();
        self.kept.push(payload.to_vec());
        cx.hold(cx.conn(), self.bytes);
        cx.reply(b"kept");
    }
}

fn bytes_that_a_service_holds_close_the_largest_holder<E: Engine>() {
    let limits = Limits { max_buffered_bytes: 16 * MIB, max_write_buffer_bytes: 64 * MIB, ..Limits::default() };
    let (running, addr) = serve_with::<E>(limits, "test", Keeper::default());
    let mut largest = Client::connect(addr);
    // A peer is not read above the limit, so its last request stays without an answer.
    write_until_blocked(largest.socket(), &encode_frame("u32be", &vec![7; 256 * 1024]), || {
        running.counters();
    });
    let mut answers = 0;
    while largest.receive_or_end().is_some() {
        answers += 1;
    }
    assert!((30..80).contains(&answers), "{answers} requests of 256 KiB were kept");
    running.await_counter("buffered_bytes", |bytes| bytes == 0);
    Client::connect(addr).ask(b"a newcomer is served");
    running.drain();
}

#[cfg(target_os = "linux")]
use child::{
    half_frames_stay_within_the_limit, undecoded_requests_stay_within_the_limit, unread_replies_stay_within_the_limit,
};

/// The memory that a server of its own really has, as the kernel counts it.
#[cfg(target_os = "linux")]
mod child {
    use std::any::type_name;
    use std::io::{BufRead, BufReader};
    use std::net::{SocketAddr, TcpStream};
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::MIB;
    use crate::support::{Client, Engine, encode_frame, write_until_blocked};

    /// The limit of the servers below.
    const LIMIT: usize = 32 * MIB;

    /// What a server holds besides the bytes of its peers: the buffers of the loop and its pool of
    /// buffers; on the threaded engine, the stacks of 100 threads.
    const CONSTANT: usize = 12 * MIB;

    struct Server {
        child: Child,
        _output: BufReader<ChildStdout>,
        addr: SocketAddr,
    }

    impl Server {
        fn start<E: Engine>() -> Self {
            let engine = if type_name::<E>().ends_with("Reactor") { "reactor" } else { "threads" };
            let limit = LIMIT.to_string();
            let args = ["serve", "echo", "--listen", "127.0.0.1:0", "--engine", engine, "--max-buffered-bytes", &limit];
            let mut child = Command::new(env!("CARGO_BIN_EXE_switchboard"))
                .args(args)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut output = BufReader::new(child.stdout.take().unwrap());
            let addr = loop {
                let mut line = String::new();
                assert!(output.read_line(&mut line).unwrap() > 0, "the server did not start");
                if let ["listening", _, "tcp", addr] = line.trim().split(' ').collect::<Vec<_>>()[..] {
                    break addr.parse().unwrap();
                }
            };
            Self { child, _output: output, addr }
        }

        /// Returns a size in bytes from /proc: `VmRSS` is the memory that it has now, `VmHWM` the
        /// most that it had.
        fn memory(&self, name: &str) -> usize {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            kib * 1024
        }

        /// Asserts that its peers made it take at most 1.25 times its limit and a constant.
        fn assert_within_limit(&self, before: usize) {
            let grown = self.memory("VmHWM") - before;
            let most = LIMIT + LIMIT / 4 + CONSTANT;
            assert!(grown <= most, "{} KiB at a limit of {} KiB", grown / 1024, LIMIT / 1024);
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Connects 100 peers that send `bytes` again and again and read nothing, until the server
    /// reads no more. Returns those that are still connected.
    fn flood_from_100(server: &Server, bytes: impl Fn(usize) -> Vec<u8>) -> Vec<TcpStream> {
        let threads: Vec<_> = (0..100)
            .map(|number| {
                let stream = Client::connect(server.addr).socket().try_clone().unwrap();
                let bytes = bytes(number);
                thread::spawn(move || {
                    write_until_blocked(&stream, &bytes, || {});
                    stream
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }

    /// Each frame ends a little above a power of two, where a buffer that doubles is half empty.
    pub(super) fn half_frames_stay_within_the_limit<E: Engine>() {
        let server = Server::start::<E>();
        let before = server.memory("VmRSS");
        let peers: Vec<Client> = (0..100)
            .map(|number| {
                let peer = Client::connect(server.addr);
                peer.socket().set_nonblocking(true).unwrap();
                let bytes = (256 << (number % 2)) * 1024 + 4_096;
                let mut rest = &encode_frame("u32be", &vec![7; MIB])[..bytes];
                let begun = Instant::now();
                while !rest.is_empty() && begun.elapsed() < Duration::from_millis(500) {
                    match std::io::Write::write(&mut peer.socket(), rest) {
                        Ok(written) => rest = &rest[written..],
                        Err(_) => thread::yield_now(),
                    }
                }
                peer
            })
            .collect();
        Client::connect(server.addr).echo(b"a newcomer is served");
        server.assert_within_limit(before);
        drop(peers);
    }

    pub(super) fn unread_replies_stay_within_the_limit<E: Engine>() {
        let server = Server::start::<E>();
        let before = server.memory("VmRSS");
        let peers = flood_from_100(&server, |_| encode_frame("u32be", &vec![7; 60_000]));
        Client::connect(server.addr).echo(b"a newcomer is served");
        server.assert_within_limit(before);
        drop(peers);
    }

    /// The requests are so small that the rest of a read waits undecoded behind its first replies.
    pub(super) fn undecoded_requests_stay_within_the_limit<E: Engine>() {
        let server = Server::start::<E>();
        let before = server.memory("VmRSS");
        let peers = flood_from_100(&server, |number| encode_frame("u32be", &[7; 20]).repeat(2_000 + number));
        Client::connect(server.addr).echo(b"a newcomer is served");
        server.assert_within_limit(before);
        drop(peers);
    }
}
