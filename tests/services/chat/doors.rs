//! A rejected connection receives the reason in its own dialect.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;
use switchboard::services::chat::ChatConfig;
use switchboard::{Limits, Reactor};

use super::hall::Hall;
use super::member::Member;
use crate::support::{Engine, conformance};

conformance! {
    a_full_server_rejects_in_every_dialect,
}

fn a_full_server_rejects_in_every_dialect<E: Engine>() {
    let hall = Hall::open::<E>(Limits { max_connections: 1, ..Limits::default() }, ChatConfig::default(), 0);
    let _inside = Member::enter(hall.json, "inside");
    let text = "server is full: 1 connection";
    let mut outside = TcpStream::connect(hall.json).unwrap();
    for expected in [json!({"type": "error", "code": "full", "text": text}), json!({"type": "bye", "reason": text})] {
        let mut head = [0; 4];
        outside.read_exact(&mut head).unwrap();
        let mut body = vec![0; u32::from_be_bytes(head) as usize];
        outside.read_exact(&mut body).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap(), expected);
    }
    for address in [hall.lines, hall.raw] {
        let mut words = String::new();
        TcpStream::connect(address).unwrap().read_to_string(&mut words).unwrap();
        assert_eq!(words, format!("! {text}\n* bye: {text}\n"));
    }
}

/// The members send several times the write buffer's limit in few writes, and all of them read all
/// the time. (Reactor only: on `Threaded`, output for a member whose thread waits for the service
/// has to wait, too.)
#[test]
fn a_reading_member_survives_a_burst_of_a_crowd() {
    const SPEAKERS: usize = 20;
    const EACH: usize = 20;
    let config = ChatConfig { max_requests_per_second: 0, max_announcing_room_members: 0, ..ChatConfig::default() };
    let hall = Hall::open::<Reactor>(Limits { max_write_buffer_bytes: 256 * 1024, ..Limits::default() }, config, 0);
    let mut listener = Member::enter(hall.json, "listener");
    let request = json!({"type": "say", "room": "lobby", "text": "x".repeat(4000)}).to_string();
    let frame = [&(request.len() as u32).to_be_bytes()[..], request.as_bytes()].concat().repeat(EACH);
    let speakers: Vec<_> = (0..SPEAKERS)
        .map(|_| {
            let mut speaker = TcpStream::connect(hall.json).unwrap();
            speaker.write_all(&frame).unwrap();
            // The member reads what it receives; otherwise the server would pause reading it.
            let mut reader = speaker.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            speaker
        })
        .collect();
    for id in 1..=SPEAKERS * EACH {
        let event = listener.await_event(|event| event["type"] == "message");
        assert_eq!(event["id"], id);
    }
    drop(speakers);
}
