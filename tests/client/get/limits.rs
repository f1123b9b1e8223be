use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::server::{Server, close, failure, printed, run};
use crate::program::GUARD;

/// Starts a server that sends `bytes` and then stays silent until the returned value is dropped.
fn silent_after(said: &'static [u8]) -> (Server, std::sync::mpsc::Sender<()>) {
    let (over, wait) = channel::<()>();
    let server = Server::start(move |stream| {
        stream.write_all(said).unwrap();
        let _ = wait.recv_timeout(GUARD);
    });
    (server, over)
}

#[test]
fn a_server_that_falls_silent_is_left() {
    for (said, received) in [
        (&b""[..], 0),
        (b"HTTP/1.1 200 OK\r\nA: ", 0),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", 5),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 5),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", 5),
    ] {
        let (server, _over) = silent_after(said);
        let told = failure(&server.get(&["--stall-timeout", "1s"]));
        assert!(
            told.contains(&format!("timeout: no data for 1s (received {received} bytes); raise --stall-timeout")),
            "{told}"
        );
    }
}

/// It takes longer than the limit for a byte, and each byte comes long before that.
#[test]
fn who_says_something_now_and_then_has_not_fallen_silent() {
    let (_over, wait) = channel::<()>();
    let server = Server::start(move |stream| {
        for drip in "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n|h|e|l|l|o|!".split('|') {
            let _ = wait.recv_timeout(Duration::from_millis(200));
            stream.write_all(drip.as_bytes()).unwrap();
        }
        close(stream);
    });
    assert_eq!(printed(server.get(&["--stall-timeout", "1s"])), "hello!");
}

/// Each byte arrives well before the idle timeout, but the response never ends.
#[test]
fn a_server_that_drips_runs_into_the_limit_for_all() {
    for said in ["", "HTTP/1.1 200 OK\r\n\r\n"] {
        let (over, wait) = channel::<()>();
        let server = Server::start(move |stream| {
            stream.write_all(said.as_bytes()).unwrap();
            let begins = if said.is_empty() { "HTTP/1.1 200 OK\r\nA: " } else { "" };
            for drip in begins.chars().chain(std::iter::repeat('b')) {
                let waited = wait.recv_timeout(Duration::from_millis(10));
                if waited != Err(RecvTimeoutError::Timeout) || write!(stream, "{drip}").is_err() {
                    break;
                }
            }
        });
        let told = failure(&server.get(&["--timeout", "500ms", "--stall-timeout", "10s"]));
        assert!(
            told.contains("timeout: not complete after 500ms (received ") && told.contains("; raise --timeout"),
            "{told}"
        );
        drop(over);
    }
}

/// It always has something to read, and is ended all the same.
#[test]
fn a_body_without_end_runs_into_a_limit() {
    for (args, words) in [
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
            assert!(failure(&output).contains(words), "{}", failure(&output));
        }
    }
}

#[test]
fn as_much_as_may_come_may_come() {
    let answers = ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n\r\nhello"];
    let server = Server::answering([answers[0], answers[1], answers[0], answers[1]]);
    assert_eq!(printed(server.get(&["--max-bytes", "5"])), "hello");
    assert_eq!(printed(server.get(&["--max-bytes", "5"])), "hello");
    let output = server.get(&["--max-bytes", "4"]);
    assert!(failure(&output).contains("too large: 5 bytes (maximum 4); raise --max-bytes"), "{}", failure(&output));
    assert!(output.stdout.is_empty());
    assert!(failure(&server.get(&["--max-bytes", "4"])).contains("more than the maximum of 4 bytes"));
}

/// A listener with a full backlog does not answer: the kernel drops the first packet of the
/// handshake.
#[test]
#[cfg(target_os = "linux")]
fn a_port_that_does_not_answer_is_left() {
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
    let said = failure(&run(&["get", &addr.to_string(), "--connect-timeout", "300ms"]));
    assert!(said.contains(&format!("cannot connect to {addr}: connect timeout")), "{said}");
    assert!(begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < GUARD / 2);
    let said = failure(&run(&["get", &addr.to_string(), "--connect-timeout", "0", "--timeout", "300ms"]));
    assert!(said.contains("timeout: not complete after 300ms"), "{said}");
}

#[test]
fn nobody_there_is_said_of_every_address() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = failure(&run(&["get", &unused.to_string()]));
    assert!(
        said.contains(&format!("cannot connect to {unused}: connection refused; is the server running?")),
        "{said}"
    );
    let said = failure(&run(&["get", &format!("localhost:{}", unused.port())]));
    assert!(said.contains(&format!("127.0.0.1:{}: connection refused", unused.port())), "{said}");
}

#[test]
fn a_name_that_nobody_has_is_said_to_be_none() {
    let said = failure(&run(&["get", "http://nobody.invalid/x"]));
    assert!(said.contains("cannot resolve 'nobody.invalid': "), "{said}");
}
