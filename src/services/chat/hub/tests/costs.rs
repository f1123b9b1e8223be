//! The cost of many members, counted in output calls of the hub, not in time.

use super::harness::{HubHarness, LOCALHOST};
use super::*;

/// Returns the output calls and their receivers while `members` connect, send `hello` and leave.
fn output_of(members: usize) -> (usize, usize) {
    let mut chat = HubHarness::new(ChatConfig { max_requests_per_second: 0, ..ChatConfig::default() });
    let mut conns = Vec::new();
    for number in 0..members {
        let conn = chat.connect(ChatDialect::Json, LOCALHOST);
        chat.receive(conn, format!(r#"{{"type":"hello","nick":"m{number}"}}"#).as_bytes());
        conns.push(conn);
    }
    chat.run_until_idle();
    for conn in conns {
        chat.close(conn, &CloseReason::PeerClosed);
    }
    (chat.out.calls, chat.out.receivers)
}

#[test]
fn output_grows_linearly_with_joins() {
    let (few, many) = (output_of(1_000), output_of(10_000));
    assert_eq!(many.0 - few.0, 9_000, "each further member causes one `welcome` and no other output");
    assert_eq!(many.1 - few.1, 9_000);
}

#[test]
fn messages_of_one_turn_are_sent_as_one_batch() {
    let mut chat = HubHarness::new(ChatConfig {
        max_requests_per_second: 0,
        max_announcing_room_members: 0,
        ..ChatConfig::default()
    });
    let conns: Vec<_> = (0..100).map(|_| chat.connect(ChatDialect::Json, LOCALHOST)).collect();
    chat.out.calls = 0;
    for conn in &conns[..16] {
        chat.receive(*conn, br#"{"type":"say","room":"lobby","text":"x"}"#);
    }
    assert_eq!(chat.out.calls, 0, "the turn has not ended");
    chat.run_until_idle();
    assert_eq!(chat.out.calls, 1);
    assert_eq!(chat.take_delivered(conns[99]).len(), 16);
    // A turn with many messages sends several batches.
    chat.out.calls = 0;
    for _ in 0..200 {
        chat.receive(conns[0], br#"{"type":"say","room":"lobby","text":"x"}"#);
    }
    chat.run_until_idle();
    assert_eq!(chat.out.calls, 4);
    assert_eq!(chat.take_delivered(conns[99]).len(), 200);
}
