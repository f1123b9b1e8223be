//! What a service may ask for where it says what it has collected.

use std::time::Duration;

use switchboard::{BatchId, ConnId, Context, JobId, JobOutput, Limits, Payload, Service, TimerId};

use crate::support::{Client, Engine, conformance, serve};

conformance! {
    what_a_flush_asks_for_is_about_nobody,
    a_flush_that_asks_for_another_gets_it,
    an_instance_flushes_for_its_own_connection,
}

/// Asks for whatever can be asked for in a flush, and sends what comes of it to its one peer.
#[derive(Default)]
struct Asking {
    peer: Option<ConnId>,
}

impl Service for Asking {
    fn on_frame(&mut self, cx: &mut Context<'_>, _payload: &[u8]) {
        self.peer = Some(cx.conn());
        cx.notify_turn_end();
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        cx.set_timer(Duration::from_millis(1));
        cx.offload(|| "a job");
        // Nobody is to be told of room, or to be closed.
        cx.notify_writable();
        cx.close("nobody");
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        assert_eq!(cx.conn(), ConnId::NONE);
        cx.send(self.peer.unwrap(), "a timer");
    }

    fn on_job(&mut self, cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        assert_eq!(cx.conn(), ConnId::NONE);
        cx.send(self.peer.unwrap(), output.take::<&str>().unwrap());
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        cx.reply(b"room");
    }
}

fn what_a_flush_asks_for_is_about_nobody<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Asking::default());
    let mut client = Client::connect(addr);
    client.send(b"go");
    let mut heard = [client.receive(), client.receive()];
    heard.sort();
    assert_eq!(heard, [&b"a job"[..], b"a timer"]);
    client.finish();
    client.expect_end();
    running.drain();
}

/// Each flush says how many are still to come, and asks for the next.
#[derive(Default)]
struct Countdown {
    peer: Option<ConnId>,
    left: u8,
    each: bool,
}

impl Service for Countdown {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        (self.peer, self.left) = (Some(cx.conn()), payload[0]);
        cx.reply(b"go");
        cx.notify_turn_end();
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        self.left -= 1;
        cx.broadcast_batch(&[self.peer.unwrap()], &[Payload::from(&[self.left])], BatchId(1));
        if self.left > 0 {
            cx.notify_turn_end();
        }
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        self.each.then(|| Box::new(Self::default()) as _)
    }
}

fn a_flush_that_asks_for_another_gets_it<E: Engine>() {
    count_down::<E>(false);
}

fn an_instance_flushes_for_its_own_connection<E: Engine>() {
    count_down::<E>(true);
}

fn count_down<E: Engine>(each: bool) {
    let (running, addr) = serve::<E>(Limits::default(), Countdown { each, ..Countdown::default() });
    let mut client = Client::connect(addr);
    for from in [1, 5, 30] {
        assert_eq!(client.ask(&[from]), b"go");
        for left in (0..from).rev() {
            assert_eq!(client.receive(), [left]);
        }
    }
    drop(client);
    running.drain();
}
