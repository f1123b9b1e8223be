//! Reads that end early although the socket has more data: at urgent data and at passed
//! descriptors. A loop that takes a short read as proof of an empty socket never reads the rest.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use switchboard::services::Echo;
use switchboard::{Endpoint, Framing, Limits, Reactor};

use crate::support::guard;

/// Lets `send` write to a socket before the loop first polls it, then expects the echo of `hello`.
fn expect_echo<S: Read>(endpoint: &str, send: impl FnOnce(&Endpoint) -> S) {
    let mut reactor = Reactor::new(Limits::default()).unwrap();
    let echo = reactor.add_service(Echo.options("echo"), Echo);
    let bound = reactor.listen(echo, &endpoint.parse().unwrap(), Framing::U8).unwrap();
    let handle = reactor.handle();
    let mut client = send(&bound);
    let engine = std::thread::spawn(move || reactor.run());
    let mut reply = [0; 6];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"\x05hello");
    handle.stop();
    engine.join().unwrap().unwrap();
}

#[test]
fn data_after_urgent_data_is_read_without_an_event() {
    expect_echo("127.0.0.1:0", |bound| {
        let Endpoint::Tcp(addr) = bound else { panic!("{bound}") };
        let mut client = TcpStream::connect(addr).unwrap();
        client.set_read_timeout(Some(guard())).unwrap();
        client.write_all(b"\x05he").unwrap();
        socket2::SockRef::from(&client).send_out_of_band(b"!").unwrap();
        client.write_all(b"llo").unwrap();
        client
    });
}

#[test]
fn data_after_passed_fd_is_read_without_an_event() {
    let path = std::env::temp_dir().join(format!("switchboard-urgent-{}", std::process::id()));
    expect_echo(&format!("unix:{}", path.display()), |_| {
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(guard())).unwrap();
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
