//! `TextSocket` from outside: text over UDP, against plain sockets and Python's.

use std::io::{self, BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use switchboard::TextEncoding;
use switchboard::client::{TextSocket, TextSocketError};

use crate::guard::guard;

fn plain(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    socket
}

fn text(address: &str, label: &str) -> TextSocket {
    let socket = TextSocket::bind(address, label.parse().unwrap()).unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    socket
}

#[test]
fn text_is_bytes_of_its_encoding_in_one_datagram() {
    for (label, text_sent, bytes_sent) in
        [("utf-8", "né 你", &b"n\xc3\xa9 \xe4\xbd\xa0"[..]), ("gbk", "你好", b"\xc4\xe3\xba\xc3"), ("gbk", "", b"")]
    {
        let (socket, peer) = (text("127.0.0.1:0", label), plain("127.0.0.1:0"));
        assert_eq!(socket.encoding(), label.parse().unwrap());
        socket.send_to(text_sent, peer.local_addr().unwrap()).unwrap();
        let mut bytes = [0; 64];
        let (count, from) = peer.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..count], from), (bytes_sent, socket.local_addr().unwrap()));
        peer.send_to(bytes_sent, from).unwrap();
        assert_eq!(socket.recv_from().unwrap(), (text_sent.to_owned(), peer.local_addr().unwrap()));
    }
}

