//! The application's side: what a service is told, and the names by which it knows peers, timers and jobs.

mod close_reason;
pub(crate) mod context;
pub(crate) mod ids;
mod job;
mod peer;
pub(crate) mod reply_buffer;
pub(crate) mod time;

pub use close_reason::CloseReason;
pub use context::Context;
pub use ids::{ConnId, JobId, ServiceId, TimerId};
pub use job::{JobError, JobOutput};
pub use peer::Peer;

pub use crate::frame::BatchId;

use std::any::Any;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use crate::frame::{Framing, Payload};

/// An application behind any number of listeners.
///
/// Callbacks never do I/O and never block: what they have to say goes through [`Context`], and work that blocks goes through
/// [`Context::offload`]. They are called one at a time, on whichever thread. A panic in a callback is a bug and ends the engine; whatever a peer
/// sends must be answered, or its connection closed.
///
/// ```
/// use switchboard::{Context, Service};
///
/// struct Upper;
///
/// impl Service for Upper {
///     fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
///         cx.reply(&payload.to_ascii_uppercase());
///     }
/// }
/// ```
pub trait Service {
    /// A connection was accepted, or was there before the engine ran and [attached](crate::Reactor::attach).
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        let _ = (cx, peer);
    }

    /// A whole frame arrived.
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]);

    /// A datagram arrived; [`Context::reply`] answers its sender, [`Context::conn`] is [`ConnId::NONE`].
    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        let _ = (cx, from, payload);
    }

    /// The output owed to this connection fell below low water, having been above high water or
    /// [watched](Context::notify_writable): there is room for more.
    fn on_writable(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// A timer is due. A timer set in a connection's callback belongs to it and ends with it.
    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        let _ = (cx, timer);
    }

    /// Work given to [`Context::offload`] has ended, one way or another. The connection may have gone meanwhile.
    fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        let _ = (cx, job, output);
    }

    /// Another thread sent a message through the engine's handle.
    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        let _ = (cx, message);
    }

    /// What [`Context::notify_turn_end`] asked for: the callbacks of this turn have been made, and what they said to others has
    /// not been sent yet. Here a service says at once what it has collected. It is about nobody: [`Context::conn`] is
    /// [`ConnId::NONE`].
    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// The engine has begun to [drain](crate::Handle::drain): there are no newcomers and no further requests. Connections that
    /// wait for nothing end now, each with its `on_close`; those that wait for an answer end when they have it. Here a service
    /// gives up work that would take long, so that they have one soon.
    ///
    /// It is about nobody, and called once, on the service that was added, not on its instances
    /// [for a connection](Self::per_connection). It does not come where the engine is stopped at once.
    fn on_shutdown(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// A batch of `frames` frames that was owed to this connection was dropped, because its peer reads too slowly and the
    /// [policy](crate::SlowConsumer) is to drop. Each batch is reported once, in the order in which they were dropped, if it has
    /// a ticket and the connection is still open; [`Context::notify_writable`] tells when there is room to make up for it. On
    /// `Threaded` that order need not be the one in which they were sent.
    ///
    /// It never comes from inside another callback. `Threaded` keeps a thousand such reports for a connection whose thread
    /// is busy with work of its own. Beyond that it gives up the names: one last report, whose ticket is [`BatchId::NONE`],
    /// counts the frames of all the others.
    fn on_dropped(&mut self, cx: &mut Context<'_>, ticket: BatchId, frames: u32) {
        let _ = (cx, ticket, frames);
    }

    /// The connection takes no more input. A last reply is still sent if the peer can be reached; afterwards its id resolves
    /// to nothing. Called once for each connection that was opened.
    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        let _ = (cx, reason);
    }

    /// The words for a newcomer that an engine turns away before any service hears of it, where peers would not understand a
    /// plain sentence. A function of its own, so that it needs no service: the engine may be busy with it.
    fn rejection(&self) -> Option<RejectionReply> {
        None
    }

    /// Threads of its own for the work that it [offloads](Context::offload): so many pieces of it run at once, and further ones
    /// wait. For work that takes long, which would otherwise hold up the work of other services; `None` is for the engine's
    /// own workers. It is asked once, when the engine begins to run.
    ///
    /// On `Threaded` a connection's work runs on the connection's own thread all the same; no more of it at once than this.
    fn job_threads(&self) -> Option<NonZeroUsize> {
        None
    }

    /// Another of its kind for one connection alone, if the service keeps nothing that concerns more than one.
    ///
    /// An engine with a thread for each connection then needs no lock around it. Such an instance is called for its own
    /// connection only, from [`on_open`](Self::on_open) to `on_close`, and reaches no other: what it sends to another goes
    /// nowhere. Everything that is about no connection (datagrams, posts, the timers set there) stays with the service that
    /// was added. What an instance asks for in [`on_turn_end`](Self::on_turn_end) counts as its connection's.
    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        None
    }
}

impl<S: Service + ?Sized> Service for Box<S> {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        (**self).on_open(cx, peer);
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        (**self).on_frame(cx, payload);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        (**self).on_datagram(cx, from, payload);
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        (**self).on_writable(cx);
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        (**self).on_timer(cx, timer);
    }

    fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        (**self).on_job(cx, job, output);
    }

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        (**self).on_post(cx, message);
    }

    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        (**self).on_turn_end(cx);
    }

    fn on_shutdown(&mut self, cx: &mut Context<'_>) {
        (**self).on_shutdown(cx);
    }

    fn on_dropped(&mut self, cx: &mut Context<'_>, ticket: BatchId, frames: u32) {
        (**self).on_dropped(cx, ticket, frames);
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        (**self).on_close(cx, reason);
    }

    fn rejection(&self) -> Option<RejectionReply> {
        (**self).rejection()
    }

    fn job_threads(&self) -> Option<NonZeroUsize> {
        (**self).job_threads()
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        (**self).per_connection()
    }
}

/// Says in a service's own language, under the connection's framing, why a newcomer cannot stay: frames, in order.
pub type RejectionReply = fn(Framing, &CloseReason) -> Vec<Payload>;

/// What another thread posts to a service.
pub type Message = Box<dyn Any + Send>;
