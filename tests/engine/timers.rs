//! Timers of services.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use switchboard::{Context, Limits, Message, Service, TimerId};

use crate::support::{Client, Engine, RunningEngine, conformance, encode_frame, guard, listen_tcp, serve};

conformance! {
    timers_fire_in_order_and_not_early,
    cancelled_timer_never_fires,
    timer_can_cancel_another_due_at_the_same_time,
    timer_without_connection_fires,
    timer_that_is_always_due_blocks_no_client,
}

/// `set MILLIS` sets a timer, `cancel` cancels the last one. A timer that fires replies with its
/// index.
#[derive(Default)]
struct TimerCommands {
    timers: Vec<(TimerId, Instant)>,
}

impl Service for TimerCommands {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match std::str::from_utf8(payload).unwrap().split_once(' ') {
            Some(("set", millis)) => {
                let after = Duration::from_millis(millis.parse().unwrap());
                self.timers.push((cx.set_timer(after), cx.now() + after));
            }
            _ => cx.cancel_timer(self.timers.last().unwrap().0),
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        let index = self.timers.iter().position(|(id, _)| *id == timer).expect("an unknown timer fired");
        let is_early = cx.now() < self.timers[index].1;
        cx.reply(format!("{index}{}", if is_early { " early" } else { "" }).as_bytes());
    }
}

/// Encodes several requests for one write, so that no time passes between them.
fn encode_all(requests: &[&str]) -> Vec<u8> {
    requests.iter().flat_map(|request| encode_frame("u32be", request.as_bytes())).collect()
}

fn timers_fire_in_order_and_not_early<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), TimerCommands::default());
    let mut client = Client::connect(addr);
    client.send_bytes(&encode_all(&["set 90", "set 30", "set 60", "set 0"]));
    for expected in ["3", "1", "2", "0"] {
        assert_eq!(String::from_utf8(client.receive()).unwrap(), expected);
    }
    drop(client);
    running.drain();
}

fn cancelled_timer_never_fires<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), TimerCommands::default());
    let mut client = Client::connect(addr);
    client.send_bytes(&encode_all(&["set 20", "cancel", "set 60", "cancel", "cancel", "set 70"]));
    assert_eq!(client.receive(), b"2", "only the last timer was left");
    drop(client);
    running.drain();
}

/// Sets two timers for the same time; the first to fire cancels the other.
#[derive(Default)]
struct CancelOther(Vec<TimerId>);

impl Service for CancelOther {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload == b"set" {
            self.0 = (0..2).map(|_| cx.set_timer(Duration::from_millis(5))).collect();
        } else {
            cx.reply(payload);
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        self.0.iter().filter(|other| **other != timer).for_each(|other| cx.cancel_timer(*other));
        cx.reply(b"fired");
    }
}

fn timer_can_cancel_another_due_at_the_same_time<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), CancelOther::default());
    let mut client = Client::connect(addr);
    for _ in 0..5 {
        assert_eq!(client.ask(b"set"), b"fired");
        client.echo(b"only one fired");
    }
    drop(client);
    running.drain();
}

/// Sets a timer outside of any connection, on a posted message.
struct TimerWithoutConnection(Sender<()>);

impl Service for TimerWithoutConnection {
    fn on_frame(&mut self, _cx: &mut Context<'_>, _payload: &[u8]) {}

    fn on_post(&mut self, cx: &mut Context<'_>, _message: Message) {
        cx.set_timer(Duration::from_millis(5));
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        cx.reply(b"no connection, so no reply");
        let _ = self.0.send(());
    }
}

fn timer_without_connection_fires<E: Engine>() {
    let (fired, ticks) = channel();
    let mut engine = E::with_limits(Limits::default());
    let service = engine.add_service("test", TimerWithoutConnection(fired));
    listen_tcp(&mut engine, service, switchboard::Framing::U32BE);
    let running = RunningEngine::start(engine);
    running.handle.post(service, Box::new(())).unwrap();
    ticks.recv_timeout(guard()).expect("the timer did not fire");
    running.drain();
}

/// Sets a timer of zero whenever a timer fires.
struct AlwaysDueTimer;

impl Service for AlwaysDueTimer {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload == b"begin" {
            cx.set_timer(Duration::ZERO);
        }
        cx.reply(payload);
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        cx.set_timer(Duration::ZERO);
    }
}

fn timer_that_is_always_due_blocks_no_client<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), AlwaysDueTimer);
    let mut client = Client::connect(addr);
    client.send(b"begin");
    client.receive();
    for _ in 0..10 {
        client.echo(b"still served");
    }
    Client::connect(addr).echo(b"new clients too");
    drop(client);
    running.drain();
}
