//! Missing messages: dropped batches and their notices, replays in pieces, the limits of the
//! history.

use serde_json::{Value, json};

use super::harness::{HubHarness, LOCALHOST};
use super::*;
use crate::services::chat::config::REPLAY_STEP_BYTES;
use crate::services::chat::hub::delivery::MAX_GAPS;

fn unlimited() -> ChatConfig {
    ChatConfig { max_requests_per_second: 0, ..ChatConfig::default() }
}

fn request(chat: &mut HubHarness, conn: ConnId, request: &Value) {
    chat.receive(conn, request.to_string().as_bytes());
}

fn events(chat: &mut HubHarness, conn: ConnId) -> Vec<Value> {
    chat.take_delivered(conn).iter().map(|payload| serde_json::from_slice(payload).unwrap()).collect()
}

fn ids(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["id"].as_u64()).collect()
}

fn connect_as(chat: &mut HubHarness, nick: &str) -> ConnId {
    let conn = chat.connect(ChatDialect::Json, LOCALHOST);
    request(chat, conn, &json!({"type": "hello", "nick": nick}));
    chat.run_until_idle();
    chat.take_delivered(conn);
    conn
}

fn say_many(chat: &mut HubHarness, conn: ConnId, room: &str, times: usize, bytes: usize) {
    for _ in 0..times {
        request(chat, conn, &json!({"type": "say", "room": room, "text": "x".repeat(bytes)}));
        chat.run_until_idle();
    }
}

#[test]
fn replay_comes_in_pieces_and_ends_with_new_messages() {
    let mut chat = HubHarness::new(unlimited());
    let eva = connect_as(&mut chat, "eva");
    say_many(&mut chat, eva, "lobby", 50, 4000);
    let bob = connect_as(&mut chat, "bob");
    request(&mut chat, bob, &json!({"type": "join", "room": "lobby", "since": 0}));
    chat.take_delivered(bob);
    let mut all = Vec::new();
    let mut pieces = 0;
    while chat.report_writable() {
        let piece = chat.take_delivered(bob);
        let bytes: usize = piece.iter().map(|payload| payload.len()).sum();
        assert!(bytes < REPLAY_STEP_BYTES + 5000, "{bytes} bytes were sent before on_writable");
        all.extend(piece.iter().map(|payload| serde_json::from_slice::<Value>(payload).unwrap()));
        pieces += 1;
        // Eva publishes two messages per turn; they are not sent before the rest of the replay.
        if pieces < 4 {
            request(&mut chat, eva, &json!({"type": "say", "room": "lobby", "text": "new"}));
            request(&mut chat, eva, &json!({"type": "say", "room": "lobby", "text": "newer"}));
            chat.end_turn();
        }
        chat.hub.check();
    }
    chat.run_until_idle();
    assert!(pieces > 3, "200 kB were sent in {pieces} pieces");
    all.extend(events(&mut chat, bob));
    assert_eq!(ids(&all), (1..=56).collect::<Vec<_>>());
    let own = ids(&events(&mut chat, eva));
    assert_eq!(own, (1..=56).collect::<Vec<_>>(), "eva received her own messages as broadcasts");
}

#[test]
fn replays_of_many_rooms_share_one_piece() {
    let mut chat = HubHarness::new(unlimited());
    let eva = connect_as(&mut chat, "eva");
    let rooms: Vec<_> = (0..30).map(|number| format!("room{number}")).collect();
    for room in &rooms {
        request(&mut chat, eva, &json!({"type": "join", "room": room}));
        say_many(&mut chat, eva, room, 10, 4000);
    }
    let bob = connect_as(&mut chat, "bob");
    for room in &rooms {
        request(&mut chat, bob, &json!({"type": "join", "room": room, "since": 0}));
    }
    let mut messages = 0;
    loop {
        let piece = chat.take_delivered(bob);
        let bytes: usize = piece.iter().map(|payload| payload.len()).sum();
        assert!(bytes < REPLAY_STEP_BYTES + 10_000, "{bytes} bytes were sent before on_writable");
        messages += piece.iter().filter(|payload| payload.starts_with(b"{\"type\":\"message\"")).count();
        if !chat.report_writable() {
            break;
        }
    }
    assert_eq!(messages, 300);
}

