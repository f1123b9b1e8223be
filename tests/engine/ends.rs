//! How connections end, and what a service is told about it.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{
    CloseReason, ConnId, Context, FrameError, Framing, Limits, LooksLike, Message, Payload, Peer, Service, TimerId,
};

use crate::support::{
    Client, ConnectionEvent, Engine, GUARD, RunningEngine, conformance, encode_frame, listen_tcp, observe, serve,
};

conformance! {
    a_client_that_has_said_all_still_gets_all_its_answers,
    a_reset_inside_a_frame_ends_that_connection_only,
    an_end_inside_a_frame_says_how_far_the_frame_had_come,
    what_is_no_frame_is_called_what_it_looks_like,
    replies_precede_the_close_that_the_service_asks_for,
    a_service_closes_from_any_callback_and_hears_of_it_once,
    a_last_word_said_on_close_is_still_sent,
    who_is_closed_again_still_gets_what_it_is_owed,
    a_closed_connections_timers_are_silent,
    what_a_service_says_of_a_broken_peer_reaches_the_others_at_once,
    who_holds_on_after_the_end_is_let_go_of_when_its_time_is_up,
}

fn a_client_that_has_said_all_still_gets_all_its_answers<E: Engine>() {
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

fn a_reset_inside_a_frame_ends_that_connection_only<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut other = Client::connect(addr);
    events.next_opened();
    for broken_off in [&b"\0\0"[..], b"\0\0\x01\0half", b"\0\0\0\x02ok\0\0\x01\0half"] {
        let client = Client::connect(addr);
        let id = events.next_opened();
        client.send_bytes(broken_off);
        other.echo(b"before");
        client.reset();
        let (closed, reason) = events.next_closed();
        assert_eq!(closed, id);
        assert!(matches!(reason, CloseReason::PeerReset(_) | CloseReason::TruncatedFrame { .. }), "{reason:?}");
        other.echo(b"after");
    }
    drop(other);
    assert_eq!(running.drain().faulted, 3);
}

fn an_end_inside_a_frame_says_how_far_the_frame_had_come<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut client = Client::connect(addr);
    client.send_bytes(b"\0\0\0\x02ok\0\0\0\x09half");
    client.finish();
    assert_eq!(client.receive(), b"ok", "what came before is answered");
    client.expect_end();
    assert_eq!(events.next_closed().1, CloseReason::TruncatedFrame { received_bytes: 8, looks_like: None });
    running.drain();
}

fn what_is_no_frame_is_called_what_it_looks_like<E: Engine>() {
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

/// Does as it is told, and closes whenever it can.
struct Closing {
    in_open: bool,
}

impl Service for Closing {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        if self.in_open {
            cx.reply(b"no");
            cx.close("closed on sight");
        }
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
        match payload {
            b"close" => {
                cx.reply(b"closing");
                cx.close("as asked");
                cx.reply(b"a reply is a reply");
            }
            b"later" => {
                cx.set_timer(Duration::from_millis(1));
            }
            _ => {}
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        cx.reply(b"time");
        cx.close("in time");
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        // Once is enough, however often it is said.
        cx.close("again");
        cx.reply(format!("bye: {reason}").as_bytes());
    }
}

fn replies_precede_the_close_that_the_service_asks_for<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Closing { in_open: false });
    let mut client = Client::connect(addr);
    // In one piece, so that what follows the close is there already when it is asked for.
    let requests =
        ["one", "two", "close", "never answered"].map(|said| encode_frame("u32be", said.as_bytes())).concat();
    client.send_bytes(&requests);
    for expected in ["one", "two", "close", "closing", "a reply is a reply", "bye: as asked"] {
        assert_eq!(client.receive(), expected.as_bytes());
    }
    client.expect_end();
    drop(client);
    let stats = running.drain();
    assert_eq!((stats.closed, stats.faulted), (1, 0), "{stats}");
}

fn a_service_closes_from_any_callback_and_hears_of_it_once<E: Engine>() {
    let (service, events) = observe(Closing { in_open: true });
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut client = Client::connect(addr);
    assert_eq!(client.receive(), b"no");
    assert_eq!(client.receive(), b"bye: closed on sight");
    client.expect_end();
    drop(client);
    running.drain();
    let reasons: Vec<_> = events.into_remaining();
    assert!(
        matches!(&reasons[..], [ConnectionEvent::Opened(a), ConnectionEvent::Closed(b, CloseReason::Service(words))]
            if a == b && words == "closed on sight"),
        "{reasons:?}"
    );

    let (service, events) = observe(Closing { in_open: false });
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut client = Client::connect(addr);
    client.echo(b"later");
    assert_eq!(client.receive(), b"time");
    assert_eq!(client.receive(), b"bye: in time");
    client.expect_end();
    drop(client);
    running.drain();
    assert_eq!(events.into_remaining().len(), 2);
}

