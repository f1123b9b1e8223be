//! The framed dialect: heads, offsets, and the order of answers.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use switchboard::{Framing, Limits, services::files::FilesDialect};

use super::depot::{Depot, ask, hear, noise, read_all, receive, sha256};
use crate::support::{Client, Engine, RunningEngine, conformance, encode_frame, listen_tcp};

/// A piece of a file, in bytes.
const PIECE: u64 = 256 * 1024;

conformance! {
    a_head_says_what_follows,
    a_download_goes_on_at_any_offset,
    invalid_request_keeps_the_connection_open,
    answers_keep_the_order_of_their_requests,
    queued_requests_are_bounded_and_all_are_answered,
    half_closed_client_gets_all_replies,
    a_checksum_is_taken_once,
    unsupported_framing_closes_the_connection,
}

fn a_head_says_what_follows<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    let content = noise(700_000, 1);
    depot.put("sub/x", &content);
    depot.put("empty", b"");
    let mut client = depot.dial();
    for (name, content) in [("sub/x", content.as_slice()), ("empty", b"")] {
        // Without an offset it is all of it.
        client.send(json!({"get": name, "unknown": [1, {}]}).to_string().as_bytes());
        let (head, bytes) = receive(&mut client);
        let modified: jiff::Timestamp = head["modified"].as_str().unwrap().parse().unwrap();
        let written = fs::metadata(depot.path(name)).unwrap().modified().unwrap();
        assert_eq!(modified, jiff::Timestamp::try_from(written).unwrap());
        let expected = json!({
            "name": name, "size": content.len(), "offset": 0, "sha256": sha256(content), "modified": head["modified"]
        });
        assert_eq!(head, expected);
        assert!(bytes == content);
    }
}

fn a_download_goes_on_at_any_offset<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    let content = noise(2 * PIECE as usize + 17, 2);
    depot.put("x", &content);
    let (size, sum) = (content.len() as u64, sha256(&content));
    let mut client = depot.dial();
    for offset in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, size - 17, size - 1, size] {
        ask(&client, "x", offset);
        let (head, bytes) = receive(&mut client);
        assert_eq!((&head["offset"], &head["sha256"]), (&json!(offset), &json!(sum)), "the whole file's checksum");
        assert!(bytes == content[offset as usize..], "{offset}");
    }
    for offset in [size + 1, u64::MAX] {
        ask(&client, "x", offset);
        assert_eq!(hear(&mut client)["error"]["code"], "bad-offset");
    }
}

fn invalid_request_keeps_the_connection_open<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    depot.put("x", b"content");
    let mut client = depot.dial();
    let deep = "[".repeat(100_000);
    for request in
        ["", "x", "{}", "null", "{\"get\":7}", "{\"get\":\"x\",\"offset\":-1}", "{\"list\":[]}", deep.as_str()]
    {
        let answer: Value = serde_json::from_slice(&client.ask(request.as_bytes())).unwrap();
        assert_eq!(answer["error"]["code"], "bad-request", "{request}");
        assert!(answer["error"]["text"].as_str().is_some_and(|text| !text.is_empty()));
    }
    ask(&client, "x", 0);
    assert_eq!(receive(&mut client).1, b"content");
}

fn answers_keep_the_order_of_their_requests<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    let large = noise(3 * PIECE as usize, 3);
    depot.put("large", &large);
    depot.put("small", b"small");
    let client = depot.dial();
    let requests =
        [r#"{"get":"large"}"#, "x", r#"{"get":"small"}"#, r#"{"list":""}"#, r#"{"get":"no"}"#, r#"{"get":"large"}"#];
    client.send_bytes(&requests.map(|request| encode_frame("u32be", request.as_bytes())).concat());
    let mut client = client;
    assert!(receive(&mut client).1 == large);
    assert_eq!(hear(&mut client)["error"]["code"], "bad-request");
    assert_eq!(receive(&mut client).1, b"small");
    assert_eq!(hear(&mut client)["files"].as_array().unwrap().len(), 2);
    assert_eq!(hear(&mut client)["error"]["code"], "not-found");
    assert!(receive(&mut client).1 == large);
}

