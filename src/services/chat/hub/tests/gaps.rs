//! What is missing, and how it is told and made up for: drops, replays in pieces, memory's bounds.

use serde_json::{Value, json};

use super::table::{HERE, Table};
use super::*;
use crate::services::chat::rules::REPLAY_BYTES;

fn unlimited() -> Rules {
    Rules { messages_per_second: 0, ..Rules::default() }
}

fn ask(table: &mut Table, conn: ConnId, request: &Value) {
    table.say(conn, request.to_string().as_bytes());
}

fn heard(table: &mut Table, conn: ConnId) -> Vec<Value> {
    table.heard(conn).iter().map(|payload| serde_json::from_slice(payload).unwrap()).collect()
}

fn ids(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["id"].as_u64()).collect()
}

fn named(table: &mut Table, nick: &str) -> ConnId {
    let conn = table.connect(Dialect::Json, HERE);
    ask(table, conn, &json!({"type": "hello", "nick": nick}));
    table.settle();
    table.heard(conn);
    conn
}

fn say_many(table: &mut Table, conn: ConnId, room: &str, times: usize, bytes: usize) {
    for _ in 0..times {
        ask(table, conn, &json!({"type": "say", "room": room, "text": "x".repeat(bytes)}));
        table.settle();
    }
}

#[test]
fn a_long_replay_comes_in_pieces_and_what_is_said_meanwhile_at_its_end() {
    let mut table = Table::new(unlimited());
    let eva = named(&mut table, "eva");
    say_many(&mut table, eva, "lobby", 50, 4000);
    let bob = named(&mut table, "bob");
    ask(&mut table, bob, &json!({"type": "join", "room": "lobby", "since": 0}));
    table.heard(bob);
    let mut all = Vec::new();
    let mut pieces = 0;
    while table.drain() {
        let piece = table.heard(bob);
        let bytes: usize = piece.iter().map(|payload| payload.len()).sum();
        assert!(bytes < REPLAY_BYTES + 5000, "{bytes} bytes are sent before any is taken");
        all.extend(piece.iter().map(|payload| serde_json::from_slice::<Value>(payload).unwrap()));
        pieces += 1;
        // Eva goes on, faster than a turn; what she says is not sent past the replay.
        if pieces < 4 {
            ask(&mut table, eva, &json!({"type": "say", "room": "lobby", "text": "new"}));
            ask(&mut table, eva, &json!({"type": "say", "room": "lobby", "text": "newer"}));
            table.flush();
        }
        table.hub.check();
    }
    table.settle();
    assert!(pieces > 3, "200 kB were sent in {pieces} pieces");
    all.extend(heard(&mut table, bob));
    assert_eq!(ids(&all), (1..=56).collect::<Vec<_>>());
    let own = ids(&heard(&mut table, eva));
    assert_eq!(own, (1..=56).collect::<Vec<_>>(), "eva has heard herself live");
}

#[test]
fn whoever_comes_back_to_many_rooms_is_sent_one_piece_at_a_time() {
    let mut table = Table::new(unlimited());
    let eva = named(&mut table, "eva");
    let rooms: Vec<_> = (0..30).map(|number| format!("room{number}")).collect();
    for room in &rooms {
        ask(&mut table, eva, &json!({"type": "join", "room": room}));
        say_many(&mut table, eva, room, 10, 4000);
    }
    let bob = named(&mut table, "bob");
    for room in &rooms {
        ask(&mut table, bob, &json!({"type": "join", "room": room, "since": 0}));
    }
    let mut messages = 0;
    loop {
        let piece = table.heard(bob);
        let bytes: usize = piece.iter().map(|payload| payload.len()).sum();
        assert!(bytes < REPLAY_BYTES + 10_000, "{bytes} bytes are sent before any is taken");
        messages += piece.iter().filter(|payload| payload.starts_with(b"{\"type\":\"message\"")).count();
        if !table.drain() {
            break;
        }
    }
    assert_eq!(messages, 300);
}

