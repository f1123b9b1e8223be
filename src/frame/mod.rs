//! Framing: cuts a byte stream into payloads, and encodes payloads as bytes. Sans-IO: it uses
//! neither sockets nor a clock.
//!
//! - [`Framing`] names the rule, such as a 32-bit length prefix or lines;
//! - [`FrameDecoder`] applies the rule to bytes that arrive in pieces of any size;
//! - [`encode`](fn@encode) is the inverse.
//!
//! Each rule is implemented once, in [`scan`](scan::scan): given bytes that start with a frame, it
//! finds the frame's payload.
//!
//! Beside framing, this folder holds the other plain byte and text types: [`Payload`],
//! [`BufferPool`], [`TextEncoding`] and [`escape`].

mod bounds;
mod buffer_pool;
mod decoder;
mod encode;
mod error;
#[cfg(any(feature = "chat", feature = "classic"))]
pub mod escape;
mod framing;
mod length;
mod name;
mod payload;
pub(crate) mod plural;
mod scan;
mod shared;
mod sniff;
#[cfg(any(feature = "chat", feature = "classic"))]
pub(crate) mod telnet;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "chat", feature = "classic"))]
mod text_encoding;

pub(crate) use buffer_pool::BufferPool;
pub use decoder::FrameDecoder;
#[cfg(feature = "cli")]
pub(crate) use encode::FrameHeader;
pub use encode::encode;
pub(crate) use encode::frame_header;
pub(crate) use error::Hint;
pub use error::{EncodeError, FrameError, LooksLike};
pub use framing::{Framing, MAX_RAW_BYTES};
pub use length::{Endian, LengthPrefix, Width};
pub use name::ParseFramingError;
pub use payload::{BatchId, Payload};
pub(crate) use shared::{Batch, BatchMemory, SharedFrames};
#[cfg(any(feature = "chat", feature = "classic"))]
pub use text_encoding::{TextEncoding, UnencodableError};
