//! Draining under load: line 7 of `docs/overload.md`.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use switchboard::services::Echo;
use switchboard::{Context, Limits, Service};

use crate::support::{Client, Engine, conformance, decode_u32be_frames, encode_frame, guard, scaled, serve};

conformance! {
    a_slow_download_ends_between_two_frames,
    a_drain_ends_by_its_deadline_whoever_stalls,
    jitter_spreads_the_closes_and_serves_until_then,
}

/// Replies with as many bytes as one piece of a download has.
struct Pieces;

const PIECE_BYTES: usize = 64 * 1024;
const PIECES: usize = 16 * 1024;

impl Service for Pieces {
    fn on_frame(&mut self, cx: &mut Context<'_>, _payload: &[u8]) {
        cx.reply(&vec![7; PIECE_BYTES]);
    }
}

fn a_slow_download_ends_between_two_frames<E: Engine>() {
    let drain_timeout = scaled(Duration::from_secs(2));
    let (running, addr) = serve::<E>(Limits { drain_timeout, ..Limits::default() }, Pieces);
    let client = Client::connect(addr);
    // 1 GiB: far more than the kernel buffers and this client reads in time.
    client.send_bytes(&encode_frame("u32be", b"").repeat(PIECES));
    let mut stream = vec![0; PIECE_BYTES];
    let mut socket = client.socket();
    socket.read_exact(&mut stream).unwrap();
    running.handle.drain();
    let (ended, end) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let _ = ended.send(running.join());
    });
    let mut piece = [0; 16 * 1024];
    let stats = loop {
        // About a megabyte in a second.
        if let Ok(stats) = end.recv_timeout(Duration::from_millis(16)) {
            break stats;
        }
        let count = socket.read(&mut piece).expect("the connection was reset");
        stream.extend_from_slice(&piece[..count]);
    };
    socket.read_to_end(&mut stream).expect("the connection was reset");
    let pieces = decode_u32be_frames(&stream);
    assert!(!pieces.is_empty() && pieces.len() < PIECES, "{}", pieces.len());
    assert!(pieces.iter().all(|piece| piece.len() == PIECE_BYTES));
    assert_eq!(stats.drain_cuts, 1, "{stats}");
}

fn a_drain_ends_by_its_deadline_whoever_stalls<E: Engine>() {
    let drain_timeout = scaled(Duration::from_secs(1));
    let (running, addr) = serve::<E>(Limits { drain_timeout, linger_timeout: guard(), ..Limits::default() }, Pieces);
    let clients: Vec<_> = (0..20).map(|_| Client::connect(addr)).collect();
    for client in &clients {
        (0..200).for_each(|_| client.send(b""));
        // The server has begun to reply.
        client.socket().read_exact(&mut [0]).unwrap();
    }
    let begun = Instant::now();
    running.handle.drain();
    running.join();
    assert!(begun.elapsed() < 2 * drain_timeout, "{:?} for {drain_timeout:?}", begun.elapsed());
}

/// Returns true if a reply comes, and not the end of the stream or a reset.
fn receives(client: &mut Client) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.receive_or_end())).is_ok_and(|it| it.is_some())
}

fn jitter_spreads_the_closes_and_serves_until_then<E: Engine>() {
    let drain_jitter = scaled(Duration::from_secs(1));
    let limits = Limits { drain_jitter, drain_timeout: 4 * drain_jitter, ..Limits::default() };
    let (running, addr) = serve::<E>(limits, Echo);
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let mut client = Client::connect(addr);
            client.echo(b"hello");
            client
        })
        .collect();
    let begun = Instant::now();
    running.handle.drain();
    let clients = clients.into_iter().map(|mut client| {
        thread::spawn(move || {
            let mut replies = 0;
            // A request that is on its way when the server closes gets no reply.
            while client.socket().write_all(&encode_frame("u32be", b"still there?")).is_ok() && receives(&mut client) {
                replies += 1;
                thread::sleep(Duration::from_millis(5));
            }
            (begun.elapsed(), replies)
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut ends: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    ends.sort_unstable();
    let (first, _) = ends[0];
    let (last, replies) = ends[ends.len() - 1];
    assert!(last.checked_sub(first).unwrap() > drain_jitter / 2, "all closed between {first:?} and {last:?}");
    assert!(replies > 0, "the last client was not served until its close");
    running.join();
}

/// The real program, with SIGTERM.
#[cfg(feature = "cli")]
mod signals {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use crate::program::{Program, Signal};
    use crate::support::{decode_u32be_frames, encode_frame, guard};

    /// What the server's kernel had acknowledged before the signal is answered.
    #[test]
    fn each_request_that_had_arrived_is_answered() {
        for engine in ["reactor", "threads"] {
            let mut server = Program::serve(&["--engine", engine, "--listen", "127.0.0.1:0"]);
            let address = server.address("tcp");
            let requests: Vec<u8> =
                (0..500).flat_map(|number| encode_frame("u32be", format!("request {number}").as_bytes())).collect();
            let mut clients: Vec<_> = (0..50).map(|_| TcpStream::connect(&address).unwrap()).collect();
            for client in &mut clients {
                client.set_read_timeout(Some(guard())).unwrap();
                client.write_all(&encode_frame("u32be", b"hello")).unwrap();
                client.read_exact(&mut [0; 9]).unwrap();
            }
            server.signal(Signal::STOP);
            for client in &mut clients {
                client.write_all(&requests).unwrap();
                // Half a request behind them is no reason for anything.
                client.write_all(b"\0\0").unwrap();
            }
            server.signal(Signal::TERM);
            server.signal(Signal::CONT);
            for (number, client) in clients.iter_mut().enumerate() {
                let mut replies = Vec::new();
                client.read_to_end(&mut replies).unwrap();
                assert_eq!(decode_u32be_frames(&replies).len(), 500, "{engine}: client {number}");
            }
            drop(clients);
            assert_eq!(server.wait().code(), Some(0), "{engine}");
        }
    }
}
