//! Peers that keep an engine waiting, and those that do not.

use std::io::Write;
use std::time::{Duration, Instant};

use switchboard::services::Echo;
use switchboard::{CloseReason, Context, Limits, Service, TimerId};

use crate::support::{Client, Engine, conformance, observe, serve};

conformance! {
    a_silent_peer_is_ended_and_a_talking_one_is_not,
    a_frame_begun_and_not_finished_ends_its_connection_and_no_other,
    a_frame_that_trickles_has_one_timeout_for_all_of_it,
    without_limits_nobody_is_ended,
}

/// Long enough that a client on a busy machine keeps within it, short enough to be waited for.
const LIMIT: Duration = Duration::from_secs(1);

/// Echoes, but says nothing to `only telling`, and does not wait to be asked by who says `subscribe`.
struct OneWay;

const TICK: Duration = Duration::from_millis(50);

impl Service for OneWay {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match payload {
            b"only telling" => {}
            b"subscribe" => {
                cx.set_timer(TICK);
            }
            _ => cx.reply(payload),
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        cx.reply(b"news");
        cx.set_timer(TICK);
    }
}

fn a_silent_peer_is_ended_and_a_talking_one_is_not<E: Engine>() {
    let (service, events) = observe(OneWay);
    let (running, addr) = serve::<E>(Limits { idle_timeout: LIMIT, ..Limits::default() }, service);
    // Either direction counts. These come first, so that they would be ended first if they were.
    let mut asking = Client::connect(addr);
    let telling = Client::connect(addr);
    let mut listening = Client::connect(addr);
    listening.send(b"subscribe");
    assert_eq!(listening.receive(), b"news");
    asking.echo(b"hello");
    for _ in 0..3 {
        events.next_opened();
    }
    let mut silent = Client::connect(addr);
    silent.echo(b"first and last");
    let silent_id = events.next_opened();
    let begun = Instant::now();
    let closed = events.repeat_until_closed(|| {
        asking.echo(b"still here");
        telling.send(b"only telling");
    });
    assert_eq!(closed, (silent_id, CloseReason::IdleTimeout(LIMIT)));
    assert!(!closed.1.is_fault());
    assert!(begun.elapsed() > LIMIT / 2, "ended early, after {:?}", begun.elapsed());
    silent.expect_end();
    asking.echo(b"and still");
    assert_eq!(events.try_next_closed(), None);
    drop((asking, telling, listening, silent));
    running.drain();
}

fn a_frame_begun_and_not_finished_ends_its_connection_and_no_other<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits { frame_timeout: LIMIT, ..Limits::default() }, service);
    // Between frames nobody is waited for.
    let mut quiet = Client::connect(addr);
    quiet.echo(b"a whole frame");
    events.next_opened();
    let mut talking = Client::connect(addr);
    talking.echo(b"hello");
    events.next_opened();
    let mut stuck = Client::connect(addr);
    let stuck_id = events.next_opened();
    stuck.send_bytes(b"\0\0\0\x02ok\0\0\0\x09half");
    assert_eq!(stuck.receive(), b"ok");
    // Frames in pieces, each finished in time, for longer than one may take.
    let closed = events.repeat_until_closed(|| {
        talking.send_bytes(b"\0\0\0\x04ha");
        quiet.echo(b"between the pieces");
        talking.send_bytes(b"lf");
        assert_eq!(talking.receive(), b"half");
    });
    assert_eq!(closed, (stuck_id, CloseReason::FrameTimeout { limit: LIMIT, looks_like: None }));
    stuck.expect_end();
    quiet.echo(b"not my affair");
    drop((quiet, talking, stuck));
    running.drain();
}

fn a_frame_that_trickles_has_one_timeout_for_all_of_it<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits { frame_timeout: LIMIT, ..Limits::default() }, service);
    let mut talking = Client::connect(addr);
    events.next_opened();
    let trickling = Client::connect(addr);
    trickling.send_bytes(b"\0\x0f\xff\xff");
    // Byte after byte, and never enough of them.
    let closed = events.repeat_until_closed(|| {
        let _ = trickling.socket().write(b".");
        talking.echo(b"meanwhile");
    });
    assert!(matches!(closed.1, CloseReason::FrameTimeout { limit: LIMIT, .. }), "{closed:?}");
    drop((talking, trickling));
    running.drain();
}

fn without_limits_nobody_is_ended<E: Engine>() {
    let zero = Duration::ZERO;
    let limits = Limits { frame_timeout: zero, write_timeout: zero, idle_timeout: zero, ..Limits::default() };
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(limits, service);
    let mut silent = Client::connect(addr);
    let mut half = Client::connect(addr);
    half.send_bytes(b"\0\0\0\x04ha");
    assert!(silent.receives_nothing_for(Duration::from_millis(200)));
    assert_eq!(events.try_next_closed(), None);
    silent.echo(b"here after all");
    half.send_bytes(b"lf");
    assert_eq!(half.receive(), b"half");
    drop((silent, half));
    running.drain();
}
