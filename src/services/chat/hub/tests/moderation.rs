//! The log of what the operator and the limits do to members.

use std::time::Duration;

use super::harness::{HubHarness, LOCALHOST};
use super::*;

#[test]
fn every_removal_is_logged_with_address_and_nick() {
    let config = ChatConfig { max_burst_requests: 2, max_members_per_address: Some(4), ..ChatConfig::default() };
    let mut chat = HubHarness::new(config);
    let op = chat.connect_console();
    let names = ["eva", "bob", "sam"];
    let members = names.map(|nick| {
        let conn = chat.connect(ChatDialect::Json, LOCALHOST);
        chat.receive(conn, format!(r#"{{"type":"hello","nick":"{nick}"}}"#).as_bytes());
        conn
    });
    let zoe = "127.0.0.1:20000".parse().unwrap();
    chat.receive_datagram(zoe, b"zoe : hi");
    chat.connect(ChatDialect::Lines, LOCALHOST);
    chat.receive(op, b"/kick EVA too loud");
    chat.run_until_idle();
    for _ in 0..2 {
        chat.receive(members[1], br#"{"type":"ping"}"#);
    }
    chat.receive_datagram(zoe, b"zoe : hi");
    chat.receive_datagram(zoe, b"zoe : hi");
    chat.receive(op, b"/ban 127.0.0.0/8 10m spam");
    chat.run_until_idle();
    chat.advance(Duration::from_millis(12_500));
    chat.connect(ChatDialect::Json, LOCALHOST);
    chat.receive_datagram("10.0.0.7:20000".parse().unwrap(), b"zoe : hi");
    chat.receive_datagram(zoe, b"zoe : hi");
    chat.receive_datagram(zoe, b"error : hi");
    let rate = "rate limit exceeded: 20 messages per second after a burst of 2";
    let expected = [
        ("chat limit of members", "chat 127.0.0.1:30005 rejected: this address has 4 connections already".to_owned()),
        ("chat kicks", "chat 127.0.0.1:30002 (eva) closed: kicked by the operator: too loud".to_owned()),
        ("chat rate limit", format!("chat 127.0.0.1:30003 (bob) closed: {rate}")),
        ("chat rate limit of datagrams", format!("chat udp:127.0.0.1:20000 (zoe) refused: {rate}")),
        ("chat bans", "chat 127.0.0.1:30004 (sam) closed: this address is banned for 10m: spam".to_owned()),
        ("chat bans", "chat udp:127.0.0.1:20000 (zoe) closed: this address is banned for 10m: spam".to_owned()),
        ("chat bans", "chat 127.0.0.1:30006 rejected: this address is banned for 9m 48s: spam".to_owned()),
        (
            "chat datagrams of other machines",
            "chat udp:10.0.0.7:20000 refused: this server takes datagrams from its own machine only".to_owned(),
        ),
        (
            "chat datagrams of banned addresses",
            "chat udp:127.0.0.1:20000 refused: this address is banned for 9m 48s: spam".to_owned(),
        ),
        (
            "chat refusals of other servers",
            "chat udp:127.0.0.1:20000 ignored: a refusal of another server has no answer".to_owned(),
        ),
    ];
    assert_eq!(chat.out.warnings, expected);
}
