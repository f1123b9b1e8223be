//! The callbacks of an application.

use std::any::Any;
use std::net::SocketAddr;

use super::close_reason::CloseReason;
use super::context::Context;
use super::ids::{ConnId, JobId, TimerId};
use super::job::JobOutput;
use super::peer::Peer;
use crate::frame::BatchId;

/// An application, reached through any number of listeners and UDP sockets.
///
/// Callbacks never do I/O and never block: output goes through [`Context`], and work that blocks
/// goes through [`Context::offload`]. A service, or its
/// [instance](crate::ServiceOptions::per_connection) for one connection, receives one call at a
/// time; the calling thread may differ from call to call. How an engine treats the service, such as
/// the threads for its jobs, is in [`ServiceOptions`](crate::ServiceOptions). A panic in a callback
/// is a bug: it closes the connection that the callback is about, see
/// [`PanicPolicy`](crate::PanicPolicy). For bad input, send an error or close the connection.
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
    /// Called when a connection was accepted or, once the engine runs, for a connection that was
    /// [attached](crate::Reactor::attach) before.
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        let _ = (cx, peer);
    }

    /// Called for each complete frame.
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]);

    /// Called for each datagram. [`Context::reply`] sends to its sender; [`Context::conn`] is
    /// [`ConnId::NONE`](crate::ConnId::NONE).
    fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, payload: &[u8]) {
        let _ = (cx, from, payload);
    }

    /// Called when the output queued for this connection falls below low water, after it was above
    /// high water or after [`Context::notify_writable`].
    fn on_writable(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Called when a timer is due. A timer set in a connection's callback belongs to the connection
    /// and is cancelled when it closes.
    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        let _ = (cx, timer);
    }

    /// Called when work given to [`Context::offload`] has returned, panicked or was rejected. Its
    /// connection may have closed in the meantime.
    fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        let _ = (cx, job, output);
    }

    /// Called for each message that another thread posted with
    /// [`Handle::post`](crate::Handle::post).
    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        let _ = (cx, message);
    }

    /// Called at the end of a turn in which [`Context::notify_turn_end`] was called: after the
    /// turn's other callbacks, before the output to other connections is flushed. A service sends
    /// here what it has collected over the turn. [`Context::conn`] is
    /// [`ConnId::NONE`](crate::ConnId::NONE).
    fn on_turn_end(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Called when the engine begins to [drain](crate::Handle::drain): it accepts no more
    /// connections and reads no more requests. Connections without a pending answer close now, each
    /// with its `on_close`; the others close after their answer. A service cancels long work here.
    ///
    /// Called once, on the service that was added, not on its [instances per
    /// connection](crate::ServiceOptions::per_connection); [`Context::conn`] is
    /// [`ConnId::NONE`](crate::ConnId::NONE). [`Handle::stop`](crate::Handle::stop) skips this
    /// callback.
    fn on_shutdown(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Called when a batch of `frames` frames for this connection was dropped, because its peer
    /// reads too slowly and the [policy](crate::SlowConsumer) is to drop. Each batch is reported
    /// once, in the order of dropping and before `on_close`, if it has an id. On
    /// `Threaded` this order may differ from the order of sending. [`Context::notify_writable`]
    /// reports when the queue has space again.
    ///
    /// It never runs inside another callback. `Threaded` keeps up to 1,024 reports for a connection
    /// whose thread is busy. Beyond that, one last report with [`BatchId::NONE`] counts the frames
    /// of all further batches.
    fn on_dropped(&mut self, cx: &mut Context<'_>, batch: BatchId, frames: u32) {
        let _ = (cx, batch, frames);
    }

    /// Returns the name by which the service knows the peer of a connection, such as a nick. The
    /// engine adds it to the warning about a close that is the peer's fault; control characters are
    /// escaped. Called before [`on_close`](Self::on_close).
    fn peer_name(&self, conn: ConnId) -> Option<String> {
        let _ = conn;
        None
    }

    /// Called once for each opened connection, when it takes no more input. A last reply is still
    /// sent if the peer is reachable. After the call the connection's id is invalid.
    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        let _ = (cx, reason);
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

    fn on_dropped(&mut self, cx: &mut Context<'_>, batch: BatchId, frames: u32) {
        (**self).on_dropped(cx, batch, frames);
    }

    fn peer_name(&self, conn: ConnId) -> Option<String> {
        (**self).peer_name(conn)
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        (**self).on_close(cx, reason);
    }
}

/// A message that another thread posts to a service.
pub type Message = Box<dyn Any + Send>;
