//! The load generator for chat rooms: members join rooms, some of them publish, and every member's
//! deliveries are checked.
//!
//! [`ChatLoadConfig`] describes a load, [`run`] puts it on a server, and [`ChatOutcome`] holds the
//! results that only a chat load has. The run has its own loop, built from the parts of the echo load: sockets, connect queue,
//! send schedule, phases and recorder.
//!
//! # Files
//!
//! | file | holds |
//! |---|---|
//! | `driver`, `phase_changes` | the loop, and a run's way from one phase to the next |
//! | `run_context` | what all members of a run share |
//! | `member_client` | one member's connection |
//! | `delivery_checker`, `room_log`, `sequence_tracker` | the check of all received ids |
//! | `message_stamp`, `event_scanner` | texts that identify themselves; fast parsing |
//! | `publisher_rotation` | the closed loop: whose turn to publish it is in each room |

mod config;
mod delivery_checker;
mod driver;
mod event_scanner;
mod faults;
mod member_client;
mod message_stamp;
mod outcome;
mod phase_changes;
mod publisher_rotation;
mod room_log;
mod run_context;
mod sequence_tracker;

pub use config::ChatLoadConfig;
pub use driver::run;
pub use faults::{ChatFaults, DeliveryViolation, FaultKind};
pub use outcome::{ChatOutcome, ServerError};
