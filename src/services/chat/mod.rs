//! The chat server: one hub, several dialects, shared rooms.
//!
//! [`Chat`] is the service: it passes the engine's callbacks to the hub and the hub's output to the
//! engine. `dialect` parses bytes into requests and encodes events into bytes. `hub` holds the
//! members and rooms and takes all decisions. [`wire`] defines the JSON requests and events.
//!
//! The framing of a listener selects the dialect of its connections: `lines` and `raw` are text,
//! every length prefix is JSON.

pub mod colour;
mod config;
pub mod console;
mod dialect;
mod hub;
mod names;
mod network;
mod request;
mod service;
pub mod wire;

pub use config::ChatConfig;
pub use dialect::requested_proof;
pub use names::{fold_name, is_valid_nick};
pub use service::Chat;
