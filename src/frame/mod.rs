//! How a byte stream is cut into payloads, and how payloads become bytes again. No socket, no clock.
//!
//! - [`Framing`] says which rule is in force, and reads and writes the rule's name;
//! - [`FrameDecoder`] applies it to bytes that arrive in any pieces;
//! - [`encode`](fn@encode) applies it the other way.
//!
//! The rule itself stands in one place, [`cut`](cut::cut): given the bytes from a frame's first on, where does its payload lie?

mod bounds;
mod buffer_pool;
mod cut;
mod decoder;
mod encode;
mod error;
#[cfg(any(feature = "chat", feature = "classic"))]
pub mod escape;
mod framing;
mod length;
mod name;
mod payload;
mod shared;
mod sniff;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "chat", feature = "classic"))]
mod text_encoding;

pub(crate) use buffer_pool::BufferPool;
pub use decoder::FrameDecoder;
#[cfg(feature = "cli")]
pub(crate) use encode::Head;
pub use encode::encode;
pub(crate) use encode::head;
pub(crate) use error::Hint;
pub use error::{EncodeError, FrameError, LooksLike};
pub use framing::{Framing, MAX_RAW_BYTES};
pub use length::{Endian, LengthPrefix, Width};
pub use name::ParseFramingError;
pub use payload::{BatchId, Payload};
pub(crate) use shared::{Batch, SharedFrames};
#[cfg(any(feature = "chat", feature = "classic"))]
pub use text_encoding::{TextEncoding, Unwritable};