fn queued_requests_are_bounded_and_all_are_answered<E: Engine>() {
    const REQUESTS: usize = 5000;
    let depot = Depot::open::<E>(Limits::default());
    let content = noise(PIECE as usize + 1, 4);
    depot.put("x", &content);
    let mut client = depot.dial();
    let sender = Client::new(client.socket().try_clone().unwrap());
    let sending = std::thread::spawn(move || {
        // The offset identifies each request.
        (0..REQUESTS).for_each(|number| ask(&sender, "x", number as u64 % 1000));
        sender.finish();
    });
    let (mut served, mut refused) = (0, 0);
    for number in 0..REQUESTS {
        let (head, bytes) = receive(&mut client);
        if head["error"].is_null() {
            assert_eq!(head["offset"], json!(number % 1000), "the answer to request {number}");
            assert!(bytes == content[number % 1000..]);
            served += 1;
        } else {
            assert_eq!(head["error"]["code"], "busy");
            refused += 1;
        }
    }
    client.expect_end();
    sending.join().unwrap();
    assert!(served >= 17, "{served} served, {refused} refused");
    assert!(refused > 0, "so many requests would all be kept");
}

fn half_closed_client_gets_all_replies<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    let content = noise(9 * PIECE as usize, 5);
    depot.put("x", &content);
    let mut client = depot.dial();
    ask(&client, "x", 0);
    ask(&client, "x", 5);
    client.finish();
    assert!(receive(&mut client).1 == content);
    assert!(receive(&mut client).1 == content[5..]);
    client.expect_end();
    let socket = depot.dial_plain(b"x");
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(read_all(socket) == content);
}

fn a_checksum_is_taken_once<E: Engine>() {
    let jobs = |depot: &Depot, name: &str| {
        let before = depot.running.counters()["jobs"];
        let mut client = depot.dial();
        let size = fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap().len();
        ask(&client, name, size);
        assert_eq!(hear(&mut client)["size"], size);
        client.finish();
        client.expect_end();
        // What ran on its own thread is counted when that thread has ended.
        depot.running.await_counter("open", |open| open == 0);
        depot.running.counters()["jobs"] - before
    };
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let fresh = folder.path().file_name().unwrap().to_str().unwrap().to_owned() + "/fresh";
    fs::write(folder.path().join("fresh"), "just written").unwrap();
    // However long this test takes, it has been written to within the last second.
    let soon = std::time::SystemTime::now() + std::time::Duration::from_hours(1);
    fs::File::options().write(true).open(folder.path().join("fresh")).unwrap().set_modified(soon).unwrap();
    let depot = Depot::of::<E>(Limits::default(), Path::new(env!("CARGO_MANIFEST_DIR")), folder);
    assert_eq!([jobs(&depot, "LICENSE-MIT"), jobs(&depot, "LICENSE-MIT")], [2, 1], "opened and hashed, then opened");
    assert_eq!([jobs(&depot, &fresh), jobs(&depot, &fresh)], [2, 2], "it may be written to in this very clock tick");
}

fn unsupported_framing_closes_the_connection<E: Engine>() {
    use switchboard::services::files::Files;
    let folder = tempfile::tempdir().unwrap();
    for (dialect, framing) in [
        (FilesDialect::Framed, Framing::U16BE),
        (FilesDialect::Framed, Framing::Lines),
        (FilesDialect::Plain, Framing::U32BE),
    ] {
        let mut engine = E::with_limits(Limits::default());
        let files = Files::open(folder.path(), dialect).unwrap();
        let service = engine.add_service(files.options("files"), files);
        let address = listen_tcp(&mut engine, service, framing);
        let _running = RunningEngine::start(engine);
        Client::connect(address).expect_end();
    }
}
