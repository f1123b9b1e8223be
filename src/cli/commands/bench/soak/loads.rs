//! Honest clients of the load generator: many connections each, every answer checked.

use std::ops::{ControlFlow, RangeInclusive};
use std::time::Duration;

use switchboard::load::chat::{self, ChatLoadConfig};
use switchboard::load::{self, Activity, LoadConfig, LoadError, LoadObserver, LoadOutcome, LoadProgress};
use switchboard::{Endpoint, Framing};

use super::context::{ANSWER_TIMEOUT, ActorContext, StopSignal};
use super::site::Listener;

/// Longer than any soak: the stop signal ends each load.
const UNTIL_STOPPED: Duration = Duration::from_secs(366 * 24 * 3600);

/// Ends a load at the stop signal, and counts its answers while it runs.
struct Watch<'a>(&'a StopSignal);

impl LoadObserver for Watch<'_> {
    fn on_progress(&mut self, _progress: &LoadProgress) -> ControlFlow<()> {
        if self.0.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Messages at a fixed rate on connections that stay.
pub(super) fn echo(cx: &mut ActorContext<'_>) {
    echo_load(cx, Listener::ECHO, 20, 0..=8192, Activity::Open { rate: 400.0 });
}

/// A connection for each message.
pub(super) fn echo_churn(cx: &mut ActorContext<'_>) {
    echo_load(cx, Listener::ECHO, 2, 0..=300, Activity::Churn);
}

/// Datagrams at a fixed rate. A lost one is no fault.
pub(super) fn echo_datagrams(cx: &mut ActorContext<'_>) {
    echo_load(cx, Listener::ECHO_UDP, 4, 8..=1200, Activity::Open { rate: 200.0 });
}

fn echo_load(
    cx: &mut ActorContext<'_>,
    listener: Listener,
    connections: usize,
    payload_bytes: RangeInclusive<usize>,
    activity: Activity,
) {
    let Some(target) = target(cx, listener) else { return };
    let is_udp = target.transport() == "udp";
    let config = LoadConfig {
        target,
        framing: Framing::U32BE,
        connections,
        payload_bytes,
        activity,
        slow_readers: 0,
        ramp: Duration::ZERO,
        warm_up: Duration::ZERO,
        duration: UNTIL_STOPPED,
        reply_timeout: ANSWER_TIMEOUT,
        seed: cx.random.u64(..),
    };
    count(cx, load::run(&config, &mut Watch(cx.stop)), is_udp);
}

/// Members of rooms, each of which must receive every message once, in order.
pub(super) fn chat_members(cx: &mut ActorContext<'_>) {
    let Some(target) = target(cx, Listener::CHAT) else { return };
    let config = ChatLoadConfig {
        target,
        members: 20,
        publishers: 8,
        rooms: 4,
        payload_bytes: 100,
        activity: Activity::Open { rate: 50.0 },
        warm_up: Duration::ZERO,
        duration: UNTIL_STOPPED,
        reply_timeout: ANSWER_TIMEOUT,
    };
    let outcome = chat::run(&config, &mut Watch(cx.stop));
    if let Ok(outcome) = &outcome {
        for violation in &outcome.workload.violations {
            cx.tally.describe(violation.to_string());
        }
        for error in &outcome.workload.server_errors {
            cx.tally.describe(format!("member {}: {}: {}", error.member, error.code, error.text));
        }
    }
    count(cx, outcome, false);
}

/// Returns the address of a listener. If there is none, counts that as a fault.
fn target(cx: &ActorContext<'_>, listener: Listener) -> Option<Endpoint> {
    cx.site.endpoint(listener).cloned().map_err(|text| cx.tally.add_faults(1, text)).ok()
}

/// Counts the outcome of a load. With `may_lose`, a lost message is no fault.
fn count<W>(cx: &ActorContext<'_>, outcome: Result<LoadOutcome<W>, LoadError>, may_lose: bool) {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(_) if cx.stop.is_raised() => return,
        Err(error) => return cx.tally.add_faults(1, error.to_string()),
    };
    cx.tally.add_answers(outcome.messages);
    for (name, count) in outcome.faults.named() {
        if count > 0 && !(may_lose && name == "lost") {
            cx.tally.add_faults(count, format!("{count} {name}"));
        }
    }
}
