use std::io::Write;
use std::net::TcpStream;

use socket2::SockRef;

use super::files::Folder;
use super::server::{Server, close, expect_failure};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Fetches into a file from a server that runs `script`; returns the error text. Checks that no
/// file is left.
fn lied_to(serve: impl FnMut(&mut TcpStream) + Send + 'static) -> String {
    let (server, folder) = (Server::start(serve), Folder::new());
    let stderr = expect_failure(&server.get(&["-o", &folder.file("x")]));
    assert_eq!(folder.names(), [""; 0], "{stderr}");
    stderr
}

#[test]
fn invalid_response_is_reported() {
    let lengths = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n";
    for (answer, expected) in [
        (String::new(), "closed the connection without a response"),
        ("HTTP/1.1 200 OK\r\nA:".to_owned(), "inside the response head, after 19 bytes"),
        (format!("{lengths}\r\nab"), "closed the connection after 2 of 3 bytes"),
        (format!("{lengths}\r\nabcd"), "sent more than the declared 3 bytes"),
        (format!("{lengths}Content-Length: 4\r\n\r\nabcd"), "conflicting Content-Length values: 3 and 4"),
        (format!("{lengths}Transfer-Encoding: chunked\r\n\r\nabc"), "both Content-Length and Transfer-Encoding"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc".to_owned(), "invalid Content-Length: '-3'"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".to_owned(), "invalid Content-Length: '9999"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n".to_owned(),
            "too large: 18446744073709551615 bytes",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc".to_owned(), "unsupported Transfer-Encoding: 'gzip'"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), "which HTTP/1.0 does not define"),
        (format!("{CHUNKED}5\r\nab"), "inside a chunked body, after 2 bytes"),
        (format!("{CHUNKED}3\r\nabcd\r\n0\r\n\r\n"), "its data or size line does not end with CRLF"),
        (format!("{CHUNKED}zz\r\n"), "invalid chunk size: 'zz"),
        (format!("{CHUNKED}fffffffffffffffff\r\n"), "it does not fit in 64 bits"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(), "switched to another protocol"),
        (
            "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n".to_owned(),
            "malformed response head: invalid header name in line 2, 'no colon here'",
        ),
        ("HTTP/1.1 200 OK\r\nA: b\r\nC\x1b[2J: d\r\n\r\n".to_owned(), r"in line 3, 'C\u{1b}[2J: d'"),
        ("HTTP/1.1 404 Not Found\r\nno colon\r\n\r\n".to_owned(), "the server responded 404 Not Found; malformed"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: x\r\n\r\n".to_owned(), "the server responded 404 Not Found\n"),
        (
            "HTTP/1.1 500 Oh\r\nContent-Length: 1\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
            "the server responded 500 Oh\n",
        ),
        ("HTTP/1.1 502 Bad Gateway\r\nA:".to_owned(), "the server responded 502 Bad Gateway; the server closed"),
        (format!("{CHUNKED}+5\r\nhello\r\n0\r\n\r\n"), "invalid chunk size: '+5'"),
        (format!("{CHUNKED}0x5\r\nhello\r\n0\r\n\r\n"), "invalid chunk size: '0x5'"),
        (format!("{CHUNKED} 5\r\nhello\r\n0\r\n\r\n"), "invalid chunk size: ' 5'"),
        (format!("{CHUNKED}5 5\r\nhello\r\n0\r\n\r\n"), "invalid chunk size: '5 5'"),
        (format!("{CHUNKED}\r\nhello\r\n0\r\n\r\n"), "invalid chunk size: ''"),
        ("HTTP/3 200 OK\r\n\r\n".to_owned(), "unsupported HTTP version: HTTP/3"),
        ("SSH-2.0-OpenSSH_9.6\r\n".to_owned(), "not an HTTP server: its response starts with 'SSH-2.0-OpenSSH_9.6'"),
        ("<html>hello</html>".to_owned(), "like HTTP/0.9"),
    ] {
        let shown = answer.clone();
        let stderr = lied_to(move |stream| {
            let _ = stream.write_all(answer.as_bytes());
            close(stream);
        });
        assert!(stderr.contains(expected), "{shown}: {stderr}");
    }
}

#[test]
fn response_without_body_ends_with_its_head() {
    for rest in
        ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "\r\nhello"]
    {
        let output = Server::answering([format!("HTTP/1.1 204 No Content\r\n{rest}")]).get(&[]);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b""[..]), "{rest}: {shown}");
        let stderr = expect_failure(&Server::answering([format!("HTTP/1.1 304 Not Modified\r\n{rest}")]).get(&[]));
        assert!(stderr.contains("the server responded 304 Not Modified"), "{stderr}");
    }
}

/// Binary bytes: the first frame of an HTTP/2 server, and a TLS alert.
#[test]
fn other_protocol_is_reported_at_once() {
    for (bytes, expected) in
        [(&b"\0\0\x12\x04\0\0\0\0\0"[..], "uses HTTP/2"), (b"\x15\x03\x03\0\x02\x02\x46", "uses TLS")]
    {
        let (client_done, done_receiver) = std::sync::mpsc::channel::<()>();
        // The connection stays open, and `get` must not wait for its end.
        let stderr = lied_to(move |stream| {
            stream.write_all(bytes).unwrap();
            let _ = done_receiver.recv_timeout(crate::guard::guard());
        });
        drop(client_done);
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn endless_response_parts_hit_their_limits() {
    for (begins, goes_on, expected) in [
        ("HTTP/1.1 200 OK\r\n", "A: b\r\n", "longer than the maximum of 65536 bytes"),
        ("HTTP/1.1 200 OK\r\nA: ", "x", "longer than the maximum of 65536 bytes"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n", "more than 16 interim responses"),
        (&format!("{CHUNKED}1;"), "x", "extensions are longer than the maximum of 16384 bytes"),
        (CHUNKED, "1;xxxxxxxx\r\na\r\n", "extensions are longer than the maximum of 16384 bytes"),
        (&format!("{CHUNKED}0\r\n"), "A: b\r\n", "trailers are longer than the maximum of 16384 bytes"),
        (CHUNKED, "0", "it does not fit in 64 bits"),
    ] {
        let (begins, piece) = (begins.to_owned(), goes_on.repeat(1000));
        let stderr = lied_to(move |stream| {
            let mut sent = stream.write_all(begins.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(piece.as_bytes());
            }
        });
        assert!(stderr.contains(expected), "{goes_on}: {stderr}");
    }
}

#[test]
fn more_than_100_header_fields_are_rejected() {
    let fields = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(Server::answering([fields(100)]).get(&[]).status.code(), Some(0));
    let stderr = expect_failure(&Server::answering([fields(101)]).get(&[]));
    assert!(stderr.contains("more than the maximum of 100 header fields"), "{stderr}");
}

/// A reset, not an end: `SO_LINGER` of zero.
#[test]
fn reset_is_not_the_end_of_a_body() {
    for head in ["HTTP/1.1 200 OK\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "HTTP/1.1 2"] {
        let stderr = lied_to(move |stream| {
            stream.write_all(head.as_bytes()).unwrap();
            SockRef::from(&*stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            // The client makes no second connection. The caller of the closure drops and so closes
            // this one.
        });
        // What had been received when the reset came is the network's affair.
        assert!(stderr.contains("connection lost: reset by the server (received "), "{stderr}");
    }
}
