//! The end of a connection, and the close reason that the service receives.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{
    CloseReason, ConnId, Context, FrameError, Framing, Limits, LooksLike, Message, Payload, Peer, Service, TimerId,
};

use crate::support::{
    Client, ConnectionEvent, Engine, RunningEngine, conformance, encode_frame, guard, listen_tcp, observe, serve,
    serve_echo,
};

conformance! {
    half_closed_client_gets_all_replies,
    reset_inside_a_frame_closes_that_connection_only,
    truncated_frame_reports_the_received_bytes,
    bad_frame_reports_the_protocol_it_looks_like,
    replies_are_sent_before_a_close_by_the_service,
    close_from_any_callback_calls_on_close_once,
    reply_in_on_close_is_sent,
    second_close_keeps_the_queued_output,
    timers_of_a_closed_connection_never_fire,
    broadcast_in_on_close_after_a_failed_write_is_sent,
    lingering_connection_closes_after_linger_timeout,
}

fn half_closed_client_gets_all_replies<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits::default(), service);
    for count in [0, 1, 1000] {
        let mut client = Client::connect(addr);
        let requests: Vec<u8> =
            (0..count).flat_map(|number| encode_frame("u32be", format!("request {number}").as_bytes())).collect();
        client.send_bytes(&requests);
        client.finish();
        for number in 0..count {
            assert_eq!(client.receive(), format!("request {number}").as_bytes());
        }
        client.expect_end();
        assert_eq!(events.next_closed().1, CloseReason::PeerClosed);
    }
    running.drain();
}

fn reset_inside_a_frame_closes_that_connection_only<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut other = Client::connect(addr);
    events.next_opened();
    for partial in [&b"\0\0"[..], b"\0\0\x01\0half", b"\0\0\0\x02ok\0\0\x01\0half"] {
        let client = Client::connect(addr);
        let id = events.next_opened();
        client.send_bytes(partial);
        other.echo(b"before");
        client.reset();
        let (closed_id, reason) = events.next_closed();
        assert_eq!(closed_id, id);
        assert!(matches!(reason, CloseReason::PeerReset(_) | CloseReason::TruncatedFrame { .. }), "{reason:?}");
        other.echo(b"after");
    }
    drop(other);
    assert_eq!(running.drain().faulted, 3);
}

fn truncated_frame_reports_the_received_bytes<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut client = Client::connect(addr);
    client.send_bytes(b"\0\0\0\x02ok\0\0\0\x09half");
    client.finish();
    assert_eq!(client.receive(), b"ok", "the frame before the end gets its reply");
    client.expect_end();
    assert_eq!(events.next_closed().1, CloseReason::TruncatedFrame { received_bytes: 8, looks_like: None });
    running.drain();
}

fn bad_frame_reports_the_protocol_it_looks_like<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits::default(), service);
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], LooksLike::Http),
        (b"hello, is anybody there?\n", LooksLike::Text),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", LooksLike::Tls),
    ] {
        let mut client = Client::connect(addr);
        client.send_bytes(bytes);
        client.expect_end();
        let (_, reason) = events.next_closed();
        let CloseReason::BadFrame(FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like }) = reason else {
            panic!("{expected:?}: {reason:?}");
        };
        assert_eq!(looks_like, Some(expected));
        assert_eq!(declared_bytes, u64::from(u32::from_be_bytes(bytes[..4].try_into().unwrap())));
        assert_eq!(max_frame_bytes, Limits::default().max_frame_bytes);
    }
    assert_eq!(running.drain().faulted, 3);
}

/// Echoes and closes: on `close`, on a timer after `later`, or in `on_open`.
struct ClosingService {
    close_on_open: bool,
}

impl Service for ClosingService {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        if self.close_on_open {
            cx.reply(b"no");
            cx.close("closed in on_open");
        }
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
        match payload {
            b"close" => {
                cx.reply(b"closing");
                cx.close("as asked");
                cx.reply(b"after the close");
            }
            b"later" => {
                cx.set_timer(Duration::from_millis(1));
            }
            _ => {}
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        cx.reply(b"timer");
        cx.close("by timer");
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        // A close of a closed connection has no effect.
        cx.close("again");
        cx.reply(format!("bye: {reason}").as_bytes());
    }
}

fn replies_are_sent_before_a_close_by_the_service<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), ClosingService { close_on_open: false });
    let mut client = Client::connect(addr);
    // One write, so that the last request is already received when the service closes.
    let requests = ["one", "two", "close", "no reply"].map(|text| encode_frame("u32be", text.as_bytes())).concat();
    client.send_bytes(&requests);
    for expected in ["one", "two", "close", "closing", "after the close", "bye: as asked"] {
        assert_eq!(client.receive(), expected.as_bytes());
    }
    client.expect_end();
    drop(client);
    let stats = running.drain();
    assert_eq!((stats.closed, stats.faulted), (1, 0), "{stats}");
}

