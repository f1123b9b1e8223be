//! What many members cost, counted in words of the hub and not in time.

use super::harness::{HERE, Table};
use super::*;

/// Words spoken, and their receivers, while so many enter the lobby, say hello and leave.
fn cost(members: usize) -> (usize, usize) {
    let mut table = Table::new(Rules { messages_per_second: 0, ..Rules::default() });
    let mut conns = Vec::new();
    for number in 0..members {
        let conn = table.connect(Dialect::Json, HERE);
        table.say(conn, format!(r#"{{"type":"hello","nick":"m{number}"}}"#).as_bytes());
        conns.push(conn);
    }
    table.settle();
    for conn in conns {
        table.close(conn, &CloseReason::PeerClosed);
    }
    (table.out.calls, table.out.receivers)
}

#[test]
fn ten_thousand_joins_cost_ten_times_a_thousand() {
    let (few, many) = (cost(1_000), cost(10_000));
    assert_eq!(many.0 - few.0, 9_000, "each more is welcomed, and causes nothing else");
    assert_eq!(many.1 - few.1, 9_000);
}

#[test]
fn what_is_said_in_a_turn_leaves_together() {
    let mut table = Table::new(Rules { messages_per_second: 0, announce_up_to: 0, ..Rules::default() });
    let conns: Vec<_> = (0..100).map(|_| table.connect(Dialect::Json, HERE)).collect();
    table.out.calls = 0;
    for conn in &conns[..16] {
        table.say(*conn, br#"{"type":"say","room":"lobby","text":"x"}"#);
    }
    assert_eq!(table.out.calls, 0, "the turn has not ended");
    table.settle();
    assert_eq!(table.out.calls, 1);
    assert_eq!(table.heard(conns[99]).len(), 16);
    // A turn in which very much is said is sent in batches all the same.
    table.out.calls = 0;
    for _ in 0..200 {
        table.say(conns[0], br#"{"type":"say","room":"lobby","text":"x"}"#);
    }
    table.settle();
    assert_eq!(table.out.calls, 4);
    assert_eq!(table.heard(conns[99]).len(), 200);
}
