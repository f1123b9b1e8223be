//! Servers that lie, in every way that a client could believe.

use std::time::Duration;

use crate::guard::scaled;
use crate::program::millis;

use super::{Script, Scripted, Talk, Write, call, expect, fs, json, names, noise, partial, sha256};

/// The reply that a server sends to every request.
fn answers(bytes: Vec<u8>) -> Script {
    Box::new(move |talk| {
        talk.request();
        let _ = talk.socket.write_all(&bytes);
    })
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [&u32::try_from(payload.len()).unwrap().to_be_bytes(), payload].concat()
}

fn head(size: i64, offset: i64, sum: &str) -> Vec<u8> {
    frame(json!({"name": "x", "size": size, "offset": offset, "sha256": sum}).to_string().as_bytes())
}

#[test]
fn invalid_download_reply_is_reported() {
    let sum = sha256(b"content");
    let more = "more than the announced 7 bytes";
    // The partial file, whose name contains a hash of the server's address.
    let kept = &["part"] as &[&str];
    for (says, left, answer) in [
        ("closed the connection without a reply", &[] as &[&str], Vec::new()),
        ("invalid reply from the server", &[], b"HTTP/1.1 400 Bad FilesRequest\r\n\r\n".to_vec()),
        ("; check whether the server uses --dialect plain", &[], frame(b"hello")),
        ("missing field", &[], frame(b"{}")),
        ("missing field `sha256`", &[], frame(br#"{"name":"x","size":7,"offset":0}"#)),
        ("sha256 must be 64 hexadecimal digits", &[], head(7, 0, "abc")),
        ("invalid reply from the server", &[], head(-7, 0, &sum)),
        ("starts at byte 3 instead of the requested byte 0", &[], head(7, 3, &sum)),
        ("1048576 allowed", &[], b"\xff\xff\xff\xff".to_vec()),
        ("1048576 allowed", kept, [head(7, 0, &sum), frame(b"con"), b"\x7f\0\0\0".to_vec()].concat()),
        ("sent an empty data frame", kept, [head(7, 0, &sum), frame(b"con"), frame(b"")].concat()),
        (more, kept, [head(7, 0, &sum), frame(b"con"), frame(b"tents")].concat()),
        ("after 3 of 7 bytes", kept, [head(7, 0, &sum), frame(b"con")].concat()),
        ("after 3 of 7 bytes", kept, [head(7, 0, &sum), frame(b"con"), b"\0\0\0\x04ten".to_vec()].concat()),
        ("after 0 of 9000000000000000000 bytes", &[], head(9_000_000_000_000_000_000, 0, &sum)),
        ("go away\\u{1b}[2J (busy)", &[], frame(br#"{"error":{"code":"busy","text":"go away\u001b[2J"}}"#)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old"), "old").unwrap();
        let server = Scripted::new(vec![answers(answer.clone())]);
        let output = call(folder.path(), &server.address, &["get", "x"]);
        expect(&output, 1, says);
        expect(&output, 1, "switchboard: cannot get x: ");
        let part = partial(&server.address, "x", "x");
        if left == kept {
            assert_eq!(fs::read_to_string(folder.path().join(&part)).unwrap(), "con");
        }
        let left: Vec<_> = left.iter().map(|_| part.as_str()).collect();
        assert_eq!(names(folder.path()), [&["old"], &left[..]].concat(), "{says}");
        server.finish();
    }
}

#[test]
fn surplus_bytes_are_reported() {
    for (content, surplus) in [(&b"content"[..], frame(b"!")), (b"content", b"\0".to_vec()), (b"", frame(b"!"))] {
        let folder = tempfile::tempdir().unwrap();
        let bytes = if content.is_empty() { Vec::new() } else { frame(content) };
        let size = content.len();
        let answer = [head(size.try_into().unwrap(), 0, &sha256(content)), bytes, surplus].concat();
        let server = Scripted::new(vec![answers(answer)]);
        let says = format!("cannot get x: the server sent more than the announced {size} bytes");
        expect(&call(folder.path(), &server.address, &["get", "x"]), 1, &says);
        // What was announced may be right: the next run finds out.
        let part = partial(&server.address, "x", "x");
        assert_eq!(names(folder.path()), if size > 0 { vec![part] } else { vec![] });
        server.finish();
    }
}

#[test]
fn wrong_checksum_is_retried_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "old").unwrap();
    let wrong = || answers([head(7, 0, &sha256(b"content")), frame(b"contend")].concat());
    let server = Scripted::new(vec![wrong(), wrong()]);
    let says = "cannot get x: the file does not have the announced SHA-256";
    expect(&call(folder.path(), &server.address, &["get", "x"]), 1, says);
    assert_eq!(names(folder.path()), ["x"], "wrong bytes are not gone on with");
    assert_eq!(fs::read_to_string(folder.path().join("x")).unwrap(), "old");
    server.finish();

    // What has been printed cannot be taken back.
    let server = Scripted::new(vec![wrong()]);
    assert_eq!(expect(&call(folder.path(), &server.address, &["get", "x", "-o", "-"]), 1, says), "contend\n");
    server.finish();
}

#[test]
fn invalid_listing_is_reported() {
    for (says, answer) in [
        ("closed the connection without a reply", Vec::new()),
        ("invalid reply", frame(b"[]")),
        ("missing field `files`", frame(b"{}")),
        ("invalid reply", frame(br#"{"files":[{"name":"x","size":-1}]}"#)),
        ("1048576 allowed", b"\x01\0\0\0".to_vec()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Scripted::new(vec![answers(answer)]);
        let output = call(folder.path(), &server.address, &["list"]);
        assert_eq!(expect(&output, 1, says), "");
        server.finish();
    }
    let folder = tempfile::tempdir().unwrap();
    let answer = frame(br#"{"files":[{"name":"\u001b[2J\nx","size":1,"modified":"\u001b"}],"truncated":true}"#);
    let server = Scripted::new(vec![answers(answer)]);
    let table = expect(&call(folder.path(), &server.address, &["list"]), 0, "the list is incomplete");
    assert!(table.contains(r"\u{1b}[2J\nx") && !table.contains('\u{1b}'), "{table}");
    server.finish();
}

#[test]
fn silent_server_times_out() {
    let mute: fn() -> Script = || Box::new(Talk::await_end);
    let stalls: Script = Box::new(|talk| {
        talk.request();
        let content = noise(1000);
        talk.head(&content, 0);
        talk.send(&content[..10]);
        talk.await_end();
    });
    for (script, args, left) in [
        (mute(), &["list"] as &[&str], 0),
        (mute(), &["get", "x"], 0),
        (mute(), &["get", "x", "--dialect", "plain"], 0),
        (stalls, &["get", "x"], 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Scripted::new(vec![script]);
        let timeout = millis(scaled(Duration::from_millis(50)));
        let output = call(folder.path(), &server.address, &[args, &["--timeout", &timeout]].concat());
        expect(&output, 1, "no data for");
        expect(&output, 1, "allow more with --timeout");
        assert_eq!(names(folder.path()).len(), left);
        server.finish();
    }
}
