//! An event-loop reactor without an async runtime: one thread, one [`mio`](https://docs.rs/mio)
//! poll loop, nonblocking TCP and Unix-socket listeners and UDP sockets, connection states in a
//! slab, and incremental framing.
//!
//! Implement [`Service`], choose where it listens, and run the [`Reactor`]. For a comparison, the
//! engine `Threaded` runs the same service with one thread per connection.
//!
//! ```no_run
//! use switchboard::{Context, Framing, Limits, Reactor, Service};
//!
//! struct Upper;
//!
//! impl Service for Upper {
//!     fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
//!         cx.reply(&payload.to_ascii_uppercase());
//!     }
//! }
//!
//! let mut reactor = Reactor::new(Limits::default())?;
//! let upper = reactor.add_service("upper", Upper);
//! reactor.listen(upper, &"127.0.0.1:8080".parse()?, Framing::Lines)?;
//! reactor.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Why use this
//!
//! Event-loop servers fail for a few known reasons: descriptors run out, a peer does not read its
//! replies, a frame never ends, a buffer has no bound, one busy client starves the others. For each
//! of these there is a limit in [`Limits`], a [`CloseReason`], and a test. A service cannot block
//! the loop by accident, because it never holds a socket. It cannot send to the wrong peer, because
//! a [`ConnId`] is never reused.
//!
//! The reactor is not a runtime for `async` code (use tokio), does not use more than one core (run
//! several processes), and is not an application framework.
//!
//! # Reading order
//!
//! To follow a byte from its socket to a service and back, read the modules in this order. Each
//! imports only modules that stand above it.
//!
//! | module | contents |
//! |---|---|
//! | `sync` | the locks and channels of the threads |
//! | `frame` | framing: cuts a stream into payloads and encodes payloads; text encodings |
//! | `net` | sockets, UDP batches, and the differences between operating systems |
//! | `service` | the [`Service`] trait, the [`Context`] of a callback, ids, reply buffer |
//! | `engine` | limits, statistics, slab, timers, worker threads, handle: shared by both engines |
//! | `connection` | one connection: reading, writing, write queue, deadlines, closing |
//! | `reactor` | the event loop: turn, accepting, UDP, closing, end of turn |
//! | `threaded` | the thread-per-connection engine for the same services |
//! | [`services`] | the services of this crate |
//! | `client` | clients of these services, without sockets where possible |
//! | `load` | the load generator, with its own loop |
//!
//! # Features
//!
//! - `cli` (default) builds the program `switchboard`, the load generator `load` and all of
//!   `client`. Library users turn it off with `default-features = false`.
//! - `chat` is the chat service; `cli` turns it on.
//! - `classic` is the small services that need more dependencies than the library itself; `cli`
//!   turns it on.
//!
//! # Platforms
//!
//! The crate requires Unix, and is tested on Linux. Calls that only Linux has (`recvmmsg`,
//! `eventfd`, socket options inherited by accepted sockets) have a portable fallback in `net`,
//! which the checks compile for FreeBSD.

#[cfg(not(unix))]
compile_error!("switchboard requires Unix");

// The program uses the library by its name.
#[cfg(feature = "fuzzing")]
extern crate self as switchboard;

#[cfg(feature = "fuzzing")]
#[allow(dead_code, reason = "the fuzz targets use a part of the program")]
mod cli;
#[cfg(feature = "classic")]
pub mod client;
mod connection;
mod engine;
mod frame;
#[cfg(all(feature = "cli", any(test, feature = "fuzzing")))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
#[path = "../tests/support/guard.rs"]
mod guard;
#[cfg(feature = "cli")]
pub mod load;
mod net;
mod reactor;
mod service;
pub mod services;
mod sync;
mod threaded;

pub use engine::error::Error;
pub use engine::handle::{Command, Handle, PostError};
pub use engine::lag::LongTurns;
pub use engine::limits::{Limits, SlowConsumer};
pub use engine::stats::{CauseCounts, Stats, StatsValue};
#[cfg(any(feature = "chat", feature = "classic"))]
pub use frame::escape;
pub use frame::{
    EncodeError, Endian, FrameDecoder, FrameError, Framing, LengthPrefix, LooksLike, MAX_RAW_BYTES, ParseFramingError,
    Payload, Width, encode,
};
#[cfg(any(feature = "chat", feature = "classic"))]
pub use frame::{TextEncoding, UnencodableError};
pub use net::{Endpoint, ParseEndpointError, SocketStream, descriptor_limit, raise_descriptor_limit};
pub use reactor::Reactor;
pub use service::{
    BatchId, CloseReason, ConnId, Context, JobError, JobId, JobOutput, Message, OutputBacklog, PanicPolicy, Peer,
    RejectionReply, Service, ServiceId, ServiceOptions, TimerId, install_panic_hook,
};
pub use threaded::Threaded;
