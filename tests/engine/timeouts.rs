//! Idle and frame timeouts.

use std::io::Write;
use std::time::{Duration, Instant};

use switchboard::services::Echo;
use switchboard::{CloseReason, Context, Limits, Service, TimerId};

use crate::support::{Client, Engine, conformance, observe, scaled, serve};

conformance! {
    idle_timeout_closes_only_the_silent_client,
    frame_timeout_closes_only_the_unfinished_frame,
    frame_timeout_covers_the_whole_trickling_frame,
    zero_timeouts_close_no_connection,
    longest_durations_do_not_overflow,
}

/// Returns a timeout that is long enough for an active client, and short enough for a test.
fn timeout() -> Duration {
    scaled(Duration::from_secs(1))
}

/// Echoes. Sends no reply to `no reply`, and sends to `subscribe` every 50 ms without a request.
struct OneWayTraffic;

const TICK: Duration = Duration::from_millis(50);

impl Service for OneWayTraffic {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match payload {
            b"no reply" => {}
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

/// Echoes, with a timer that never fires.
struct FarTimer;

impl Service for FarTimer {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.set_timer(Duration::MAX);
        cx.reply(payload);
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        cx.reply(b"too early");
    }
}

fn longest_durations_do_not_overflow<E: Engine>() {
    for longest in [Duration::MAX, Duration::from_nanos(u64::MAX), Duration::from_secs(i64::MAX.unsigned_abs())] {
        let limits = Limits {
            frame_timeout: longest,
            write_timeout: longest,
            idle_timeout: longest,
            drain_timeout: longest,
            linger_timeout: longest,
            ..Limits::default()
        };
        let (running, addr) = serve::<E>(limits, FarTimer);
        let mut client = Client::connect(addr);
        client.echo(b"first");
        client.echo(b"second");
        running.handle.drain();
        client.expect_end();
        drop(client);
        running.join();
    }
}

fn idle_timeout_closes_only_the_silent_client<E: Engine>() {
    let (service, events) = observe(OneWayTraffic);
    let limit = timeout();
    let (running, addr) = serve::<E>(Limits { idle_timeout: limit, ..Limits::default() }, service);
    // Traffic in either direction counts. These clients connect first, so that an error would close
    // them first.
    let mut echoing = Client::connect(addr);
    let sending = Client::connect(addr);
    let mut receiving = Client::connect(addr);
    receiving.send(b"subscribe");
    assert_eq!(receiving.receive(), b"news");
    echoing.echo(b"hello");
    for _ in 0..3 {
        events.next_opened();
    }
    let mut silent = Client::connect(addr);
    silent.echo(b"first and last");
    let silent_id = events.next_opened();
    let start = Instant::now();
    let closed = events.repeat_until_closed(|| {
        echoing.echo(b"still here");
        sending.send(b"no reply");
    });
    assert_eq!(closed, (silent_id, CloseReason::IdleTimeout(limit)));
    assert!(!closed.1.is_fault());
    assert!(start.elapsed() > limit / 2, "closed early, after {:?}", start.elapsed());
    silent.expect_end();
    echoing.echo(b"and still");
    assert_eq!(events.try_next_closed(), None);
    drop((echoing, sending, receiving, silent));
    running.drain();
}

fn frame_timeout_closes_only_the_unfinished_frame<E: Engine>() {
    let (service, events) = observe(Echo);
    let limit = timeout();
    let (running, addr) = serve::<E>(Limits { frame_timeout: limit, ..Limits::default() }, service);
    // Between two frames no timeout runs.
    let mut quiet = Client::connect(addr);
    quiet.echo(b"a whole frame");
    events.next_opened();
    let mut active = Client::connect(addr);
    active.echo(b"hello");
    events.next_opened();
    let mut stuck = Client::connect(addr);
    let stuck_id = events.next_opened();
    stuck.send_bytes(b"\0\0\0\x02ok\0\0\0\x09half");
    assert_eq!(stuck.receive(), b"ok");
    // Split frames, each finished before the timeout, for longer than one timeout.
    let closed = events.repeat_until_closed(|| {
        active.send_bytes(b"\0\0\0\x04ha");
        quiet.echo(b"between the pieces");
        active.send_bytes(b"lf");
        assert_eq!(active.receive(), b"half");
    });
    assert_eq!(closed, (stuck_id, CloseReason::FrameTimeout { limit, looks_like: None }));
    stuck.expect_end();
    quiet.echo(b"still served");
    drop((quiet, active, stuck));
    running.drain();
}

fn frame_timeout_covers_the_whole_trickling_frame<E: Engine>() {
    let (service, events) = observe(Echo);
    let limit = timeout();
    let (running, addr) = serve::<E>(Limits { frame_timeout: limit, ..Limits::default() }, service);
    let mut active = Client::connect(addr);
    events.next_opened();
    let trickling = Client::connect(addr);
    trickling.send_bytes(b"\0\x0f\xff\xff");
    // One byte at a time; the frame is never finished.
    let closed = events.repeat_until_closed(|| {
        let _ = trickling.socket().write(b".");
        active.echo(b"meanwhile");
    });
    assert!(matches!(closed.1, CloseReason::FrameTimeout { limit: of, .. } if of == limit), "{closed:?}");
    drop((active, trickling));
    running.drain();
}

fn zero_timeouts_close_no_connection<E: Engine>() {
    let zero = Duration::ZERO;
    let limits = Limits { frame_timeout: zero, write_timeout: zero, idle_timeout: zero, ..Limits::default() };
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(limits, service);
    let mut silent = Client::connect(addr);
    let mut half = Client::connect(addr);
    half.send_bytes(b"\0\0\0\x04ha");
    assert!(silent.receives_nothing_for(Duration::from_millis(200)));
    assert_eq!(events.try_next_closed(), None);
    silent.echo(b"still connected");
    half.send_bytes(b"lf");
    assert_eq!(half.receive(), b"half");
    drop((silent, half));
    running.drain();
}
