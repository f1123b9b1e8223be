//! The proof of a UDP sender's address.

use std::net::SocketAddr;
use std::time::Duration;

use super::harness::HubHarness;
use super::*;
use crate::services::chat::requested_proof;

fn public() -> HubHarness {
    let config = ChatConfig { accepts_remote_datagrams: true, max_requests_per_second: 0, ..ChatConfig::default() };
    HubHarness::new(config)
}

fn remote(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 20_000))
}

fn take(chat: &mut HubHarness, source: SocketAddr) -> Vec<String> {
    chat.run_until_idle();
    let datagrams = chat.out.datagrams.remove(&source).unwrap_or_default();
    datagrams.iter().map(|payload| String::from_utf8(payload.to_vec()).unwrap()).collect()
}

/// Sends a text and returns the command that the answer asks for.
fn challenge(chat: &mut HubHarness, source: SocketAddr) -> String {
    chat.receive_datagram(source, b"x : hi");
    let answers = take(chat, source);
    let [answer] = &answers[..] else { panic!("{answers:?}") };
    requested_proof(answer).unwrap().to_owned()
}

#[test]
fn forged_datagram_sends_its_victim_one_short_answer() {
    let mut chat = public();
    let (victim, eva) = (remote(1), remote(2));
    let command = challenge(&mut chat, eva);
    chat.receive_datagram(eva, format!("eva : {command}").as_bytes());
    assert_eq!(take(&mut chat, eva), ["switchboard : eva has joined lobby"]);
    for forged in [&b""[..], b"a:", b"a : hi", b"no colon", b"\xff : x", b"a : /prove 000000000000 hi"] {
        chat.receive_datagram(victim, forged);
        let answers = take(&mut chat, victim);
        assert_eq!(answers.len(), 1, "{forged:?}");
        assert!(answers[0].len() + 28 <= 3 * 28, "{answers:?}");
    }
    for number in 0..100 {
        chat.receive_datagram(eva, format!("eva : {number}").as_bytes());
        assert_eq!(take(&mut chat, eva), [format!("eva : {number}")]);
    }
    assert!(take(&mut chat, victim).is_empty());
    // The word of one address proves no other.
    let command = challenge(&mut chat, remote(3));
    chat.receive_datagram(victim, format!("a : {command} hi").as_bytes());
    assert!(requested_proof(&take(&mut chat, victim)[0]).is_some());
    chat.hub.check();
}

#[test]
fn proved_sender_is_a_member_until_it_is_removed() {
    let mut chat = public();
    let zoe = remote(1);
    let command = challenge(&mut chat, zoe);
    // The text may come with the proof, which may be repeated.
    for text in ["one", "two"] {
        chat.receive_datagram(zoe, format!("zoe : {command} {text}").as_bytes());
        assert_eq!(take(&mut chat, zoe), [format!("zoe : {text}")]);
    }
    chat.receive_datagram(zoe, b"zoe : three");
    assert_eq!(take(&mut chat, zoe), ["zoe : three"]);
    chat.advance(Duration::from_secs(61));
    assert_ne!(challenge(&mut chat, zoe), "");
    // A refused nick does not use the word up.
    let command = challenge(&mut chat, zoe);
    chat.receive_datagram(zoe, format!("operator : {command} hi").as_bytes());
    assert_eq!(take(&mut chat, zoe), ["error : a nick like operator is reserved"]);
    chat.receive_datagram(zoe, format!("zoe : {command} hi").as_bytes());
    assert_eq!(take(&mut chat, zoe), ["zoe : hi"]);
    chat.hub.check();
}

#[test]
fn banned_remote_address_gets_no_long_reason() {
    let mut chat = public();
    let console = chat.connect_console();
    chat.receive(console, format!("/ban 192.0.2.1 {}", "spam ".repeat(100)).as_bytes());
    chat.receive_datagram(remote(1), b"x : hi");
    assert_eq!(take(&mut chat, remote(1)), ["error : this address is banned"]);
}

#[test]
fn senders_on_this_machine_prove_nothing_unless_configured() {
    let local = SocketAddr::from(([127, 0, 0, 1], 20_000));
    let mut chat = public();
    chat.receive_datagram(local, b"ann : /prove 000000000000");
    assert_eq!(take(&mut chat, local), ["ann : /prove 000000000000"]);
    let config = ChatConfig { proves_loopback_addresses: true, ..ChatConfig::default() };
    let mut chat = HubHarness::new(config);
    assert_ne!(challenge(&mut chat, local), "");
}
