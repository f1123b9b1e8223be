//! Runs allowed commands for those who ask, and gives them the output.
//!
//! What may be run is a list of names, and a command line is split into words as a shell splits them and handed to the program as
//! they are: nothing in it is ever interpreted. `Rules::shell` is the exception that has to be asked for.
//!
//! A command never holds anybody up and never outlives its welcome: it runs on threads of the service's own, in a process
//! group of its own, for so long and with so much output; the group is killed when the command has ended, when its time is
//! up, when its connection has gone, and when the service goes.
//!
//! It must not know where it is reached: who may listen beyond this machine, and with which token, is the program's business.
//!
//! [`wire`] is what clients see. The service itself needs processes as Unix has them.

#[cfg(unix)]
mod answer;
#[cfg(unix)]
mod capture;
#[cfg(unix)]
mod child_exit;
#[cfg(unix)]
mod desk;
#[cfg(unix)]
mod leash;
#[cfg(unix)]
mod order;
#[cfg(unix)]
mod rules;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod service;
pub mod wire;

#[cfg(unix)]
pub use rules::{Allowed, BadProgram, BadToken, Program, Rules, Token};
#[cfg(unix)]
pub use service::Exec;
pub use wire::Dialect;
