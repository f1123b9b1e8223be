//! The hub without an engine: an output that stores what is sent, and a clock that tests advance.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the tests use small numbers")]

mod costs;
mod crowds;
mod gaps;
mod harness;
mod invariants;
mod model;
mod moderation;
mod play;
mod proofs;
mod scripts;

/// The script format, shared with the tests that use sockets.
#[allow(dead_code, reason = "only the tests with sockets ask which scripts they can play")]
#[path = "../../../../../tests/support/script.rs"]
mod script;

use super::{EventTime, Hub, HubOutput};
use crate::frame::Payload;
use crate::service::CloseReason;
use crate::service::{BatchId, ConnId};
use crate::services::chat::ChatConfig;
use crate::services::chat::dialect::ChatDialect;
