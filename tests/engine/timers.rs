//! Timers that services set.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use switchboard::{Context, Limits, Message, Service, TimerId};

use crate::support::{Client, Engine, GUARD, RunningEngine, conformance, encode_frame, listen_tcp, serve};

conformance! {
    timers_fire_in_the_order_of_their_times_and_not_before,
    a_timer_taken_back_stays_silent,
    of_two_that_are_due_at_once_the_first_may_take_the_second_back,
    a_timer_may_belong_to_nobody,
    a_timer_that_is_always_due_holds_up_nobody,
}

/// `set MILLIS` sets a timer, `cancel` takes the last one back; each says its place when it fires.
#[derive(Default)]
struct Alarms {
    set: Vec<(TimerId, Instant)>,
}

impl Service for Alarms {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match std::str::from_utf8(payload).unwrap().split_once(' ') {
            Some(("set", millis)) => {
                let after = Duration::from_millis(millis.parse().unwrap());
                self.set.push((cx.set_timer(after), cx.now() + after));
            }
            _ => cx.cancel_timer(self.set.last().unwrap().0),
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        let place = self.set.iter().position(|(id, _)| *id == timer).expect("a timer that was set");
        let early = cx.now() < self.set[place].1;
        cx.reply(format!("{place}{}", if early { " early" } else { "" }).as_bytes());
    }
}

/// Several requests in one piece, so that no time passes between them.
fn at_once(requests: &[&str]) -> Vec<u8> {
    requests.iter().flat_map(|request| encode_frame("u32be", request.as_bytes())).collect()
}

fn timers_fire_in_the_order_of_their_times_and_not_before<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Alarms::default());
    let mut client = Client::connect(addr);
    client.send_bytes(&at_once(&["set 90", "set 30", "set 60", "set 0"]));
    for expected in ["3", "1", "2", "0"] {
        assert_eq!(String::from_utf8(client.receive()).unwrap(), expected);
    }
    drop(client);
    running.drain();
}

fn a_timer_taken_back_stays_silent<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Alarms::default());
    let mut client = Client::connect(addr);
    client.send_bytes(&at_once(&["set 20", "cancel", "set 60", "cancel", "cancel", "set 70"]));
    assert_eq!(client.receive(), b"2", "only the last was left");
    drop(client);
    running.drain();
}

/// Sets two timers for one moment; the one that fires takes the other back.
#[derive(Default)]
struct Rivals(Vec<TimerId>);

impl Service for Rivals {
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

fn of_two_that_are_due_at_once_the_first_may_take_the_second_back<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Rivals::default());
    let mut client = Client::connect(addr);
    for _ in 0..5 {
        assert_eq!(client.ask(b"set"), b"fired");
        client.echo(b"and no more than one");
    }
    drop(client);
    running.drain();
}

struct Nobodys(Sender<()>);

impl Service for Nobodys {
    fn on_frame(&mut self, _cx: &mut Context<'_>, _payload: &[u8]) {}

    fn on_post(&mut self, cx: &mut Context<'_>, _message: Message) {
        cx.set_timer(Duration::from_millis(5));
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        cx.reply(b"to nobody");
        let _ = self.0.send(());
    }
}

fn a_timer_may_belong_to_nobody<E: Engine>() {
    let (fired, ticks) = channel();
    let mut engine = E::with_limits(Limits::default());
    let service = engine.add_service("nobody's", Nobodys(fired));
    listen_tcp(&mut engine, service, switchboard::Framing::U32BE);
    let running = RunningEngine::start(engine);
    running.handle.post(service, Box::new(())).unwrap();
    ticks.recv_timeout(GUARD).expect("it fires");
    running.drain();
}

/// Sets a timer whenever one fires, due at once.
struct Restless;

impl Service for Restless {
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

fn a_timer_that_is_always_due_holds_up_nobody<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Restless);
    let mut client = Client::connect(addr);
    client.send(b"begin");
    client.receive();
    for _ in 0..10 {
        client.echo(b"still here");
    }
    Client::connect(addr).echo(b"newcomers too");
    drop(client);
    running.drain();
}
