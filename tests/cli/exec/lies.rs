//! `call exec` and servers that lie, drip and go.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::{call, text};
use crate::guard::{guard, scaled};
use crate::program::millis;

/// Starts a server that sends `bytes` and then closes or stays silent. The handle returns the bytes
/// that it received.
fn lying(says: Vec<Vec<u8>>, lingers: bool) -> (String, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(guard())).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut bytes = vec![0; 1024];
        let mut count = socket.read(&mut bytes).unwrap();
        for piece in says {
            // The client may have closed already.
            let _ = socket.write_all(&piece);
        }
        if !lingers {
            let _ = socket.shutdown(Shutdown::Write);
        }
        while let Ok(more @ 1..) = socket.read(&mut bytes[count..]) {
            count += more;
        }
        bytes.truncate(count);
        bytes
    });
    (address, heard)
}

fn header(json: &str, output: &[u8]) -> Vec<u8> {
    [&u32::try_from(json.len()).unwrap().to_le_bytes()[..], json.as_bytes(), output].concat()
}

#[test]
fn invalid_response_is_reported() {
    for (dialect, says, lingers, expected) in [
        ("length", (-5_i32).to_le_bytes().to_vec(), true, "invalid response length: -5 bytes"),
        ("length", i32::MAX.to_le_bytes().to_vec(), true, "response too large: 2147483647 bytes (maximum 67108864)"),
        (
            "length",
            b"\x09\0\0\0half".to_vec(),
            false,
            "the server closed the connection after 4 of 9 bytes of the output",
        ),
        ("length", b"\x09\0\0\0half".to_vec(), true, "; allow more with --timeout"),
        ("length", Vec::new(), false, "the server closed the connection before a response"),
        ("length", b"\x03\0\0\0hi\nEXTRA".to_vec(), true, "more than the declared 3 bytes; does the server"),
        ("length", vec![0; 70_000], true, "more than the declared 0 bytes; does the server"),
        ("header", header(r#"{"total_size":2}"#, b"hi!"), true, "more than the declared 2 bytes"),
        ("header", header("not JSON", b""), true, "invalid response header: it is not a JSON object"),
        (
            "header",
            header(r#"{"filename":"x"}"#, b""),
            true,
            "invalid response header: it lacks the length of the output, total_size",
        ),
        (
            "header",
            header(r#"{"total_size":1e300}"#, b""),
            true,
            "invalid response header: it lacks the length of the output, total_size",
        ),
        ("header", header(r#"{"total_size":99999999999}"#, b""), true, "99999999999 bytes"),
        (
            "header",
            header(r#"{"total_size":2,"md5":"D41D8CD98F00B204E9800998ECF8427E"}"#, b"hi"),
            true,
            "the output does not have the MD5",
        ),
        ("header", header(r#"{"total_size":3}"#, b"hi"), false, "the server closed the connection after 2 of 3 bytes"),
        ("header", b"Ready|5".to_vec(), true, "the response starts with Ready|: the server speaks the dialect ready"),
        ("header", b"HTTP/1.1 400\r\n".to_vec(), true, "does the server speak another dialect?"),
        ("ready", b"cmd ERROR".to_vec(), true, "the response starts with 'cmd ERROR' instead of Ready|"),
        ("ready", b"Ready|99999999999999999999".to_vec(), true, "bytes (maximum 67108864)"),
        ("ready", b"Ready|x\x1b".to_vec(), true, r"starts with 'Ready|x\u{1b}'"),
        ("ready", b"Ready|5".to_vec(), false, "the server closed the connection after 0 of 5 bytes of the output"),
    ] {
        let (address, heard) = lying(vec![says], lingers);
        let output = call(
            &address,
            &["--dialect", dialect, "--timeout", &millis(scaled(Duration::from_millis(500))), "--", "ls"],
        );
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{expected}: {stderr}");
        assert!(output.stdout.is_empty() && stderr.lines().count() == 1, "{stderr}");
        assert!(stderr.starts_with(&format!("switchboard: {address}: ")) && stderr.contains(expected), "{stderr}");
        assert!(heard.join().unwrap().starts_with(b"ls"));
    }
}

#[test]
fn response_may_arrive_in_pieces() {
    let answer = header(r#"{"total_size":5,"exit_code":0}"#, b"hello");
    let (address, _) = lying(answer.iter().map(|byte| vec![*byte]).collect(), true);
    let output = call(&address, &["--", "ls"]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "hello"));
    let (address, heard) = lying(vec![b"\x02\0\0\0hi".to_vec()], true);
    let output = call(&address, &["--dialect", "length", "--", "ls", "a b"]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "hi"));
    assert_eq!(heard.join().unwrap(), b"ls 'a b'");
}

/// Only the length must be in the header. A tutorial's server has a text in the checksum's place.
#[test]
fn header_without_a_checksum_is_accepted() {
    let no_checksum = |text: &str| format!("not verified: the header's md5 is not a checksum: '{text}'");
    for (json, note) in [
        (r#"{"md5":"sssxxxadwc123asd123","filenema":"1.txt","total_size":2}"#, no_checksum("sssxxxadwc123asd123")),
        (r#"{"md5":"beef","total_size":2}"#, no_checksum("beef")),
        (r#"{"md5":"\u001b","total_size":2}"#, no_checksum(r"\u{1b}")),
        (
            r#"{"md5":"zz1d8cd98f00b204e9800998ecf8427e","total_size":2,"exit_code":0}"#,
            no_checksum("zz1d8cd98f00b204e9800998ecf8427e"),
        ),
        (r#"{"md5":5,"total_size":2}"#, "not verified: the header has no md5".to_owned()),
        (r#"{"md5":null,"total_size":"2","exit_code":"0"}"#, "not verified: the header has no md5".to_owned()),
        (r#"{"total_size":2,"exit_code":[],"truncated":"no"}"#, "the header has no exit_code".to_owned()),
    ] {
        for verbose in [false, true] {
            let (address, _) = lying(vec![header(json, b"hi")], true);
            let output = call(&address, if verbose { &["-v", "--", "ls"] } else { &["--", "ls"] });
            let log = text(&output.stderr);
            assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "hi"), "{json}: {log}");
            assert_eq!(log.contains(&note), verbose, "{note}: {log}");
            assert!(verbose || log.is_empty(), "{log}");
        }
    }
    let (address, _) = lying(vec![header(r#"{"total_size":"2","exit_code":"3"}"#, b"hi")], true);
    let output = call(&address, &["--", "ls"]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(1), "hi"));
    assert_eq!(text(&output.stderr), "switchboard: the command exited with code 3\n");
}

#[test]
fn encoding_applies_to_command_and_output() {
    let gbk: &[u8] = b"\xc4\xe3\xba\xc3\r\n";
    let of_length = |output: &[u8]| [&u32::try_from(output.len()).unwrap().to_le_bytes()[..], output].concat();
    // The header is text, too. The second byte of the name is a backslash.
    let json = [&br#"{"filename":""#[..], b"\x81\x5c", br#"","total_size":6}"#].concat();
    let of_header = [of_length(&json), gbk.to_vec()].concat();
    for (dialect, answer) in [("length", of_length(gbk)), ("header", of_header)] {
        // Each read cuts a character in two.
        let (address, heard) = lying(answer.iter().map(|byte| vec![*byte]).collect(), true);
        let output = call(&address, &["--dialect", dialect, "--encoding", "gbk", "--", "echo 你好"]);
        let log = text(&output.stderr);
        assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "你好\r\n"), "{log}");
        assert_eq!(log, "");
        assert_eq!(heard.join().unwrap(), b"echo \xc4\xe3\xba\xc3");
    }
    for (args, answer, code, printed, log) in [
        (&["--dialect", "length", "--json"][..], of_length(gbk), 0, r#""output":"你好\r\n"}"#, ""),
        (&["--dialect", "length", "--json"], of_length(b"\xc4\xe3\xff"), 0, r#""output_hex":"c4e3ff"}"#, ""),
        (
            &["--dialect", "length"],
            of_length(b"\xc4\xe3\xff"),
            0,
            "你\u{fffd}",
            "the output is not valid GBK: \u{fffd} replaces",
        ),
        (
            &["--dialect", "header"],
            header(r#"{"total_size":3,"truncated":true}"#, b"\xc4\xe3\xba"),
            1,
            "你",
            "truncated",
        ),
        (
            &["--dialect", "header", "--json"],
            header(r#"{"total_size":3,"truncated":true}"#, b"\xc4\xe3\xba"),
            1,
            r#""truncated":true,"output":"你"}"#,
            "truncated",
        ),
    ] {
        let (address, _) = lying(vec![answer], true);
        let output = call(&address, &[&["--encoding", "gbk"], args, &["--", "ls"]].concat());
        let (shown, found) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {found}");
        assert!(shown.trim_end().ends_with(printed), "{args:?}: {shown}");
        assert!(if log.is_empty() { found.is_empty() } else { found.contains(log) }, "{args:?}: {found}");
        assert_eq!(found.lines().count(), usize::from(!log.is_empty()), "{args:?}: {found}");
    }
}

/// The two parts of a `Ready` server's answer.
#[test]
fn ready_response_has_the_announced_length() {
    for (announced, output, code, printed, expected) in [
        ("Ready|0", "", 0, "", ""),
        ("Ready|2", "hi", 0, "hi", ""),
        ("Ready|2", "hi!", 1, "", "more than the declared 2 bytes; does the server speak another dialect?"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(guard())).unwrap();
            let mut bytes = [0; 5];
            socket.read_exact(&mut bytes[..2]).unwrap();
            socket.write_all(announced.as_bytes()).unwrap();
            socket.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"Start");
            socket.write_all(output.as_bytes()).unwrap();
        });
        let output = call(&address, &["--dialect", "ready", "--", "ls"]);
        let stderr = text(&output.stderr);
        assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(code), printed), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        server.join().unwrap();
    }
}

#[test]
fn slow_response_times_out() {
    let begun = Instant::now();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stops) = channel::<()>();
    let dripping = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"\xff\xff\0\0").unwrap();
        while stops.recv_timeout(Duration::from_millis(20)).is_err() && socket.write_all(b"x").is_ok() {}
    });
    let output = call(&address, &["--dialect", "length", "--timeout", "300ms", "--", "ls"]);
    assert!(text(&output.stderr).contains("no complete response within 300ms"), "{}", text(&output.stderr));
    assert!(begun.elapsed() < guard() / 2);
    let _ = stop.send(());
    dripping.join().unwrap();
}
