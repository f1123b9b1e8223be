//! How a connection comes to its thread, wherever its socket came from. Knows nothing of places and who may have one; it gives
//! back the one that was taken when the connection is over.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::connection_thread::Attendant;
use super::shared::{Booth, Entry, Exchange, Reach};
use super::shared_connection::Line;
use super::socket::{Plug, Socket};
use super::thread_stats::Tally;
use crate::connection::Connection;
use crate::frame::Framing;
use crate::net::Notifier;
use crate::service::Peer;
use crate::service::time::Timestamp;

/// A connection that has a place and no thread yet.
pub(super) struct Newcomer {
    pub(super) socket: Arc<Socket>,
    pub(super) peer: Peer,
    pub(super) framing: Framing,
    /// Its bell, if others will reach it and there is one already.
    pub(super) bell: Option<Notifier>,
    /// Its reads come back after a tick as it is.
    pub(super) reads_are_limited: bool,
}

/// Where a connection lives.
enum Home {
    Own(Box<Connection<Plug>>),
    Shared(Arc<Line>),
}

impl Newcomer {
    pub(super) fn start(self, exchange: &Arc<Exchange>, booth: &Arc<Booth>, moment: Timestamp) -> io::Result<()> {
        let Self { socket, peer, framing, bell, reads_are_limited } = self;
        let booth = Arc::clone(booth);
        let own = if booth.per_connection { booth.lock().and_then(|service| service.per_connection()) } else { None };
        let plug = Plug::new(Arc::clone(&socket));
        let conn = Connection::new(plug, peer, booth.id, framing, &exchange.limits, moment);
        let tally = Arc::new(Tally::default());
        let (reach, home) = if own.is_some() {
            if !reads_are_limited {
                socket.limit_reads()?;
            }
            (Reach::Private(Arc::clone(&socket)), Home::Own(Box::new(conn)))
        } else {
            let line = Arc::new(Line::new(conn, bell.map_or_else(Notifier::new, Ok)?));
            (Reach::Shared(Arc::clone(&line)), Home::Shared(line))
        };
        let id = exchange.enter(Entry { tally: Arc::clone(&tally), reach, peer });
        let shift = exchange.crew.begin();
        let on_thread = Arc::clone(exchange);
        let task = move || {
            let exchange = on_thread;
            let line = if let Home::Shared(line) = &home { Some(Arc::clone(line)) } else { None };
            let lived = catch_unwind(AssertUnwindSafe(|| {
                let of = (Arc::clone(&exchange), Arc::clone(&tally));
                let mut attendant = Attendant::new(of, id, &booth, own, socket, line);
                match home {
                    Home::Own(mut conn) => attendant.attend_own(&mut conn, &peer),
                    Home::Shared(line) => attendant.attend_shared(&line, &peer),
                }
                attendant.leaving
            }));
            let was_leaving = lived.unwrap_or_else(|panic| {
                exchange.fail(panic);
                false
            });
            // The socket is closed by now, or will be here: nobody else holds it for longer than a write.
            exchange.strike_out(id, &tally);
            exchange.places.free(was_leaving, peer);
            exchange.descriptor_is_free();
            drop(exchange);
            drop(shift);
        };
        let name = format!("conn-{}", exchange.next_number());
        exchange.spawn.spawn(name, Box::new(task)).inspect_err(|_| {
            exchange.strike_out(id, &Tally::default());
        })
    }
}
