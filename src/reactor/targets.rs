//! The connections that a callback may act on: its own, and all others.

use crate::connection::{Connection, Phase, Stream};
use crate::engine::slab::Others;
use crate::service::ConnId;

/// The connections that the actions of a callback may reach.
pub(super) struct Targets<'a, 'o, S> {
    /// The connection that the callback is about, if any.
    pub(super) id: ConnId,
    /// That connection, unless it is gone.
    pub(super) current: Option<&'a mut Connection<S>>,
    pub(super) others: &'a mut Others<'o, Connection<S>>,
}

impl<S: Stream> Targets<'_, '_, S> {
    #[inline]
    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection<S>> {
        if id == self.id { self.current.as_deref_mut() } else { self.others.get_mut(id.0) }
    }

    /// Returns a connection that accepts output: until its `on_close` has run, because the service
    /// counts it among its connections until then. After the service has closed it, only its own
    /// `on_close` sends to it.
    #[inline]
    pub(super) fn receiver(&mut self, id: ConnId) -> Option<&mut Connection<S>> {
        let is_current = id == self.id;
        self.get_mut(id).filter(|conn| {
            conn.phase() == Phase::Open || (conn.accepts_output() && (is_current || !conn.is_closed_by_service()))
        })
    }
}
