//! The chat server: one hub, several dialects, the same rooms.

pub mod colour;
pub mod console;
pub mod wire;
