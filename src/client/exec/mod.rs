//! A sans-IO client for the exec service: the request bytes, and a parser for the response in each
//! dialect. This module must not know a socket or a clock.
//!
//! A server may be broken or hostile. The parser never holds more than [`MAX_OUTPUT_BYTES`], and it
//! allocates for bytes received, not for a declared length.

mod error;
mod header;
mod parser;
mod request;
mod response;

pub use crate::services::exec::wire::{ExecDialect, MAX_LINE_BYTES};
pub use error::ExecResponseError;
pub use parser::{ParseStep, ResponseParser};
pub use request::{ExecRequestError, request};
pub use response::{ExecResponse, MAX_OUTPUT_BYTES, ResponseHeader};