#[test]
fn what_is_forgotten_during_a_replay_is_announced_where_it_would_have_come() {
    let mut table = Table::new(Rules { max_kept_messages: 40, ..unlimited() });
    let eva = named(&mut table, "eva");
    say_many(&mut table, eva, "lobby", 40, 4000);
    let bob = named(&mut table, "bob");
    ask(&mut table, bob, &json!({"type": "join", "room": "lobby", "since": 0}));
    table.drain();
    let first = ids(&heard(&mut table, bob));
    assert_eq!(first[0], 1);
    let next = first.last().unwrap() + 1;
    // While he waits for room, all of it goes.
    for _ in 0..45 {
        ask(&mut table, eva, &json!({"type": "say", "room": "lobby", "text": "new"}));
    }
    table.flush();
    table.settle();
    let rest = heard(&mut table, bob);
    assert_eq!(rest[0]["code"], "missed");
    assert_eq!((rest[0]["first"].as_u64(), rest[0]["count"].as_u64()), (Some(next), Some(46 - next)));
    assert_eq!(ids(&rest), (46..=85).collect::<Vec<_>>());
}

#[test]
fn a_slow_member_learns_how_many_it_missed_and_from_where() {
    let mut table = Table::new(unlimited());
    let eva = named(&mut table, "eva");
    let slow = named(&mut table, "slow");
    let gone = named(&mut table, "gone");
    ask(&mut table, gone, &json!({"type": "leave", "room": "lobby"}));
    table.settle();
    table.heard(gone);
    table.heard(slow);
    table.out.held = Some(Vec::new());
    for count in [1, 2] {
        for _ in 0..count {
            ask(&mut table, eva, &json!({"type": "say", "room": "lobby", "text": "x"}));
        }
        table.flush();
    }
    for batch in table.out.held.take().unwrap() {
        table.tell_dropped(slow, batch.ticket, batch.payloads.len() as u32);
        // Who is not there any more does not miss it.
        table.tell_dropped(gone, batch.ticket, batch.payloads.len() as u32);
    }
    assert!(table.heard(slow).is_empty(), "it would only be dropped, too");
    table.settle();
    let error = json!({"type": "error", "code": "missed", "room": "lobby", "first": 1, "count": 3,
        "text": "3 messages of lobby were missed, from id 1 on"});
    assert_eq!(heard(&mut table, slow), [error]);
    assert!(table.heard(gone).is_empty());
    // A report without a name is of no room: it is counted.
    table.tell_dropped(slow, BatchId::NONE, 1000);
    table.settle();
    let error = json!({"type": "error", "code": "missed", "count": 1000,
        "text": "1000 more were missed"});
    assert_eq!(heard(&mut table, slow), [error]);
    table.hub.check();
}

#[test]
fn memory_is_bounded_in_bytes_over_all_rooms() {
    let rules = Rules { max_kept_bytes: 20_000, ..unlimited() };
    let mut table = Table::new(rules.clone());
    let eva = named(&mut table, "eva");
    for room in ["one", "two", "three"] {
        ask(&mut table, eva, &json!({"type": "join", "room": room}));
        say_many(&mut table, eva, room, 50, 1);
    }
    // Large ones push out many small ones each.
    say_many(&mut table, eva, "one", 20, 4000);
    table.hub.check();
    let kept = table.hub.rooms.kept_bytes();
    assert!((rules.max_kept_bytes - 5000..=rules.max_kept_bytes).contains(&kept), "{kept}");
    // One that is larger than all of the memory is said, and not kept.
    let mut table = Table::new(Rules { max_kept_bytes: 100, ..unlimited() });
    let eva = named(&mut table, "eva");
    say_many(&mut table, eva, "lobby", 2, 1000);
    assert_eq!(ids(&heard(&mut table, eva)), [1, 2]);
    assert_eq!(table.hub.rooms.kept_bytes(), 0);
    table.hub.check();
}

#[test]
fn what_was_said_before_somebody_came_left_or_was_renamed_is_heard_before() {
    let mut table = Table::new(unlimited());
    let (eva, bob) = (named(&mut table, "eva"), named(&mut table, "bob"));
    let steps = [
        (json!({"type": "nick", "nick": "rob"}), "renamed"),
        (json!({"type": "leave", "room": "lobby"}), "left"),
        (json!({"type": "join", "room": "lobby"}), "joined"),
    ];
    table.heard(eva);
    for (request, told) in steps {
        // In one turn.
        ask(&mut table, eva, &json!({"type": "say", "room": "lobby", "text": "x"}));
        ask(&mut table, bob, &request);
        table.settle();
        let kinds: Vec<_> = heard(&mut table, eva).into_iter().map(|event| event["type"].clone()).collect();
        assert_eq!(kinds, ["message", told]);
    }
}

