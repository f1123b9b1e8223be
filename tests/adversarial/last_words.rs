//! The last bytes before a close: line 6 of `docs/overload.md`.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{CloseReason, Context, Limits, Service};

use crate::support::{Client, Engine, conformance, decode_u32be_frames, encode_frame, guard, scaled, serve};

conformance! {
    last_words_arrive_although_a_mebibyte_is_unread,
    each_of_many_rejected_newcomers_is_told_why,
    replies_arrive_before_a_drain_while_input_goes_on,
}

/// Bytes that the server does not want.
const UNWANTED_BYTES: usize = 1 << 20;

/// Echoes; closes at `close`; says why it closes.
struct Talkative;

impl Service for Talkative {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match payload {
            b"close" => cx.close("asked to"),
            _ => cx.reply(payload),
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        cx.reply(format!("bye: {reason}").as_bytes());
    }
}

/// Sends `first` and then input without end. Returns a thread that ends with the connection.
fn send_unwanted(client: &Client, first: Vec<u8>) -> thread::JoinHandle<usize> {
    let mut socket = client.socket().try_clone().unwrap();
    thread::spawn(move || {
        let unwanted = [first, vec![0xee; UNWANTED_BYTES]].concat();
        // The write ends early if the server closes meanwhile.
        if socket.write_all(&unwanted).is_ok() { unwanted.len() } else { 0 }
    })
}

fn last_words_arrive_although_a_mebibyte_is_unread<E: Engine>() {
    let timeout = scaled(Duration::from_millis(500));
    let text = encode_frame("u32be", b"hello");
    let ends: [(&str, Vec<u8>, Limits); 4] = [
        ("asked to", encode_frame("u32be", b"close"), Limits::default()),
        ("frame too large", vec![0xff; 4], Limits::default()),
        // Half a frame, whose rest never comes.
        (
            "frame timeout",
            vec![0, 0xf, 0xff, 0xff],
            Limits { frame_timeout: timeout, max_frame_bytes: 8 << 20, ..Limits::default() },
        ),
        ("idle timeout", Vec::new(), Limits { idle_timeout: timeout, ..Limits::default() }),
    ];
    for (words, first, limits) in ends {
        let is_silent = words.ends_with("timeout");
        let (running, addr) = serve::<E>(Limits { linger_timeout: guard(), ..limits }, Talkative);
        let mut client = Client::connect(addr);
        client.send_bytes(&text);
        assert_eq!(client.receive(), b"hello");
        // After a timeout, the input comes only when the server has closed.
        let early = if is_silent {
            client.send_bytes(&first);
            None
        } else {
            Some(send_unwanted(&client, first))
        };
        let bye = String::from_utf8(client.receive()).unwrap();
        assert!(bye.starts_with("bye: ") && bye.contains(words), "{words}: {bye}");
        let sent = early.unwrap_or_else(|| send_unwanted(&client, Vec::new())).join().unwrap();
        assert!(sent > UNWANTED_BYTES - 1, "{words}: the server closed before all input was discarded");
        client.expect_end();
        drop(client);
        drop(running);
    }
}

/// Reads to the end of the stream; `None` if it is reset.
fn read_to_end(mut socket: &TcpStream) -> Option<Vec<u8>> {
    let mut received = Vec::new();
    socket.read_to_end(&mut received).ok().map(|_| received)
}

fn each_of_many_rejected_newcomers_is_told_why<E: Engine>() {
    let (running, addr) = serve::<E>(Limits { max_connections: 1, linger_timeout: guard(), ..Limits::default() }, Echo);
    let mut member = Client::connect(addr);
    member.echo(b"hello");
    // They send a request at once, as clients do, and keep their side open.
    let newcomers: Vec<_> = (0..200)
        .map(|_| {
            let client = Client::connect(addr);
            let _ = (&mut client.socket()).write_all(&encode_frame("u32be", b"hello"));
            client
        })
        .collect();
    for (number, client) in newcomers.iter().enumerate() {
        let received = read_to_end(client.socket()).unwrap_or_else(|| panic!("newcomer {number} was reset"));
        let words = decode_u32be_frames(&received);
        assert!(matches!(words[..], [words] if words.starts_with(b"server is full")), "newcomer {number}: {words:?}");
    }
    member.echo(b"still here");
    drop((member, newcomers));
    running.drain();
}

/// Clients that pipeline without end and read what comes: whole replies, the last words, an end.
fn replies_arrive_before_a_drain_while_input_goes_on<E: Engine>() {
    let limits = Limits { linger_timeout: guard(), drain_timeout: guard(), ..Limits::default() };
    let (running, addr) = serve::<E>(limits, Talkative);
    let clients: Vec<_> = (0..20).map(|_| pipeline(addr)).collect();
    running.handle.drain();
    for client in clients {
        let received = client.join().unwrap().expect("a client was reset");
        let frames = decode_u32be_frames(&received);
        let (last, replies) = frames.split_last().unwrap();
        assert_eq!(*last, b"bye: server is shutting down");
        for (number, reply) in replies.iter().enumerate() {
            assert_eq!(*reply, format!("request {number}").as_bytes());
        }
    }
    running.join();
}

/// Starts a client, waits for its first reply, and returns the thread that reads to the end.
fn pipeline(addr: SocketAddr) -> thread::JoinHandle<Option<Vec<u8>>> {
    let client = Client::connect(addr);
    let mut writer = client.socket().try_clone().unwrap();
    thread::spawn(move || {
        for number in 0_u32.. {
            let request = encode_frame("u32be", format!("request {number}").as_bytes());
            if writer.write_all(&request).is_err() {
                break;
            }
        }
    });
    let mut first = vec![0; encode_frame("u32be", b"request 0").len()];
    (&mut client.socket()).read_exact(&mut first).unwrap();
    thread::spawn(move || {
        let rest = read_to_end(client.socket());
        let _ = client.socket().shutdown(Shutdown::Both);
        rest.map(|rest| [first, rest].concat())
    })
}