#[test]
fn messages_evicted_during_a_replay_are_reported_in_order() {
    let mut chat = HubHarness::new(ChatConfig { max_kept_messages: 40, ..unlimited() });
    let eva = connect_as(&mut chat, "eva");
    say_many(&mut chat, eva, "lobby", 40, 4000);
    let bob = connect_as(&mut chat, "bob");
    request(&mut chat, bob, &json!({"type": "join", "room": "lobby", "since": 0}));
    chat.report_writable();
    let first = ids(&events(&mut chat, bob));
    assert_eq!(first[0], 1);
    let next = first.last().unwrap() + 1;
    // All remaining messages are evicted before bob's connection is writable again.
    for _ in 0..45 {
        request(&mut chat, eva, &json!({"type": "say", "room": "lobby", "text": "new"}));
    }
    chat.end_turn();
    chat.run_until_idle();
    let rest = events(&mut chat, bob);
    assert_eq!(rest[0]["code"], "missed");
    assert_eq!((rest[0]["first"].as_u64(), rest[0]["count"].as_u64()), (Some(next), Some(46 - next)));
    assert_eq!(ids(&rest), (46..=85).collect::<Vec<_>>());
}

#[test]
fn missed_reports_the_first_id_and_the_count() {
    let mut chat = HubHarness::new(unlimited());
    let eva = connect_as(&mut chat, "eva");
    let slow = connect_as(&mut chat, "slow");
    let gone = connect_as(&mut chat, "gone");
    request(&mut chat, gone, &json!({"type": "leave", "room": "lobby"}));
    chat.run_until_idle();
    chat.take_delivered(gone);
    chat.take_delivered(slow);
    chat.out.held = Some(Vec::new());
    for count in [1, 2] {
        for _ in 0..count {
            request(&mut chat, eva, &json!({"type": "say", "room": "lobby", "text": "x"}));
        }
        chat.end_turn();
    }
    for batch in chat.out.held.take().unwrap() {
        chat.report_dropped(slow, batch.batch, batch.payloads.len() as u32);
        // A member that has left the room does not miss its messages.
        chat.report_dropped(gone, batch.batch, batch.payloads.len() as u32);
    }
    assert!(chat.take_delivered(slow).is_empty(), "the notice waits for on_writable");
    chat.run_until_idle();
    let error = json!({"type": "error", "code": "missed", "room": "lobby", "first": 1, "count": 3, "last": 3,
        "text": "3 messages of lobby were missed, ids 1 to 3"});
    assert_eq!(events(&mut chat, slow), [error]);
    assert!(chat.take_delivered(gone).is_empty());
    // A report without a batch id names no message, so the member cannot be told.
    chat.report_dropped(slow, BatchId::NONE, 1000);
    chat.run_until_idle();
    let reason = "1000 more messages were dropped than could be named: join again with since";
    assert_eq!(events(&mut chat, slow), [json!({"type": "bye", "reason": reason})]);
    assert_eq!(chat.closed, [slow]);
    chat.hub.check();
}

#[test]
fn missed_names_each_range_by_itself() {
    let mut chat = HubHarness::new(unlimited());
    let eva = connect_as(&mut chat, "eva");
    let slow = connect_as(&mut chat, "slow");
    let batches = say_in_turns(&mut chat, eva, 2 * MAX_GAPS + 2);
    // Ids 4 and 3, then 1, then 6, then 5: three ranges become two.
    for id in [4, 3, 1, 6, 5] {
        chat.report_dropped(slow, batches[id - 1], 1);
    }
    chat.run_until_idle();
    let ranges = |events: &[Value]| -> Vec<_> {
        events.iter().map(|event| (event["first"].as_u64().unwrap(), event["last"].as_u64().unwrap())).collect()
    };
    assert_eq!(ranges(&events(&mut chat, slow)), [(1, 1), (3, 6)]);
    // A member that reads between the drops is told before it has too many ranges.
    for id in (2..).step_by(2).take(MAX_GAPS) {
        chat.report_dropped(slow, batches[id - 1], 1);
    }
    assert!(events(&mut chat, slow).is_empty(), "the notices wait for on_writable");
    chat.report_dropped(slow, *batches.last().unwrap(), 1);
    assert_eq!(events(&mut chat, slow).len(), MAX_GAPS + 1);
    chat.hub.check();
}

