//! `switchboard serve`: runs services on an engine until a signal stops it.
//!
//! [`args`] is what was typed, [`plan`] checks the arguments together, [`bind`] binds the
//! addresses, and [`run`] runs the engine. [`config`] makes the same plan from a file. [`services`]
//! describes each service: its flags, its default addresses and how it is made. [`stats`] reports
//! the counters.

mod args;
mod bind;
pub(in crate::cli) mod config;
mod examples;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzz;
mod limits;
mod plan;
mod ports;
mod run;
mod services;
mod stats;
mod toml_file;

pub(in crate::cli) use args::ServeArgs;
#[cfg(feature = "fuzzing")]
pub(crate) use fuzz::fuzz_config;
pub(in crate::cli) use run::serve;