#[test]
fn connected_socket_receives_from_its_peer_only() {
    let (socket, peer, stranger) = (text("127.0.0.1:0", "utf-8"), plain("127.0.0.1:0"), plain("127.0.0.1:0"));
    socket.connect(peer.local_addr().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    stranger.send_to(b"psst", address).unwrap();
    peer.send_to(b"hello", address).unwrap();
    assert_eq!(socket.recv().unwrap(), "hello");
    socket.send("hi").unwrap();
    let mut bytes = [0; 64];
    assert_eq!(peer.recv(&mut bytes).unwrap(), 2);
    // The bound socket keeps the port; connected to another peer, it accepts no other datagram.
    peer.connect(stranger.local_addr().unwrap()).unwrap();
    socket.send("still there?").unwrap();
    let Err(TextSocketError::Io(error)) = socket.recv() else { panic!() };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn invalid_text_is_an_error_and_the_next_is_read() {
    let (socket, peer) = (text("127.0.0.1:0", "gbk"), plain("127.0.0.1:0"));
    let address = socket.local_addr().unwrap();
    peer.send_to(b"a\xff", address).unwrap();
    peer.send_to(b"fine", address).unwrap();
    let error = socket.recv().unwrap_err();
    let peer = peer.local_addr().unwrap();
    assert_eq!(error.to_string(), format!("invalid GBK text from {peer} (2 bytes)"));
    let TextSocketError::InvalidText { bytes, from, encoding } = error else { panic!("{error}") };
    assert_eq!((&*bytes, from, encoding), (&b"a\xff"[..], peer, "gbk".parse().unwrap()));
    assert_eq!(socket.recv().unwrap(), "fine");
}

#[test]
fn datagram_over_max_bytes_is_reported_as_truncated() {
    let (socket, peer) = (text("127.0.0.1:0", "utf-8").max_bytes(4), plain("127.0.0.1:0"));
    let address = socket.local_addr().unwrap();
    for sent in [&b"four"[..], b"fives", &[b'x'; 5000], b""] {
        peer.send_to(sent, address).unwrap();
    }
    assert_eq!(socket.recv().unwrap(), "four");
    for (sent, first) in [(5, b"five"), (5000, b"xxxx")] {
        let error = socket.recv().unwrap_err();
        let TextSocketError::Truncated { ref bytes, datagram_bytes, from } = error else { panic!("{error}") };
        assert_eq!((&**bytes, from), (&first[..], peer.local_addr().unwrap()));
        if cfg!(target_os = "linux") {
            assert_eq!(datagram_bytes, Some(sent));
            assert_eq!(error.to_string(), format!("datagram from {from} too large: {sent} bytes (maximum 4)"));
        }
    }
    assert_eq!(socket.recv().unwrap(), "", "the bound is about each datagram by itself");
}

#[test]
fn largest_udp_datagram_is_received() {
    for (any, longest) in [("127.0.0.1:0", 65_507), ("[::1]:0", 65_527)] {
        let (socket, peer) = (text(any, "utf-8"), plain(any));
        peer.send_to(&vec![b'x'; longest], socket.local_addr().unwrap()).unwrap();
        assert_eq!(socket.recv().unwrap().len(), longest);
    }
}

#[test]
fn a_text_longer_than_a_datagram_is_rejected() {
    for (address, most) in [("127.0.0.1:0", 65_507), ("[::1]:0", 65_527)] {
        let Ok(peer) = UdpSocket::bind(address) else {
            eprintln!("skipped: no {address} here");
            continue;
        };
        let to = peer.local_addr().unwrap();
        let socket = text(address, "utf-8");
        let fits = "x".repeat(most);
        socket.send_to(&fits, to).unwrap();
        let too_large = format!("{fits}x");
        socket.connect(to).unwrap();
        for sent in [socket.send_to(&too_large, to), socket.send(&too_large)] {
            let Err(TextSocketError::TooLarge { text_bytes: bytes, max_bytes }) = sent else { panic!("{sent:?}") };
            assert_eq!((bytes, max_bytes), (most + 1, most));
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn path_mtu_limits_the_text() {
    use rustix::net::sockopt::{Ipv4PathMtuDiscovery, ip_mtu, set_ip_mtu_discover};
    let (socket, peer) = (text("127.0.0.1:0", "utf-8"), plain("127.0.0.1:0"));
    socket.connect(peer.local_addr().unwrap()).unwrap();
    // Datagrams must not be split.
    set_ip_mtu_discover(socket.socket(), Ipv4PathMtuDiscovery::DO).unwrap();
    let path = ip_mtu(socket.socket()).unwrap() as usize - 28;
    if path >= 65_507 {
        eprintln!("skipped: the loopback carries any datagram here");
        return;
    }
    let sent = socket.send(&"x".repeat(path + 1));
    let Err(TextSocketError::TooLarge { text_bytes: bytes, max_bytes }) = sent else { panic!("{sent:?}") };
    assert_eq!((bytes, max_bytes), (path + 1, path));
}

#[test]
fn an_unencodable_character_is_named_and_not_sent() {
    let (socket, peer) = (text("127.0.0.1:0", "latin1"), plain("127.0.0.1:0"));
    let to = peer.local_addr().unwrap();
    let Err(TextSocketError::Unencodable(unwritable)) = socket.send_to("né 你", to) else { panic!() };
    assert_eq!((unwritable.character, unwritable.encoding), ('你', "latin1".parse().unwrap()));
    socket.send_to("né", to).unwrap();
    let mut bytes = [0; 64];
    assert_eq!(peer.recv(&mut bytes).unwrap(), 2);
}

#[test]
fn silence_is_a_timeout() {
    let socket = text("127.0.0.1:0", "utf-8");
    socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    assert!(matches!(socket.recv(), Err(TextSocketError::Timeout)));
    let Err(TextSocketError::Io(error)) = socket.set_read_timeout(Some(Duration::ZERO)) else { panic!() };
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn broadcast_must_be_enabled() {
    let receiver = plain("0.0.0.0:0");
    let to = ([127, 255, 255, 255], receiver.local_addr().unwrap().port()).into();
    let socket = TextSocket::bind("0.0.0.0:0", TextEncoding::UTF_8).unwrap();
    let Err(TextSocketError::Io(error)) = socket.send_to("all", to) else { panic!() };
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    socket.set_broadcast(true).unwrap();
    socket.send_to("all", to).unwrap();
    assert_eq!(receiver.recv(&mut [0; 64]).unwrap(), 3);
}

#[test]
fn python_answers_in_gbk() {
    let script = "
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.settimeout(20)
server.bind(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
said, client = server.recvfrom(65535)
server.sendto(('你好' + said.decode('gbk')).encode('gbk'), client)
";
    let Ok(mut child) = Command::new("python3").args(["-c", script]).stdout(Stdio::piped()).spawn() else {
        eprintln!("skipped: there is no python3");
        return;
    };
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let socket = text("127.0.0.1:0", "gbk");
    socket.connect(format!("127.0.0.1:{}", port.trim())).unwrap();
    socket.send("世界").unwrap();
    assert_eq!(socket.recv().unwrap(), "你好世界");
    assert!(child.wait().unwrap().success());
}
