//! An event-loop reactor without an async runtime: one thread, one [`mio`](https://docs.rs/mio) poll loop, nonblocking TCP and
//! Unix-socket listeners and UDP sockets, connection states in a slab, and incremental framing.
//!
//! Implement [`Service`], say where it listens, run the [`Reactor`] (or, to compare, a thread for each connection: `Threaded`):
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
//! Servers of this kind die of a few things: descriptors that run out, a reader that never reads, half a frame that never ends,
//! a buffer that nobody bounded, one client that is served so eagerly that no other is. Here every one of them has a bound in
//! [`Limits`], an end with a [`CloseReason`] in words, and a test. A service cannot block the loop by accident, because it never
//! holds a socket, and it cannot reach the wrong peer, because a [`ConnId`] is never used again.
//!
//! What the reactor is not: a runtime for `async` code, a way to use more than one core, or a framework. For these there are tokio, a
//! second process, and many.
//!
//! # Reading order
//!
//! To follow a byte from its socket to a service and back, read in this order. Imports go down the list only.
//!
//! | module | holds |
//! |---|---|
//! | `load` | the load generator, with its own loop |
//! | `client` | what clients of the services are made of |
//! | `reactor` | the turn: what the loop does, in which order; accepting; UDP; how connections end |
//! | `threaded` | the twin: the same services, a thread for each connection |
//! | `handle`, `setup` | how other threads reach an engine; what an engine does before it runs |
//! | `connection` | one connection: reading, writing, deadlines |
//! | `services` | what comes with the library |
//! | `service`, `context` | what a service is told, and what it may do |
//! | `outbox`, `write_queue` | replies of one step; bytes owed to one peer |
//! | `frame` | how a stream is cut into payloads, and back |
//! | `slots`, `timers`, `datagram`, `jobs`, `sys` | generational slab; deadlines; batches; workers; what differs by system |
//! | `limits`, `error`, `stats`, `payload`, `endpoint`, `moment`, `text`, `shown` | bounds; what went wrong; what was done; small types |
//!
//! # Features
//!
//! `cli` (default) builds the program `switchboard`, the load generator `load` and all of `client`. A library user turns
//! it off: `default-features = false`. `cli` turns on two more: `chat` is the chat service, `classic` are the small services that
//! need more than this library's own dependencies.
//!
//! # Platforms
//!
//! Linux is where it is tested. What only Linux has (many datagrams a call, options inherited by accepted sockets,
//! `eventfd`) stands in `sys` with a portable fallback. `Threaded` is there on Unix.

#[cfg(feature = "classic")]
pub mod client;
mod connection;
mod engine;
mod frame;
#[cfg(feature = "cli")]
pub mod load;
mod net;
mod reactor;
mod service;
pub mod services;
#[cfg(unix)]
mod threaded;

pub use engine::error::Error;
pub use engine::handle::{Command, Handle, PostError};
pub use engine::limits::{Limits, SlowConsumer};
pub use engine::stats::Stats;
#[cfg(any(feature = "chat", feature = "classic"))]
pub use frame::escape;
pub use frame::{
    EncodeError, Endian, FrameDecoder, FrameError, Framing, LengthPrefix, LooksLike, MAX_RAW_BYTES, ParseFramingError,
    Payload, Width, encode,
};
#[cfg(any(feature = "chat", feature = "classic"))]
pub use frame::{TextEncoding, UnencodableError};
pub use net::{Endpoint, ParseEndpointError, descriptor_limit, raise_descriptor_limit};
pub use reactor::Reactor;
pub use service::{
    BatchId, CloseReason, ConnId, Context, JobError, JobId, JobOutput, Message, Peer, RejectionReply, Service,
    ServiceId, TimerId,
};
#[cfg(unix)]
pub use threaded::Threaded;
