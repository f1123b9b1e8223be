//! Actions that a service requests in `on_turn_end`.

use std::time::Duration;

use switchboard::{BatchId, ConnId, Context, JobId, JobOutput, Limits, Payload, Service, TimerId};

use crate::support::{Client, Engine, conformance, instances_if, serve, serve_with};

conformance! {
    actions_in_on_turn_end_have_no_connection,
    on_turn_end_can_request_another_turn_end,
    per_connection_instance_gets_its_own_turn_end,
}

/// Requests every action in `on_turn_end` and sends the results to its only peer.
#[derive(Default)]
struct RequestAllActions {
    peer: Option<ConnId>,
}

impl Service for RequestAllActions {
    fn on_frame(&mut self, cx: &mut Context<'_>, _payload: &[u8]) {
        self.peer = Some(cx.conn());
        cx.notify_turn_end();
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        cx.set_timer(Duration::from_millis(1));
        cx.offload(|| "a job");
        // No connection is current, so these two have no effect.
        cx.notify_writable();
        cx.close("no connection");
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
        cx.reply(b"writable");
    }
}

fn actions_in_on_turn_end_have_no_connection<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), RequestAllActions::default());
    let mut client = Client::connect(addr);
    client.send(b"go");
    let mut received = [client.receive(), client.receive()];
    received.sort();
    assert_eq!(received, [&b"a job"[..], b"a timer"]);
    client.finish();
    client.expect_end();
    running.drain();
}

/// Sends the number of turn ends that are left in each `on_turn_end`, and requests the next one.
#[derive(Default)]
struct Countdown {
    peer: Option<ConnId>,
    left: u8,
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
}

fn on_turn_end_can_request_another_turn_end<E: Engine>() {
    count_down::<E>(false);
}

fn per_connection_instance_gets_its_own_turn_end<E: Engine>() {
    count_down::<E>(true);
}

fn count_down<E: Engine>(per_connection: bool) {
    let options = instances_if(per_connection, Countdown::default);
    let (running, addr) = serve_with::<E>(Limits::default(), options, Countdown::default());
    let mut client = Client::connect(addr);
    for start in [1, 5, 30] {
        assert_eq!(client.ask(&[start]), b"go");
        for left in (0..start).rev() {
            assert_eq!(client.receive(), [left]);
        }
    }
    drop(client);
    running.drain();
}
