//! The files service: sends the regular files below a directory, read-only. Clients send a plain
//! file name, or requests in JSON with resume and checksum.
//!
//! The service owns the directory's handle and resolves every name beneath it. No name can lead
//! elsewhere, even if links or directories change meanwhile; paths are never compared as strings.
//!
//! All disk access runs on worker threads in bounded pieces, one piece at a time per connection. A
//! transfer thus takes the same memory whatever the file's size. This module must not use sockets.

mod checksum;
mod checksum_cache;
mod dialect;
mod listing;
mod open;
mod outcome;
mod read;
mod service;
mod session;
mod shared;
mod task;
pub mod wire;

pub use dialect::FilesDialect;
pub use service::Files;
