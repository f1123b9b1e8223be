//! The exec service: runs allowed commands for its clients and sends their output.
//!
//! The allowed programs are a list of names. A command line is split into words as a shell does it,
//! and the words are passed to the program unchanged: no shell interprets them. `Allowed::Shell` is
//! the exception, which must be configured.
//!
//! A command runs on a worker thread of the service, in its own process group, with a limit on time
//! and output. The group is killed when the command has ended, when its time is up, when its
//! connection closes, and when the service is dropped.
//!
//! The service must not know its listeners: the program decides which addresses need a token.
//!
//! [`wire`] is the wire format. The service itself requires Unix processes.

#[cfg(unix)]
mod answer;
#[cfg(unix)]
mod capture;
#[cfg(unix)]
mod child_exit;
#[cfg(unix)]
mod kill_handle;
#[cfg(unix)]
mod request;
#[cfg(unix)]
mod rules;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod service;
#[cfg(unix)]
mod session;
pub mod wire;

#[cfg(unix)]
pub use rules::{Allowed, ExecRules, Program, ProgramError, Token, TokenError};
#[cfg(unix)]
pub use service::Exec;
pub use wire::ExecDialect;
