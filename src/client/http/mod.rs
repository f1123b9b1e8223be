//! A client for HTTP/1.1 GET requests.
//!
//! The protocol part is sans-IO: [`HttpResponseParser`] takes received bytes, split anywhere, and
//! returns [`HttpEvent`]s; [`HttpUrl`] is the parsed URL of a request. [`fetch`] drives both: it
//! applies the timeouts and size limits. This module must not know files or terminals: the caller's
//! [`ResponseSink`] stores the bytes.
//!
//! Invariant: every value that a server sends is checked against a limit before it is used, and
//! every protocol violation and every stall has its own error variant.

mod body_decoder;
mod body_event;
mod chunked;
mod fetch;
mod fetch_error;
mod header_reader;
mod http_error;
mod http_url;
mod request;
mod response_head;
mod response_parser;

pub use fetch::{FetchOptions, FetchedResponse, ResponseSink, fetch};
pub use fetch_error::{FetchError, TimeoutKind};
pub use http_error::HttpError;
pub use http_url::{HttpUrl, UrlError};
pub use request::{HeaderError, RequestHeader};
pub use response_head::ResponseHead;
pub use response_parser::{HttpEvent, HttpResponseParser};