#[test]
fn a_ping_is_answered_after_the_replays_that_were_asked_for_before_it() {
    let kinds = |events: &[Value]| -> Vec<String> {
        let word = |event: &Value| event["code"].as_str().or(event["type"].as_str()).unwrap().to_owned();
        events.iter().map(word).collect()
    };
    let mut table = Table::new(unlimited());
    let eva = named(&mut table, "eva");
    say_many(&mut table, eva, "lobby", 2, 1);
    let bob = named(&mut table, "bob");
    ask(&mut table, bob, &json!({"type": "join", "room": "lobby", "since": 1}));
    ask(&mut table, bob, &json!({"type": "ping"}));
    ask(&mut table, bob, &json!({"type": "join", "room": "lobby", "since": 0}));
    assert_eq!(kinds(&heard(&mut table, bob)), ["joined", "joined", "replaying"]);
    table.settle();
    assert_eq!(kinds(&heard(&mut table, bob)), ["message", "pong"]);
    // Nor does it wait for ever for a replay that nobody wants any more.
    ask(&mut table, bob, &json!({"type": "join", "room": "lobby", "since": 0}));
    ask(&mut table, bob, &json!({"type": "ping"}));
    ask(&mut table, bob, &json!({"type": "leave", "room": "lobby"}));
    assert_eq!(kinds(&heard(&mut table, bob)), ["joined", "left", "pong"]);
}

#[test]
fn pings_that_wait_for_a_replay_are_not_counted_without_end() {
    let mut table = Table::new(unlimited());
    let eva = named(&mut table, "eva");
    say_many(&mut table, eva, "lobby", 2, 1);
    let bob = named(&mut table, "bob");
    ask(&mut table, bob, &json!({"type": "join", "room": "lobby", "since": 0}));
    for _ in 0..100 {
        ask(&mut table, bob, &json!({"type": "ping"}));
    }
    let refused = heard(&mut table, bob).iter().filter(|event| event["code"] == "replaying").count();
    table.settle();
    let answered = heard(&mut table, bob).iter().filter(|event| event["type"] == "pong").count();
    assert_eq!((answered, refused), (64, 36));
}

#[test]
fn a_whisper_that_somebody_does_not_read_is_not_dropped_in_silence() {
    let mut table = Table::new(unlimited());
    table.out.held = Some(Vec::new());
    let (eva, bob) = (named(&mut table, "eva"), named(&mut table, "bob"));
    table.out.held = Some(Vec::new());
    ask(&mut table, eva, &json!({"type": "whisper", "to": "bob", "text": "psst"}));
    let held = table.out.held.take().unwrap();
    let [whisper] = &held[..] else { panic!("{} batches", held.len()) };
    assert_eq!(whisper.to, [bob]);
    table.tell_dropped(bob, whisper.ticket, 1);
    table.settle();
    assert_eq!(
        heard(&mut table, bob),
        [json!({"type": "error", "code": "missed", "text": "1 more were missed", "count": 1})]
    );
}

#[test]
fn what_was_dropped_before_somebody_left_is_not_missed_after_it_is_back() {
    let mut table = Table::new(unlimited());
    let eva = named(&mut table, "eva");
    let bob = named(&mut table, "bob");
    table.out.held = Some(Vec::new());
    ask(&mut table, eva, &json!({"type": "say", "room": "lobby", "text": "x"}));
    table.flush();
    let ticket = table.out.held.take().unwrap()[0].ticket;
    for request in ["leave", "join"] {
        ask(&mut table, bob, &json!({"type": request, "room": "lobby"}));
    }
    table.tell_dropped(bob, ticket, 1);
    table.settle();
    assert!(heard(&mut table, bob).iter().all(|event| event["code"] != "missed"));
}

#[test]
fn whoever_says_too_much_hears_what_was_said_before_its_end() {
    let mut table = Table::new(Rules { messages_per_second: 1, burst: 3, ..Rules::default() });
    let eva = named(&mut table, "eva");
    for _ in 0..5 {
        ask(&mut table, eva, &json!({"type": "say", "room": "lobby", "text": "x"}));
    }
    table.settle();
    let events = heard(&mut table, eva);
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "message", "error", "bye"]);
}
