//! An event-loop reactor without an async runtime.

mod connection;
mod context;
mod datagram;
mod endpoint;
mod error;
mod frame;
mod jobs;
mod limits;
mod moment;
mod outbox;
mod payload;
mod reactor;
mod service;
pub mod services;
mod slots;
mod stats;
mod sys;
mod timers;
mod write_queue;

pub use context::Context;
pub use endpoint::{Endpoint, ParseEndpointError};
pub use error::{CloseReason, EncodeError, Error, FrameError, LooksLike};
pub use frame::{Endian, FrameDecoder, Framing, LengthPrefix, MAX_RAW_BYTES, ParseFramingError, Width, encode};
pub use limits::{Limits, SlowConsumer};
pub use payload::Payload;
pub use reactor::{Handle, PostError, Reactor};
pub use service::{ConnId, JobError, JobId, JobOutput, Message, Peer, Service, ServiceId, TimerId};
pub use stats::Stats;
pub use sys::{descriptor_limit, raise_descriptor_limit};
