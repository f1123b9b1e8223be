//! Tests of one request and its response.

use std::io::Write;

use socket2::Type;

use super::server::{Server, close, expect_failure, expect_success, run};
use crate::localhost::alone_at_localhost;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: 1\r\n\r\nhello";

#[test]
fn every_form_of_a_body_is_fetched() {
    for (answer, body) in [
        (OK, "hello"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: u\r\n\r\n", "hello"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "hello"),
        ("HTTP/1.0 200 OK\n\nhello", "hello"),
        ("HTTP/1.1 204 No Content\r\n\r\n", ""),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ""),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
    ] {
        assert_eq!(expect_success(Server::answering([answer]).get(&[])), body, "{answer}");
    }
}

#[test]
fn response_may_arrive_one_byte_at_a_time() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    let server = Server::start(move |stream| {
        stream.set_nodelay(true).unwrap();
        answer.bytes().for_each(|byte| stream.write_all(&[byte]).unwrap());
        close(stream);
    });
    assert_eq!(expect_success(server.get(&[])), "hello");
}

/// `get` does not wait for the server to close if the response declares its length.
#[test]
fn get_ends_at_the_declared_length() {
    for response in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
        let (client_done, done_receiver) = std::sync::mpsc::channel::<()>();
        let server = Server::start(move |stream| {
            write!(stream, "HTTP/1.1 200 OK\r\n{response}").unwrap();
            assert!(done_receiver.recv_timeout(crate::guard::guard()).is_err());
        });
        assert_eq!(expect_success(server.get(&["--timeout=10s"])), "hello");
        drop(client_done);
    }
}

#[test]
fn request_has_only_the_required_headers() {
    let (server, _port) = alone_at_localhost(Type::STREAM, || {
        let server = Server::answering([OK, OK]);
        let port = server.addr.port();
        (server, port)
    });
    let addr = server.addr;
    expect_success(run(&["get", &server.url("/a b/é?q=ü#part")]));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        server.request(),
        format!(
            "GET /a%20b/%C3%A9?q=%C3%BC HTTP/1.1\nHost: {addr}\nUser-Agent: switchboard/{version}\nAccept: */*\n\
             Accept-Encoding: identity\nConnection: close"
        )
    );
    let host_and_port = format!("localhost:{}", addr.port());
    expect_success(run(&["get", &host_and_port, "-H", "accept: text/plain", "-H", "X-A: 1", "--header", "X-A: 2"]));
    let request = server.request();
    assert!(
        request.starts_with("GET / HTTP/1.1\n") && request.contains(&format!("\nHost: {host_and_port}\n")),
        "{request}"
    );
    assert!(request.ends_with("\naccept: text/plain\nX-A: 1\nX-A: 2") && !request.contains("*/*"), "{request}");
}

#[test]
fn an_ipv6_literal_is_an_address() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else { return eprintln!("no IPv6 here") };
    let addr = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(OK.as_bytes()).unwrap();
        close(&mut stream);
    });
    assert_eq!(expect_success(run(&["get", &format!("{addr}/x")])), "hello");
    server.join().unwrap();
}

#[test]
fn include_flag_prints_the_response_head() {
    assert_eq!(expect_success(Server::answering([OK]).get(&["-i"])), OK);
    let missing = "HTTP/1.1 404 Not Here\r\nX-Why: gone\r\n\r\nbody";
    let output = Server::answering([missing]).get(&["-i"]);
    assert!(expect_failure(&output).ends_with(": the server responded 404 Not Here\n"));
    assert_eq!(output.stdout, missing.strip_suffix("body").unwrap().as_bytes());
}

#[test]
fn status_outside_2xx_fails_and_its_body_is_discarded() {
    for (status, expected) in [
        ("404 Not Found", "404 Not Found"),
        ("500 go\tod", r"500 go\tod"),
        ("403", "403 Forbidden"),
        ("304 Not Modified", "304 Not Modified"),
        ("300 Multiple Choices", "300 Multiple Choices"),
    ] {
        let output = Server::answering([format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nbody")]).get(&[]);
        let stderr = expect_failure(&output);
        assert!(stderr.ends_with(&format!(": the server responded {expected}\n")), "{status}: {stderr}");
        assert!(output.stdout.is_empty(), "{status}");
    }
}

#[test]
fn unrequested_encoding_is_written_unchanged_with_a_warning() {
    let output = Server::answering(["HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f.."]).get(&[]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"\x1f.."[..]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("WARN") && stderr.contains("applied Content-Encoding 'gzip'"), "{stderr}");
}

#[test]
fn invalid_arguments_are_rejected_before_a_connection() {
    for (args, expected) in [
        (&["https://127.0.0.1:1/"][..], "needs TLS"),
        (&["ftp://127.0.0.1:1/"], "unsupported scheme in ftp://127.0.0.1:1/: ftp"),
        (&["http://eva:secret@127.0.0.1:1/"], "contains a user name or a password"),
        (&["http://"], "invalid URL"),
        (&["127.0.0.1:1/", "-H", "a: b\r\nc: d"], "one line without control characters"),
        (&["127.0.0.1:1/", "-H", "no colon"], "write 'Name: value'"),
        (&["127.0.0.1:1/", "-H", "Content-Length: 3"], "omit it"),
        (&["127.0.0.1:1/", "--json"], "add -o FILE"),
        (&["127.0.0.1:1/x/", "-O"], "use -o FILE"),
        (&["127.0.0.1:1/", "--timeout", "5x"], "not a duration"),
    ] {
        let output = run(&[&["get"], args].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(
            stderr.contains(expected) && stderr.lines().count() == 1 && !stderr.contains("secret"),
            "{args:?}: {stderr}"
        );
    }
}
