//! The load on chat rooms: members join rooms, some of them publish, and every member's deliveries
//! are checked.
//!
//! [`ChatLoadConfig`] describes a load, [`run`] puts it on a server, and [`ChatOutcome`] holds the
//! results that only a chat load has.
//!
//! # Files
//!
//! | file | holds |
//! |---|---|
//! | `chat_workload` | what members send, and what they receive |
//! | `member_client`, `member_requests` | one member; rooms, nicks and requests |
//! | `delivery_checker`, `room_log`, `sequence_tracker` | the check of all received ids |
//! | `message_stamp`, `event_scanner` | texts that identify themselves; fast parsing |
//! | `publisher_rotation` | the closed loop: whose turn to publish it is in each room |

mod chat_workload;
mod config;
mod delivery_checker;
mod event_scanner;
mod faults;
mod member_client;
mod member_requests;
mod message_stamp;
mod outcome;
mod publisher_rotation;
mod room_log;
mod sequence_tracker;

use chat_workload::ChatWorkload;
pub use config::ChatLoadConfig;
pub use faults::{ChatFaults, DeliveryViolation, FaultKind};
pub use outcome::{ChatOutcome, ServerError};

use crate::load::driver::LoadDriver;
use crate::load::error::LoadError;
use crate::load::observer::LoadObserver;
use crate::load::outcome::LoadOutcome;

/// Bytes at which a batch of messages is full.
const BATCH_BYTES: usize = 64 * 1024;

/// Puts the load of `config` on a chat server, and reports its progress to `observer`.
///
/// # Errors
/// [`LoadError`] if the load could not be put on at all. Faults of the server are in the
/// [`LoadOutcome`].
pub fn run(config: &ChatLoadConfig, observer: &mut dyn LoadObserver) -> Result<LoadOutcome<ChatOutcome>, LoadError> {
    let driver_config = config.check()?;
    LoadDriver::new(&driver_config, BATCH_BYTES, ChatWorkload::new(config))?.run(observer)
}
