//! The connection of the calling thread: its own view of it, and the one that the actions of a
//! callback reach.

use std::sync::Arc;

use super::service_slot::ServiceSlot;
use super::shared_connection::SharedConnection;
use super::socket::ConnStream;
use crate::connection::{Connection, WorkerContext};
use crate::net::Notifier;
use crate::service::{CloseReason, ConnId};

/// A thread's connection, apart from its state machine.
pub(super) struct OwnConnection {
    pub(super) id: ConnId,
    pub(super) service_slot: Arc<ServiceSlot>,
    /// The connection as other threads reach it; `None` if it belongs to its thread alone.
    pub(super) shared_conn: Option<Arc<SharedConnection>>,
    /// Its thread knows that the service is stopped.
    pub(super) has_seen_stop: bool,
}

/// This thread's connection, while callbacks that may send to it are made.
pub(super) struct CurrentConnection<'a> {
    pub(super) id: ConnId,
    pub(super) conn: &'a mut Connection<ConnStream>,
    /// `None` for an instance, which other threads do not reach.
    pub(super) shared_conn: Option<&'a SharedConnection>,
    /// The bytes received. Replies may borrow from them.
    pub(super) received: &'a [u8],
}

impl OwnConnection {
    /// Returns the connection for callbacks. Their replies may borrow from `received`.
    #[inline]
    pub(super) fn current<'a>(
        &'a self,
        conn: &'a mut Connection<ConnStream>,
        received: &'a [u8],
    ) -> CurrentConnection<'a> {
        CurrentConnection { id: self.id, conn, shared_conn: self.shared_conn.as_deref(), received }
    }

    /// Moves output of other connections into the write queue. Fails if the connection has to
    /// close.
    #[inline]
    pub(super) fn process_inbox(
        &self,
        conn: &mut Connection<ConnStream>,
        context: &mut WorkerContext,
    ) -> Result<(), CloseReason> {
        self.shared_conn.as_ref().map_or(Ok(()), |shared_conn| shared_conn.process_inbox(conn, context))
    }

    /// Returns the notifier with which other threads wake this one for its connection or service.
    pub(super) fn notifier(&self) -> Option<&Notifier> {
        match &self.shared_conn {
            Some(shared_conn) => Some(&shared_conn.notifier),
            None => (!self.has_seen_stop).then_some(&self.service_slot.stop),
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        self.shared_conn.as_ref().is_some_and(|shared_conn| shared_conn.has_pending())
    }
}

impl CurrentConnection<'_> {
    /// Reborrows the connection for a call.
    pub(super) fn reborrow(&mut self) -> CurrentConnection<'_> {
        CurrentConnection { id: self.id, conn: self.conn, shared_conn: self.shared_conn, received: self.received }
    }

    /// Moves the batches just dropped into the connection's inbox, to be reported when no callback
    /// is under way. Without an inbox they stay in the context, where the same thread finds them.
    pub(super) fn note_dropped(&self, context: &mut WorkerContext) {
        if let Some(shared_conn) = self.shared_conn
            && !context.dropped.is_empty()
        {
            shared_conn.note_dropped(&mut context.dropped);
        }
    }
}
