use std::io::Write;
use std::net::TcpStream;

use socket2::SockRef;

use crate::files::Folder;
use crate::server::{Server, close, failure};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Fetches into a file from whoever does this; returns what is said. Nothing is left behind.
fn lied_to(serve: impl FnMut(&mut TcpStream) + Send + 'static) -> String {
    let (server, folder) = (Server::start(serve), Folder::new());
    let said = failure(&server.get(&["-o", &folder.file("x")]));
    assert_eq!(folder.names(), [""; 0], "{said}");
    said
}

#[test]
fn a_lie_is_called_one() {
    let lengths = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n";
    for (answer, words) in [
        (String::new(), "closed the connection without an answer"),
        ("HTTP/1.1 200 OK\r\nA:".to_owned(), "in the middle of the answer's head, after 19 bytes"),
        (format!("{lengths}\r\nab"), "promised 3 bytes and closed the connection after 2"),
        (format!("{lengths}\r\nabcd"), "promised 3 bytes and sent more"),
        (format!("{lengths}Content-Length: 4\r\n\r\nabcd"), "several Content-Lengths, 3 and 4"),
        (format!("{lengths}Transfer-Encoding: chunked\r\n\r\nabc"), "a Content-Length and a Transfer-Encoding"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc".to_owned(), "no length: '-3'"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".to_owned(), "no length: '9999"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n".to_owned(),
            "it has 18446744073709551615 bytes",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc".to_owned(), "'gzip', which nobody asked for"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), "which HTTP/1.0 has not"),
        (format!("{CHUNKED}5\r\nab"), "in the middle of a chunked answer, after 2 bytes"),
        (format!("{CHUNKED}3\r\nabcd\r\n0\r\n\r\n"), "does not end where its size says"),
        (format!("{CHUNKED}zz\r\n"), "no number: 'zz"),
        (format!("{CHUNKED}fffffffffffffffff\r\n"), "more than can be counted"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(), "changes to another protocol"),
        ("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n".to_owned(), "malformed: invalid header name"),
        ("HTTP/3 200 OK\r\n\r\n".to_owned(), "answers in HTTP/3"),
        ("SSH-2.0-OpenSSH_9.6\r\n".to_owned(), "no HTTP server: its answer begins with 'SSH-2.0-OpenSSH_9.6'"),
        ("<html>hello</html>".to_owned(), "as HTTP/0.9 did"),
    ] {
        let shown = answer.clone();
        let said = lied_to(move |stream| {
            let _ = stream.write_all(answer.as_bytes());
            close(stream);
        });
        assert!(said.contains(words), "{shown}: {said}");
    }
}

/// Bytes that are no text: a server's first frame of HTTP/2, and an alert of TLS.
#[test]
fn who_speaks_another_protocol_is_recognised_at_once() {
    for (bytes, words) in
        [(&b"\0\0\x12\x04\0\0\0\0\0"[..], "speaks HTTP/2"), (b"\x15\x03\x03\0\x02\x02\x46", "speaks TLS")]
    {
        let (over, wait) = std::sync::mpsc::channel::<()>();
        // The connection stays open: there is nothing to wait for.
        let said = lied_to(move |stream| {
            stream.write_all(bytes).unwrap();
            let _ = wait.recv_timeout(crate::program::GUARD);
        });
        drop(over);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn what_never_ends_is_ended() {
    for (begins, goes_on, words) in [
        ("HTTP/1.1 200 OK\r\n", "A: b\r\n", "more than 65536 bytes"),
        ("HTTP/1.1 200 OK\r\nA: ", "x", "more than 65536 bytes"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n", "more than 16 interim answers"),
        (&format!("{CHUNKED}1;"), "x", "more than 16384 bytes of extensions"),
        (CHUNKED, "1;xxxxxxxx\r\na\r\n", "more than 16384 bytes of extensions"),
        (&format!("{CHUNKED}0\r\n"), "A: b\r\n", "more than 16384 bytes, and"),
        (CHUNKED, "0", "more than can be counted"),
    ] {
        let (begins, piece) = (begins.to_owned(), goes_on.repeat(1000));
        let said = lied_to(move |stream| {
            let mut sent = stream.write_all(begins.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(piece.as_bytes());
            }
        });
        assert!(said.contains(words), "{goes_on}: {said}");
    }
}

#[test]
fn a_hundred_fields_are_enough() {
    let fields = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(Server::answering([fields(100)]).get(&[]).status.code(), Some(0));
    let said = failure(&Server::answering([fields(101)]).get(&[]));
    assert!(said.contains("more than 100 header fields"), "{said}");
}

/// A reset, not an end: `SO_LINGER` of zero.
#[test]
fn a_connection_that_breaks_is_no_end() {
    for head in ["HTTP/1.1 200 OK\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "HTTP/1.1 2"] {
        let said = lied_to(move |stream| {
            stream.write_all(head.as_bytes()).unwrap();
            SockRef::from(&*stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            // The next connection is never made, and this one is closed when the closure's caller drops it.
        });
        // What had been received when the reset came is the network's affair.
        assert!(said.contains("the connection broke after") && said.contains("reset by the server"), "{said}");
    }
}