/// Sends a message in each of many turns, of which no batch is delivered. Returns the batches.
fn say_in_turns(chat: &mut HubHarness, conn: ConnId, turns: usize) -> Vec<BatchId> {
    chat.out.held = Some(Vec::new());
    say_many(chat, conn, "lobby", turns, 1);
    chat.out.held.take().unwrap().into_iter().map(|sent| sent.batch).collect()
}

#[test]
fn kept_bytes_are_limited_over_all_rooms() {
    let config = ChatConfig { max_kept_bytes: 20_000, ..unlimited() };
    let mut chat = HubHarness::new(config.clone());
    let eva = connect_as(&mut chat, "eva");
    for room in ["one", "two", "three"] {
        request(&mut chat, eva, &json!({"type": "join", "room": room}));
        say_many(&mut chat, eva, room, 50, 1);
    }
    // Each large message evicts many small ones.
    say_many(&mut chat, eva, "one", 20, 4000);
    chat.hub.check();
    let kept = chat.hub.rooms.kept_bytes();
    assert!((config.max_kept_bytes - 5000..=config.max_kept_bytes).contains(&kept), "{kept}");
    // A message larger than the limit is published and not kept.
    let mut chat = HubHarness::new(ChatConfig { max_kept_bytes: 100, ..unlimited() });
    let eva = connect_as(&mut chat, "eva");
    say_many(&mut chat, eva, "lobby", 2, 1000);
    assert_eq!(ids(&events(&mut chat, eva)), [1, 2]);
    assert_eq!(chat.hub.rooms.kept_bytes(), 0);
    chat.hub.check();
}

#[test]
fn messages_precede_later_joins_leaves_and_renames() {
    let mut chat = HubHarness::new(unlimited());
    let (eva, bob) = (connect_as(&mut chat, "eva"), connect_as(&mut chat, "bob"));
    let steps = [
        (json!({"type": "nick", "nick": "rob"}), "renamed"),
        (json!({"type": "leave", "room": "lobby"}), "left"),
        (json!({"type": "join", "room": "lobby"}), "joined"),
    ];
    chat.take_delivered(eva);
    for (step, announced) in steps {
        // Both requests are in one turn.
        request(&mut chat, eva, &json!({"type": "say", "room": "lobby", "text": "x"}));
        request(&mut chat, bob, &step);
        chat.run_until_idle();
        let kinds: Vec<_> = events(&mut chat, eva).into_iter().map(|event| event["type"].clone()).collect();
        assert_eq!(kinds, ["message", announced]);
    }
}

#[test]
fn pong_follows_the_replays_requested_before_the_ping() {
    let kinds = |events: &[Value]| -> Vec<String> {
        let word = |event: &Value| event["code"].as_str().or(event["type"].as_str()).unwrap().to_owned();
        events.iter().map(word).collect()
    };
    let mut chat = HubHarness::new(unlimited());
    let eva = connect_as(&mut chat, "eva");
    say_many(&mut chat, eva, "lobby", 2, 1);
    let bob = connect_as(&mut chat, "bob");
    request(&mut chat, bob, &json!({"type": "join", "room": "lobby", "since": 1}));
    request(&mut chat, bob, &json!({"type": "ping"}));
    request(&mut chat, bob, &json!({"type": "join", "room": "lobby", "since": 0}));
    assert_eq!(kinds(&events(&mut chat, bob)), ["joined", "joined", "replaying"]);
    chat.run_until_idle();
    assert_eq!(kinds(&events(&mut chat, bob)), ["message", "pong"]);
    // Leaving the room ends the replay, and the pong is sent.
    request(&mut chat, bob, &json!({"type": "join", "room": "lobby", "since": 0}));
    request(&mut chat, bob, &json!({"type": "ping"}));
    request(&mut chat, bob, &json!({"type": "leave", "room": "lobby"}));
    assert_eq!(kinds(&events(&mut chat, bob)), ["joined", "left", "pong"]);
}

