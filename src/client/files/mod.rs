//! A sans-IO client for the `files` service in its framed dialect: requests, and the meaning of the
//! replies. This module must not know a stream, a file or a terminal.
//!
//! Invariant: the client checks what a server claims. A download that passes
//! [`verify`](FileDownload::verify) has the SHA-256 that the server announced, whichever servers
//! sent its parts.

mod download;
mod error;
mod reply;
#[cfg(test)]
mod tests;

pub use download::{DownloadEvent, FileDownload};
pub use error::DownloadError;
pub use reply::{list_request, parse_listing};
