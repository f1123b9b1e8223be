use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use socket2::Type;

use super::server::{Server, close, expect_failure, expect_success, run};
use crate::guard::{guard, scaled};
use crate::localhost::{alone_at_localhost, refusing};
use crate::program::millis;

/// Starts a server that sends `bytes` and then stays silent until the returned value is dropped.
fn silent_after(bytes: &'static [u8]) -> (Server, std::sync::mpsc::Sender<()>) {
    let (client_done, done_receiver) = channel::<()>();
    let server = Server::start(move |stream| {
        stream.write_all(bytes).unwrap();
        let _ = done_receiver.recv_timeout(guard());
    });
    (server, client_done)
}

#[test]
fn silent_server_hits_the_stall_timeout() {
    for (sent, received) in [
        (&b""[..], 0),
        (b"HTTP/1.1 200 OK\r\nA: ", 0),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", 5),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 5),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", 5),
    ] {
        let (server, _client_done) = silent_after(sent);
        let stderr = expect_failure(&server.get(&["--stall-timeout", "1s"]));
        assert!(
            stderr.contains(&format!("timeout: no data for 1s (received {received} bytes); raise --stall-timeout")),
            "{stderr}"
        );
    }
}

/// It takes longer than the limit for a byte, and each byte comes long before that.
#[test]
fn each_byte_restarts_the_stall_timeout() {
    let limit = scaled(Duration::from_secs(1));
    let server = Server::start(move |stream| {
        for drip in "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n|h|e|l|l|o|!".split('|') {
            std::thread::sleep(limit / 5);
            stream.write_all(drip.as_bytes()).unwrap();
        }
        close(stream);
    });
    assert_eq!(expect_success(server.get(&["--stall-timeout", &millis(limit)])), "hello!");
}

/// Each byte arrives well before the idle timeout, but the response never ends.
#[test]
fn slow_response_hits_the_total_timeout() {
    for start in ["", "HTTP/1.1 200 OK\r\n\r\n"] {
        let (client_done, done_receiver) = channel::<()>();
        let server = Server::start(move |stream| {
            stream.write_all(start.as_bytes()).unwrap();
            let begins = if start.is_empty() { "HTTP/1.1 200 OK\r\nA: " } else { "" };
            for drip in begins.chars().chain(std::iter::repeat('b')) {
                let waited = done_receiver.recv_timeout(Duration::from_millis(10));
                if waited != Err(RecvTimeoutError::Timeout) || write!(stream, "{drip}").is_err() {
                    break;
                }
            }
        });
        let stderr = expect_failure(&server.get(&["--timeout", "500ms", "--stall-timeout", "10s"]));
        assert!(
            stderr.contains("timeout: not complete after 500ms (received ") && stderr.contains("; raise --timeout"),
            "{stderr}"
        );
        drop(client_done);
    }
}

/// It always has something to read, and is ended all the same.
#[test]
fn endless_body_hits_a_limit() {
    for (args, expected) in [
        (&["--max-bytes", "1M"][..], "more than the maximum of 1048576 bytes; raise --max-bytes"),
        (&["--timeout", "300ms", "--max-bytes", "0"], "timeout: not complete after 300ms"),
    ] {
        for head in ["\r\n", "Transfer-Encoding: chunked\r\n\r\n"] {
            let server = Server::start(move |stream| {
                let piece = if head.len() > 2 { format!("1000\r\n{}\r\n", "x".repeat(4096)) } else { "x".repeat(4096) };
                let mut sent = write!(stream, "HTTP/1.1 200 OK\r\n{head}");
                while sent.is_ok() {
                    sent = stream.write_all(piece.as_bytes());
                }
            });
            let output = server.get(&[args, &["-o", "/dev/null"]].concat());
            assert!(expect_failure(&output).contains(expected), "{}", expect_failure(&output));
        }
    }
}

#[test]
fn body_of_exactly_max_bytes_is_accepted() {
    let answers = ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n\r\nhello"];
    let server = Server::answering([answers[0], answers[1], answers[0], answers[1]]);
    assert_eq!(expect_success(server.get(&["--max-bytes", "5"])), "hello");
    assert_eq!(expect_success(server.get(&["--max-bytes", "5"])), "hello");
    let output = server.get(&["--max-bytes", "4"]);
    assert!(
        expect_failure(&output).contains("too large: 5 bytes (maximum 4); raise --max-bytes"),
        "{}",
        expect_failure(&output)
    );
    assert!(output.stdout.is_empty());
    assert!(expect_failure(&server.get(&["--max-bytes", "4"])).contains("more than the maximum of 4 bytes"));
}

/// A listener with a full backlog does not answer: the kernel drops the first packet of the
/// handshake.
#[test]
#[cfg(target_os = "linux")]
fn unresponsive_port_hits_the_connect_timeout() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let addr = TcpListener::from(socket.try_clone().unwrap()).local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(200)) {
        held.push(stream);
        assert!(held.len() < 10, "the backlog does not fill");
    }
    let begun = Instant::now();
    let stderr = expect_failure(&run(&["get", &addr.to_string(), "--connect-timeout", "300ms"]));
    assert!(stderr.contains(&format!("cannot connect to {addr}: connect timeout")), "{stderr}");
    assert!(begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < guard() / 2);
    let stderr = expect_failure(&run(&["get", &addr.to_string(), "--connect-timeout", "0", "--timeout", "300ms"]));
    assert!(stderr.contains("timeout: not complete after 300ms"), "{stderr}");
}

#[test]
fn refused_connect_names_each_address() {
    let ((unused, _socket), _port) = alone_at_localhost(Type::STREAM, || {
        let (unused, socket) = refusing(Type::STREAM);
        ((unused, socket), unused.port())
    });
    let stderr = expect_failure(&run(&["get", &unused.to_string()]));
    assert!(
        stderr.contains(&format!("cannot connect to {unused}: connection refused; is the server running?")),
        "{stderr}"
    );
    let stderr = expect_failure(&run(&["get", &format!("localhost:{}", unused.port())]));
    assert!(stderr.contains(&format!("127.0.0.1:{}: connection refused", unused.port())), "{stderr}");
}

#[test]
fn unknown_host_name_is_reported() {
    let stderr = expect_failure(&run(&["get", "http://nobody.invalid/x"]));
    assert!(stderr.contains("cannot resolve 'nobody.invalid': "), "{stderr}");
}
