//! A service as the engines call it: a panic in a callback ends that callback, not the engine.
//!
//! The engines have no other way to a service, so no callback can be made without the guard. A
//! panic becomes two actions: one counts and logs it, the other closes the connection that the
//! callback was about. So both engines handle it where they handle any action, and nothing is left
//! half done.
//!
//! A service that panics repeatedly is stopped: the guard makes no callback of it any more, except
//! `on_close`, and the action tells the engine to close what the service has.
//!
//! What the callback requested before its panic is still done, as if it had returned there. The
//! state of the service counts on it: a timer whose id it has stored, a message that it has
//! numbered.

use std::net::SocketAddr;
use std::sync::Arc;

use super::callbacks::{Message, Service};
use super::close_reason::CloseReason;
use super::context::{Action, Context};
use super::ids::{ConnId, JobId, TimerId};
use super::job::JobOutput;
use super::options::InstanceFactory;
use super::panic_history::PanicHistory;
use super::panic_policy::PanicPolicy;
use super::panics::{PanicReport, ServicePanic, catch};
use super::peer::Peer;
use crate::frame::BatchId;

/// The origin of a panic outside the callbacks.
const JOB: &str = "a job";

/// A service or an instance of it.
pub(crate) struct GuardedService {
    service: Box<dyn Service + Send>,
    policy: PanicPolicy,
    history: Arc<PanicHistory>,
    /// The panic of the factory that was to make this instance.
    failure: Option<PanicReport>,
}

impl GuardedService {
    pub(crate) fn new(service: Box<dyn Service + Send>, policy: PanicPolicy) -> Self {
        Self { service, policy, history: Arc::default(), failure: None }
    }

    /// Returns the instance that `factory` makes. If the factory panics, opening its connection
    /// closes it. All instances of a service share its `history`.
    pub(crate) fn instance(factory: &InstanceFactory, policy: PanicPolicy, history: &Arc<PanicHistory>) -> Self {
        let made = if policy == PanicPolicy::Abort { Ok(factory()) } else { catch(factory) };
        let (service, failure) = match made {
            Ok(service) => (service, None),
            Err(report) => (Box::new(NoService) as _, Some(report)),
        };
        Self { service, policy, history: Arc::clone(history), failure }
    }

    pub(crate) fn history(&self) -> &Arc<PanicHistory> {
        &self.history
    }

    /// Makes a callback, unless the service is stopped. Returns the default if it is, and if the
    /// callback panics.
    #[inline]
    fn call<R: Default>(
        &mut self,
        cx: &mut Context<'_>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Service, &mut Context<'_>) -> R,
    ) -> R {
        if self.history.is_stopped() {
            return R::default();
        }
        self.call_always(cx, name, callback)
    }

    /// Makes a callback, also of a stopped service.
    #[inline]
    fn call_always<R: Default>(
        &mut self,
        cx: &mut Context<'_>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Service, &mut Context<'_>) -> R,
    ) -> R {
        let service = self.service.as_mut();
        if self.policy == PanicPolicy::Abort {
            return callback(service, cx);
        }
        match catch(|| callback(service, cx)) {
            Ok(result) => result,
            Err(report) => {
                self.note_panic(cx, name, report);
                R::default()
            }
        }
    }

    /// Requests that the engine logs a panic, and closes the connection that its callback was
    /// about. A job's panic closes none, because the service receives an error.
    #[cold]
    fn note_panic(&self, cx: &mut Context<'_>, origin: &'static str, report: PanicReport) {
        let closes = cx.conn != ConnId::NONE && origin != JOB;
        let stops_service = self.history.note(cx.clock.timestamp);
        cx.pending.actions.push(Action::Panicked(Box::new(ServicePanic { origin, report, closes, stops_service })));
        if closes {
            cx.pending.actions.push(Action::Close(cx.conn, CloseReason::ServicePanicked));
        }
    }

    /// Opens a connection. Returns false if the service does not learn of it, because the service
    /// is stopped; then no `on_close` is due either.
    pub(crate) fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) -> bool {
        if let Some(report) = self.failure.take() {
            self.note_panic(cx, "the factory of instances", report);
        }
        let is_serving = !self.history.is_stopped();
        if is_serving {
            self.call_always(cx, "on_open", |service, cx| service.on_open(cx, peer));
        }
        is_serving
    }

    #[inline]
    pub(crate) fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        self.call(cx, "on_frame", |service, cx| service.on_frame(cx, payload));
    }

    #[inline]
    pub(crate) fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        self.call(cx, "on_datagram", |service, cx| service.on_datagram(cx, from, payload));
    }

    pub(crate) fn on_writable(&mut self, cx: &mut Context<'_>) {
        self.call(cx, "on_writable", |service, cx| service.on_writable(cx));
    }

    pub(crate) fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        self.call(cx, "on_timer", |service, cx| service.on_timer(cx, timer));
    }

    pub(crate) fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, mut output: JobOutput) {
        if let Some(report) = output.take_panic() {
            self.note_panic(cx, JOB, report);
        }
        self.call(cx, "on_job", |service, cx| service.on_job(cx, job, output));
    }

    pub(crate) fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        self.call(cx, "on_post", |service, cx| service.on_post(cx, message));
    }

    pub(crate) fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        self.call(cx, "on_turn_end", |service, cx| service.on_turn_end(cx));
    }

    pub(crate) fn on_shutdown(&mut self, cx: &mut Context<'_>) {
        self.call(cx, "on_shutdown", |service, cx| service.on_shutdown(cx));
    }

    pub(crate) fn on_dropped(&mut self, cx: &mut Context<'_>, batch: BatchId, frames: u32) {
        self.call(cx, "on_dropped", |service, cx| service.on_dropped(cx, batch, frames));
    }

    /// Returns the service's name for the connection of this callback.
    pub(crate) fn peer_name(&mut self, cx: &mut Context<'_>) -> Option<String> {
        self.call(cx, "peer_name", |service, cx| service.peer_name(cx.conn()))
    }

    pub(crate) fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        self.call_always(cx, "on_close", |service, cx| service.on_close(cx, reason));
    }
}

impl Drop for GuardedService {
    fn drop(&mut self) {
        if self.policy == PanicPolicy::Close {
            let service = std::mem::replace(&mut self.service, Box::new(NoService));
            if let Err(report) = catch(|| drop(service)) {
                log::error!("panic while a service was dropped: {report}");
            }
        }
    }
}

/// The service in place of one that was not made or is being dropped.
struct NoService;

impl Service for NoService {
    fn on_frame(&mut self, _cx: &mut Context<'_>, _payload: &[u8]) {}
}