fn close_from_any_callback_calls_on_close_once<E: Engine>() {
    let (service, events) = observe(ClosingService { close_on_open: true });
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut client = Client::connect(addr);
    assert_eq!(client.receive(), b"no");
    assert_eq!(client.receive(), b"bye: closed in on_open");
    client.expect_end();
    drop(client);
    running.drain();
    let reasons: Vec<_> = events.into_remaining();
    assert!(
        matches!(&reasons[..], [ConnectionEvent::Opened(a), ConnectionEvent::Closed(b, CloseReason::Service(text))]
            if a == b && text == "closed in on_open"),
        "{reasons:?}"
    );

    let (service, events) = observe(ClosingService { close_on_open: false });
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut client = Client::connect(addr);
    client.echo(b"later");
    assert_eq!(client.receive(), b"timer");
    assert_eq!(client.receive(), b"bye: by timer");
    client.expect_end();
    drop(client);
    running.drain();
    assert_eq!(events.into_remaining().len(), 2);
}

fn reply_in_on_close_is_sent<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), ClosingService { close_on_open: false });
    let mut client = Client::connect(addr);
    client.send(b"hello");
    client.finish();
    assert_eq!(client.receive(), b"hello");
    assert_eq!(client.receive(), b"bye: the peer closed");
    client.expect_end();
    running.drain();
}

/// Sends a large reply on `close` and closes; any other request closes that connection once more.
#[derive(Default)]
struct LargeLastReply(Option<ConnId>);

const LAST_REPLY_BYTES: usize = 24 << 20;

impl Service for LargeLastReply {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload == b"close now" {
            self.0 = Some(cx.conn());
            cx.reply(&vec![7; LAST_REPLY_BYTES]);
            cx.close("reply sent");
        } else if let Some(id) = self.0 {
            cx.close_other(id, "once more");
            cx.reply(payload);
        }
    }
}

fn second_close_keeps_the_queued_output<E: Engine>() {
    let limits = Limits { max_write_buffer_bytes: 64 << 20, ..Limits::default() };
    let (service, events) = observe(LargeLastReply::default());
    let (running, addr) = serve::<E>(limits, service);
    let (mut client, mut other) = (Client::connect(addr), Client::connect(addr));
    client.send(b"close now");
    assert_eq!(events.next_closed().1, CloseReason::Service("reply sent".into()));
    (0..3).for_each(|_| other.echo(b"again"));
    assert!(client.receive() == vec![7; LAST_REPLY_BYTES]);
    client.expect_end();
    drop((client, other));
    running.drain();
}

/// Sets a timer on each request and reports when it fires. Closes the connection unless the request
/// is `own`.
struct TimerService {
    fired: Sender<()>,
}

impl Service for TimerService {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.set_timer(Duration::from_millis(if payload == b"own" { 1 } else { 30 }));
        if payload != b"own" {
            cx.close("as requested");
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        cx.reply(b"tick");
        let _ = self.fired.send(());
    }
}

fn timers_of_a_closed_connection_never_fire<E: Engine>() {
    let (fired, ticks) = channel();
    let (service, events) = observe(TimerService { fired });
    let (running, addr) = serve::<E>(Limits { linger_timeout: guard(), ..Limits::default() }, service);
    // The peer stays open, so the engine lingers and discards its input.
    let mut closed = Client::connect(addr);
    closed.send(b"close");
    events.next_closed();
    closed.expect_end();
    // Sixty timers of 1 ms each cover the 30 ms after which the first would fire.
    let mut other = Client::connect(addr);
    for _ in 0..60 {
        assert_eq!(other.ask(b"own"), b"tick");
    }
    drop((closed, other));
    running.drain();
    assert_eq!(ticks.iter().count(), 60, "a timer of a closed connection fired");
}

/// Resets the client that is posted to it and broadcasts to all connections. Broadcasts again when
/// a connection closes.
#[derive(Default)]
struct ResetAndBroadcast(Vec<ConnId>);

impl Service for ResetAndBroadcast {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.0.push(cx.conn());
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        let client = *message.downcast::<Client>().unwrap();
        // The engine is inside this callback, so only its next write can find the reset.
        client.reset();
        cx.broadcast(&self.0, Payload::from("news"));
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        cx.broadcast(&self.0, Payload::from("a member left"));
    }
}

fn broadcast_in_on_close_after_a_failed_write_is_sent<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let service = engine.add_service("test", ResetAndBroadcast::default());
    let addr = listen_tcp(&mut engine, service, Framing::U32BE);
    let running = RunningEngine::start(engine);
    let mut stays = Client::connect(addr);
    stays.echo(b"here");
    let mut leaves = Client::connect(addr);
    leaves.echo(b"here");
    running.handle.post(service, Box::new(leaves)).unwrap();
    assert_eq!(stays.receive(), b"news");
    assert_eq!(stays.receive(), b"a member left");
    drop(stays);
    running.drain();
}

/// Regression on the threaded engine: a connection that was just active had no linger deadline, so
/// it stayed open for ever.
fn lingering_connection_closes_after_linger_timeout<E: Engine>() {
    let drain_timeout = guard() * 2;
    let limits = Limits { linger_timeout: Duration::from_millis(300), drain_timeout, ..Limits::default() };
    let (running, addr) = serve_echo::<E>(limits);
    let mut faulty = Client::connect(addr);
    faulty.echo(b"busy");
    faulty.send_bytes(b"\xff\xff\xff\xff");
    faulty.expect_end();
    running.await_counter("open", |open| open == 0);
    let mut active = Client::connect(addr);
    active.echo(b"busy");
    running.handle.drain();
    active.expect_end();
    // Both sockets are still open on the client's side. The engine ends after the linger timeout,
    // long before the drain timeout.
    running.join();
    drop((faulty, active));
}