#[test]
fn deferred_pings_are_limited() {
    let mut chat = HubHarness::new(unlimited());
    let eva = connect_as(&mut chat, "eva");
    say_many(&mut chat, eva, "lobby", 2, 1);
    let bob = connect_as(&mut chat, "bob");
    request(&mut chat, bob, &json!({"type": "join", "room": "lobby", "since": 0}));
    for _ in 0..100 {
        request(&mut chat, bob, &json!({"type": "ping"}));
    }
    let rejected = events(&mut chat, bob).iter().filter(|event| event["code"] == "replaying").count();
    chat.run_until_idle();
    let answered = events(&mut chat, bob).iter().filter(|event| event["type"] == "pong").count();
    assert_eq!((answered, rejected), (64, 36));
}

#[test]
fn dropped_whisper_is_reported_as_missed() {
    let mut chat = HubHarness::new(unlimited());
    chat.out.held = Some(Vec::new());
    let (eva, bob) = (connect_as(&mut chat, "eva"), connect_as(&mut chat, "bob"));
    chat.out.held = Some(Vec::new());
    request(&mut chat, eva, &json!({"type": "whisper", "to": "bob", "text": "psst"}));
    let held = chat.out.held.take().unwrap();
    let [whisper] = &held[..] else { panic!("{} batches", held.len()) };
    assert_eq!(whisper.to, [bob]);
    chat.report_dropped(bob, whisper.batch, 1);
    chat.run_until_idle();
    assert_eq!(
        events(&mut chat, bob),
        [json!({"type": "error", "code": "missed", "text": "1 whisper was missed", "count": 1})]
    );
}

#[test]
fn messages_dropped_before_a_rejoin_are_not_missed() {
    let mut chat = HubHarness::new(unlimited());
    let eva = connect_as(&mut chat, "eva");
    let bob = connect_as(&mut chat, "bob");
    chat.out.held = Some(Vec::new());
    request(&mut chat, eva, &json!({"type": "say", "room": "lobby", "text": "x"}));
    chat.end_turn();
    let batch = chat.out.held.take().unwrap()[0].batch;
    for kind in ["leave", "join"] {
        request(&mut chat, bob, &json!({"type": kind, "room": "lobby"}));
    }
    chat.report_dropped(bob, batch, 1);
    chat.run_until_idle();
    assert!(events(&mut chat, bob).iter().all(|event| event["code"] != "missed"));
}

#[test]
fn flooding_member_receives_its_messages_before_bye() {
    let mut chat =
        HubHarness::new(ChatConfig { max_requests_per_second: 1, max_burst_requests: 3, ..ChatConfig::default() });
    let eva = connect_as(&mut chat, "eva");
    for _ in 0..5 {
        request(&mut chat, eva, &json!({"type": "say", "room": "lobby", "text": "x"}));
    }
    chat.run_until_idle();
    let all = events(&mut chat, eva);
    let kinds: Vec<_> = all.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "message", "error", "bye"]);
}

#[test]
fn what_was_said_before_a_close_precedes_bye() {
    let mut chat = HubHarness::new(ChatConfig::default());
    let [eva, tom] = ["eva", "tom"].map(|nick| connect_as(&mut chat, nick));
    chat.run_until_idle();
    events(&mut chat, eva);
    request(&mut chat, tom, &json!({"type": "say", "room": "lobby", "text": "x"}));
    chat.close(eva, &crate::service::CloseReason::ShuttingDown);
    chat.run_until_idle();
    let all = events(&mut chat, eva);
    let kinds: Vec<_> = all.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "bye"]);
}
