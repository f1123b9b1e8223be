//! The echo load: the server returns every message, on the same connection.
//!
//! # Files
//!
//! | file | holds |
//! |---|---|
//! | `config` | the configuration |
//! | `echo_workload` | what connections send, and how answers are counted |
//! | `in_flight`, `response_splitter` | unanswered messages; received bytes split into answers |
//! | `templates`, `message_encoder` | message contents, and their form on the wire |

mod config;
mod echo_workload;
mod in_flight;
mod message_encoder;
mod response_splitter;
mod templates;

pub use config::LoadConfig;
use echo_workload::EchoWorkload;

use crate::load::driver::LoadDriver;
use crate::load::error::LoadError;
use crate::load::observer::LoadObserver;
use crate::load::outcome::LoadOutcome;

/// Puts the load of `config` on an echo server, and reports its progress to `observer`.
///
/// # Errors
/// [`LoadError`] if the load could not be put on at all. Faults of the server are in the
/// [`LoadOutcome`].
pub fn run(config: &LoadConfig, observer: &mut dyn LoadObserver) -> Result<LoadOutcome, LoadError> {
    let driver_config = config.check()?;
    let workload = EchoWorkload::new(config);
    LoadDriver::new(&driver_config, config.batch_bytes(), workload)?.run(observer)
}
