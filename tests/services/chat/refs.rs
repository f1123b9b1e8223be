//! A `ref` comes back as it was sent, byte for byte.

use std::io::{Read, Write};
use std::net::TcpStream;

use switchboard::Limits;
use switchboard::services::chat::ChatConfig;

use super::hall::Hall;
use crate::support::{Engine, conformance, guard};

conformance! {
    a_ref_of_any_form_comes_back_unchanged,
}

/// Each is one JSON value. Some exceed the integers or the floating-point numbers of 64 bits.
const REFS: [&str; 13] = [
    "7",
    "-7",
    "-0",
    "9007199254740993",
    "18446744073709551616",
    "-123456789012345678901234567890",
    "0.1000",
    "3.141592653589793238462643383279",
    "1e400",
    "2E+05",
    r#""\u00e9\/""#,
    r#"{"a" : [1,  2.0]}"#,
    r"[true, null]",
];

fn a_ref_of_any_form_comes_back_unchanged<E: Engine>() {
    let config = ChatConfig { max_requests_per_second: 0, ..ChatConfig::default() };
    let hall = Hall::open::<E>(Limits::default(), config, 0);
    let mut stream = TcpStream::connect(hall.json).unwrap();
    stream.set_read_timeout(Some(guard())).unwrap();
    for json in REFS {
        send(&mut stream, &format!(r#"{{"type":"say","room":"lobby","text":"hi","ref":{json}}}"#));
        let ack = receive(&mut stream, "ack");
        assert!(ack.contains(&format!(r#""ref":{json}"#)), "{json}: {ack}");
        send(&mut stream, &format!(r#"{{"ref":{json},"type":"dance"}}"#));
        let error = receive(&mut stream, "error");
        assert!(error.contains(&format!(r#""ref":{json}"#)), "{json}: {error}");
    }
    // An id beyond 64 bits is greater than all others.
    send(&mut stream, r#"{"type":"join","room":"lobby","since":100000000000000000000000000}"#);
    let error = receive(&mut stream, "error");
    assert!(error.contains(r#""code":"unknown-id""#), "{error}");
    drop(stream);
    hall.running.drain();
}

fn send(stream: &mut TcpStream, request: &str) {
    stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
}

/// Returns the next event of this type.
fn receive(stream: &mut TcpStream, kind: &str) -> String {
    loop {
        let mut head = [0; 4];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes(head) as usize];
        stream.read_exact(&mut payload).unwrap();
        let event = String::from_utf8(payload).unwrap();
        if event.contains(&format!(r#""type":"{kind}""#)) {
            return event;
        }
    }
}
