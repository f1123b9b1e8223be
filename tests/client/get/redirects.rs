use super::server::{Server, expect_failure, expect_success, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn moved(status: u16, to: &str) -> String {
    // The body of a redirect is not read, not even to its end.
    format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 1000000\r\n\r\nlook there")
}

fn first_line(request: &str) -> &str {
    request.lines().next().unwrap()
}

#[test]
fn every_kind_of_redirect_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::answering([&moved(status, "/there?x=1#part"), OK]);
        assert_eq!(expect_success(server.get(&[])), "hello");
        assert_eq!(first_line(&server.request()), "GET / HTTP/1.1", "{status}");
        assert_eq!(first_line(&server.request()), "GET /there?x=1 HTTP/1.1", "{status}");
    }
}

#[test]
fn location_is_relative_to_the_request_url() {
    let server = Server::answering([&moved(302, "../c"), &moved(302, "d/e"), OK]);
    assert_eq!(expect_success(run(&["get", &server.url("/a/b")])), "hello");
    let asked: Vec<_> = (0..3).map(|_| first_line(&server.request()).to_owned()).collect();
    assert_eq!(asked, ["GET /a/b HTTP/1.1", "GET /c HTTP/1.1", "GET /d/e HTTP/1.1"]);
}

#[test]
fn location_bytes_above_127_are_percent_encoded() {
    for (location, path) in [
        (&b"/n\xe9?q=\xe4\xbd"[..], "/n%E9?q=%E4%BD"),
        ("/né 你".as_bytes(), "/n%C3%A9%20%E4%BD%A0"),
        (b"/%e9\xff", "/%e9%FF"),
    ] {
        let moved = [b"HTTP/1.1 302 Moved\r\nLocation: ", location, b"\r\n\r\n"].concat();
        let server = Server::answering([&moved[..], OK.as_bytes()]);
        assert_eq!(expect_success(server.get(&[])), "hello");
        server.request();
        assert_eq!(first_line(&server.request()), format!("GET {path} HTTP/1.1"));
    }
}

#[test]
fn redirect_with_an_invalid_length_is_followed() {
    let moved = "HTTP/1.1 302 Moved\r\nLocation: /there\r\nContent-Length: x\r\n\r\n";
    assert_eq!(expect_success(Server::answering([moved, OK]).get(&[])), "hello");
}

#[test]
fn credentials_are_not_sent_to_another_host() {
    let other = Server::answering([OK]);
    let server = Server::answering([moved(302, &other.url("/x"))]);
    let args = ["-H", "Authorization: Basic eA==", "-H", "cookie: a=b", "-H", "X-Kept: yes"];
    assert_eq!(expect_success(server.get(&args)), "hello");
    let (first, second) = (server.request(), other.request());
    assert!(first.contains("Basic eA==") && first.contains("a=b") && first.contains("X-Kept"), "{first}");
    assert!(!second.contains("Basic") && !second.contains("a=b") && second.contains("X-Kept: yes"), "{second}");
    assert!(second.contains(&format!("\nHost: {}\n", other.addr)), "{second}");
}

#[test]
fn redirects_are_limited() {
    let hops = |count: usize| (1..=count).map(|hop| moved(302, &format!("/{hop}"))).chain([OK.to_owned()]);
    assert_eq!(expect_success(Server::answering(hops(5)).get(&[])), "hello");
    let stderr = expect_failure(&Server::answering(hops(6)).get(&[]));
    assert!(stderr.contains("sent more than 5 redirects; raise --max-redirects"), "{stderr}");
    assert_eq!(expect_success(Server::answering(hops(6)).get(&["--max-redirects", "6"])), "hello");
    let stderr = expect_failure(&Server::answering(hops(1)).get(&["--max-redirects", "0"]));
    assert!(stderr.contains("sent more than 0 redirects"), "{stderr}");
}

#[test]
fn invalid_redirects_are_reported() {
    for (answers, expected) in [
        (vec![moved(301, "/a"), moved(301, "/")], "redirect loop: the server redirects back to http://"),
        (vec![moved(301, "")], "responded 301 Moved without a Location"),
        (vec!["HTTP/1.1 302 Found\r\n\r\n".to_owned()], "responded 302 Found without a Location"),
        (vec![moved(301, "https://localhost/x")], "cannot follow the redirect: https://localhost/x needs TLS"),
        (vec![moved(301, "file:///etc/passwd")], "unsupported scheme in file:///etc/passwd: file"),
        (vec![moved(301, "http://eva:secret@localhost/")], "contains a user name or a password"),
        (vec![moved(301, "http://[/")], "invalid URL 'http://[/'"),
    ] {
        let stderr = expect_failure(&Server::answering(answers).get(&[]));
        assert!(stderr.contains(expected), "{stderr}");
    }
}
