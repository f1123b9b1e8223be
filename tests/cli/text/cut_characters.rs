//! Characters that the network cuts between two reads of a stream without frames.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::{call, ended, expect};
use crate::guard::guard;
use crate::program::SocketPath;

/// The bytes of the first piece. A socket with the smallest send buffer is not writable until the
/// client has read them (unix(7)).
const PIECE_BYTES: usize = 4000;

/// Accepts the client, with the smallest send buffer.
fn accept(listener: &UnixListener) -> UnixStream {
    await_ready(listener, PollFlags::IN);
    let (peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(guard())).unwrap();
    SockRef::from(&peer).set_send_buffer_size(1).unwrap();
    peer
}

fn await_ready(fd: &impl std::os::fd::AsFd, flags: PollFlags) {
    let limit = Timespec { tv_sec: guard().as_secs().try_into().unwrap(), tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(fd, flags)], Some(&limit)).unwrap(), 1, "the client does nothing");
}

/// Sends the start of a text, waits until the client has read it, and sends the rest.
fn write_cut(peer: &mut UnixStream, bytes: &[u8], at: usize) {
    let (start, rest) = bytes.split_at(at);
    peer.write_all(start).unwrap();
    await_ready(peer, PollFlags::OUT);
    peer.write_all(rest).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn cut_character_of_a_reply_is_one_character() {
    for (label, character) in [
        ("utf-8", "你"),
        ("utf-8", "😀"),
        ("gbk", "你"),
        ("gb18030", "😀"),
        ("big5", "你"),
        ("shift_jis", "日"),
        ("euc-kr", "한"),
    ] {
        let encoding: switchboard::TextEncoding = label.parse().unwrap();
        let bytes = encoding.encode(character).unwrap();
        for cut in 1..bytes.len() {
            let path = SocketPath::new();
            let listener = UnixListener::bind(path.path()).unwrap();
            let program = call(&["robot", &path.listen(), "--encoding", label], b"one\ntwo\n");
            let mut peer = accept(&listener);
            expect(&mut peer, b"one");
            let start = "x".repeat(PIECE_BYTES);
            write_cut(&mut peer, &[start.as_bytes(), &bytes, b"end"].concat(), PIECE_BYTES + cut);
            expect(&mut peer, b"two");
            peer.write_all(b"2").unwrap();
            drop(peer);
            let result = ended(program);
            assert_eq!(result, (Some(0), format!("{start}{character}end\n2\n"), String::new()), "{label}, {cut}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn cut_character_of_unrequested_text_is_one_character() {
    let path = SocketPath::new();
    let listener = UnixListener::bind(path.path()).unwrap();
    let program = call(&["robot", &path.listen()], b"");
    let mut peer = accept(&listener);
    let start = "x".repeat(PIECE_BYTES);
    write_cut(&mut peer, format!("{start}你好").as_bytes(), PIECE_BYTES + 4);
    drop(peer);
    assert_eq!(ended(program), (Some(0), format!("{start}你好\n"), String::new()));
}

#[test]
fn cut_character_at_the_end_is_replaced() {
    let path = SocketPath::new();
    let listener = UnixListener::bind(path.path()).unwrap();
    let program = call(&["robot", &path.listen()], b"one\n");
    let mut peer = accept(&listener);
    expect(&mut peer, b"one");
    peer.write_all(b"caf\xe9").unwrap();
    drop(peer);
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*printed), (Some(0), "caf\u{fffd}\n"));
    assert!(log.contains("not valid UTF-8"), "{log}");
}
