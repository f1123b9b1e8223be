//! The connection of the calling thread, as the actions of a callback reach it.

use super::shared_connection::SharedConnection;
use super::socket::ConnStream;
use crate::connection::{Connection, WorkerContext};
use crate::service::ConnId;

/// This thread's connection, while callbacks that may send to it are made.
pub(super) struct CurrentConnection<'a> {
    pub(super) id: ConnId,
    pub(super) conn: &'a mut Connection<ConnStream>,
    /// `None` for an instance, which other threads do not reach.
    pub(super) shared_conn: Option<&'a SharedConnection>,
    /// The bytes received. Replies may borrow from them.
    pub(super) received: &'a [u8],
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
