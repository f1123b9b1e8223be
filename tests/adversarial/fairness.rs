//! Floods, and what the others notice of them: line 4 of `docs/overload.md`.

use std::thread;
use std::time::Duration;

use switchboard::{Context, Limits, Service};

use crate::support::{Client, Engine, conformance, serve};

/// The time that a slow callback takes: longer than a long turn, by the definition in the
/// statistics.
const SLOW: Duration = Duration::from_millis(30);

/// Echoes; a payload that begins with `slow` takes [`SLOW`].
struct SlowOnRequest;

impl Service for SlowOnRequest {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload.starts_with(b"slow") {
            thread::sleep(SLOW);
        }
        cx.reply(payload);
    }
}

fn a_slow_callback_is_named_in_the_statistics<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), SlowOnRequest);
    let mut client = Client::connect(addr);
    client.echo(b"slow one");
    client.echo(b"quick");
    client.echo(b"slow two");
    assert!(running.counters()["long_turns_by_work/5/on_frame/test"] >= 2);
    drop(client);
    let stats = running.drain();
    assert!(stats.long_turns >= 2 && stats.longest_turn >= SLOW, "{stats}");
    let frames = stats.long_turns_by_work.iter().find(|it| it.work == "on_frame").unwrap();
    assert_eq!((frames.step, &*frames.service), (5, "test"));
    assert!(frames.longest >= SLOW && frames.longest <= stats.longest_turn, "{stats}");
}

conformance! {
    a_slow_callback_is_named_in_the_statistics,
}