fn a_last_word_said_on_close_is_still_sent<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Closing { in_open: false });
    let mut client = Client::connect(addr);
    client.send(b"hello");
    client.finish();
    assert_eq!(client.receive(), b"hello");
    assert_eq!(client.receive(), b"bye: the peer closed");
    client.expect_end();
    running.drain();
}

/// Says one large thing and closes; the next to come ends it once more.
#[derive(Default)]
struct Parting(Option<ConnId>);

const LAST_WORDS_BYTES: usize = 24 << 20;

impl Service for Parting {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload == b"part" {
            self.0 = Some(cx.conn());
            cx.reply(&vec![7; LAST_WORDS_BYTES]);
            cx.close("all is said");
        } else if let Some(id) = self.0 {
            cx.close_other(id, "once more");
            cx.reply(payload);
        }
    }
}

fn who_is_closed_again_still_gets_what_it_is_owed<E: Engine>() {
    let limits = Limits { max_write_buffer_bytes: 64 << 20, ..Limits::default() };
    let (service, events) = observe(Parting::default());
    let (running, addr) = serve::<E>(limits, service);
    let (mut client, mut other) = (Client::connect(addr), Client::connect(addr));
    client.send(b"part");
    assert_eq!(events.next_closed().1, CloseReason::Service("all is said".into()));
    (0..3).for_each(|_| other.echo(b"again"));
    assert!(client.receive() == vec![7; LAST_WORDS_BYTES]);
    client.expect_end();
    drop((client, other));
    running.drain();
}

/// Sets a timer for each connection and says so when it fires.
struct Ticking {
    fired: Sender<()>,
}

impl Service for Ticking {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.set_timer(Duration::from_millis(if payload == b"own" { 1 } else { 30 }));
        if payload != b"own" {
            cx.close("at once");
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        cx.reply(b"tick");
        let _ = self.fired.send(());
    }
}

fn a_closed_connections_timers_are_silent<E: Engine>() {
    let (fired, ticks) = channel();
    let (service, events) = observe(Ticking { fired });
    let (running, addr) = serve::<E>(Limits { linger_timeout: GUARD, ..Limits::default() }, service);
    // Its peer does not close, so the engine goes on discarding what it might still say.
    let mut closed = Client::connect(addr);
    closed.send(b"close");
    events.next_closed();
    closed.expect_end();
    // Another's timers measure the time in which the first would have fired.
    let mut other = Client::connect(addr);
    for _ in 0..60 {
        assert_eq!(other.ask(b"own"), b"tick");
    }
    drop((closed, other));
    running.drain();
    assert_eq!(ticks.iter().count(), 60, "a timer of a closed connection fired");
}

/// Breaks off the connection whose client is posted to it, says so to everybody, and that one has left.
#[derive(Default)]
struct Gossip(Vec<ConnId>);

impl Service for Gossip {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.0.push(cx.conn());
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        let client = *message.downcast::<Client>().unwrap();
        // The engine waits meanwhile, so that it can learn of the reset only by writing.
        client.reset();
        cx.broadcast(&self.0, Payload::from("news"));
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        cx.broadcast(&self.0, Payload::from("one has left"));
    }
}

fn what_a_service_says_of_a_broken_peer_reaches_the_others_at_once<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let gossip = engine.add_service("gossip", Gossip::default());
    let addr = listen_tcp(&mut engine, gossip, Framing::U32BE);
    let running = RunningEngine::start(engine);
    let mut stays = Client::connect(addr);
    stays.echo(b"here");
    let mut leaves = Client::connect(addr);
    leaves.echo(b"here");
    running.handle.post(gossip, Box::new(leaves)).unwrap();
    assert_eq!(stays.receive(), b"news");
    assert_eq!(stays.receive(), b"one has left");
    drop(stays);
    running.drain();
}

/// Found on threads: who had just been busy was not waited for at all while it lingered, and so had no end.
fn who_holds_on_after_the_end_is_let_go_of_when_its_time_is_up<E: Engine>() {
    let patience = GUARD * 2;
    let limits = Limits { linger_timeout: Duration::from_millis(300), drain_timeout: patience, ..Limits::default() };
    let (running, addr) = serve::<E>(limits, Echo);
    let mut faulty = Client::connect(addr);
    faulty.echo(b"busy");
    faulty.send_bytes(b"\xff\xff\xff\xff");
    faulty.expect_end();
    running.await_counter("open", |open| open == 0);
    let mut talking = Client::connect(addr);
    talking.echo(b"busy");
    running.handle.drain();
    talking.expect_end();
    // Both sockets are still open on this side. The engine ends long before its patience does.
    running.join();
    drop((faulty, talking));
}
