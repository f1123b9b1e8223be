//! What ends a read early without emptying the socket. A loop that takes a short read for an empty socket is deaf from then on.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use switchboard::services::Echo;
use switchboard::{Endpoint, Framing, Limits, Reactor};

/// Nothing waits for it to pass.
const GUARD: Duration = Duration::from_secs(20);

/// Has `send` fill a socket before the loop first looks at it, then expects the echo of `hello`.
fn echoes<S: Read>(endpoint: &str, send: impl FnOnce(&Endpoint) -> S) {
    let mut reactor = Reactor::new(Limits::default()).unwrap();
    let echo = reactor.add_service("echo", Echo);
    let bound = reactor.listen(echo, &endpoint.parse().unwrap(), Framing::U8).unwrap();
    let handle = reactor.handle();
    let mut client = send(&bound);
    let engine = std::thread::spawn(move || reactor.run());
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\x05hello");
    handle.stop();
    engine.join().unwrap().unwrap();
}

#[test]
fn what_follows_urgent_data_is_read_without_another_event() {
    echoes("127.0.0.1:0", |bound| {
        let Endpoint::Tcp(addr) = bound else { panic!("{bound}") };
        let mut client = TcpStream::connect(addr).unwrap();
        client.set_read_timeout(Some(GUARD)).unwrap();
        client.write_all(b"\x05he").unwrap();
        socket2::SockRef::from(&client).send_out_of_band(b"!").unwrap();
        client.write_all(b"llo").unwrap();
        client
    });
}

#[test]
fn what_follows_a_passed_descriptor_is_read_without_another_event() {
    let path = std::env::temp_dir().join(format!("switchboard-urgent-{}", std::process::id()));
    echoes(&format!("unix:{}", path.display()), |_| {
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(GUARD)).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let stdin = std::io::stdin();
        let passed = [stdin.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
        sendmsg(&client, &[IoSlice::new(b"\x05he")], &mut control, SendFlags::empty()).unwrap();
        client.write_all(b"llo").unwrap();
        client
    });
}
