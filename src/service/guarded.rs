//! A service as the engines call it: a panic in a callback ends that callback, not the engine.
//!
//! The engines have no other way to a service, so no callback can be made without the guard. A
//! panic becomes two actions: one counts and logs it, the other closes the connection that the
//! callback was about. So both engines handle it where they handle any action, and nothing is left
//! half done.
//!
//! What the callback requested before its panic is still done, as if it had returned there. The
//! state of the service counts on it: a timer whose id it has stored, a message that it has
//! numbered.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::callbacks::{Message, Service};
use super::close_reason::CloseReason;
use super::context::{Action, Context};
use super::ids::{ConnId, JobId, TimerId};
use super::job::JobOutput;
use super::options::InstanceFactory;
use super::panics::{CallbackPanic, PanicReport, catch};
use super::peer::Peer;
use crate::frame::BatchId;

/// The policy for a panic in a callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PanicPolicy {
    /// Closes the connection that the callback was about; the engine goes on.
    #[default]
    Close,
    /// Ends the engine: the panic continues in the thread that runs it.
    Abort,
}

impl PanicPolicy {
    /// The policies with their names on the command line.
    pub const NAMES: [(&'static str, Self); 2] = [("close", Self::Close), ("abort", Self::Abort)];
}

impl FromStr for PanicPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, policy)| *policy).ok_or("write close or abort")
    }
}

impl fmt::Display for PanicPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::NAMES.iter().find(|(_, policy)| policy == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

/// A service or an instance of it.
pub(crate) struct GuardedService {
    service: Box<dyn Service + Send>,
    policy: PanicPolicy,
    /// The panic of the factory that was to make this instance.
    failure: Option<PanicReport>,
}

impl GuardedService {
    pub(crate) fn new(service: Box<dyn Service + Send>, policy: PanicPolicy) -> Self {
        Self { service, policy, failure: None }
    }

    /// Returns the instance that `factory` makes. If the factory panics, opening its connection
    /// closes it.
    pub(crate) fn instance(factory: &InstanceFactory, policy: PanicPolicy) -> Self {
        if policy == PanicPolicy::Abort {
            return Self::new(factory(), policy);
        }
        match catch(factory) {
            Ok(service) => Self::new(service, policy),
            Err(report) => Self { service: Box::new(NoService), policy, failure: Some(report) },
        }
    }

    /// Makes a callback. Returns the default if it panics.
    #[inline]
    fn call<R: Default>(
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
                request_close(cx, name, report);
                R::default()
            }
        }
    }

    pub(crate) fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        if let Some(report) = self.failure.take() {
            request_close(cx, "the factory of instances", report);
        }
        self.call(cx, "on_open", |service, cx| service.on_open(cx, peer));
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

    pub(crate) fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
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
        self.call(cx, "on_close", |service, cx| service.on_close(cx, reason));
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

/// Requests that the engine logs a panic, and closes the connection that its callback was about.
#[cold]
fn request_close(cx: &mut Context<'_>, callback: &'static str, report: PanicReport) {
    cx.pending.actions.push(Action::Panicked(Box::new(CallbackPanic { callback, report })));
    if cx.conn != ConnId::NONE {
        cx.pending.actions.push(Action::Close(cx.conn, CloseReason::ServicePanicked));
    }
}

/// The service in place of one that was not made or is being dropped.
struct NoService;

impl Service for NoService {
    fn on_frame(&mut self, _cx: &mut Context<'_>, _payload: &[u8]) {}
}
