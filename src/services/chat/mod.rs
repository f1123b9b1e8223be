//! The chat server: one hub, several dialects, the same rooms.

pub mod wire;
