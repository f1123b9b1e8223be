//! The exec service: runs allowed commands for its clients and sends their output.
//!
//! The allowed programs are a list of names. A command line is split into words as a shell does it,
//! and the words are passed to the program unchanged: no shell interprets them. `Allowed::Shell` is
//! the exception, which must be configured.
//!
//! A command runs on a worker thread of the service, in its own process group, with a limit on time
//! and output. The group is killed when the command has ended, when its time is up, when its
//! connection closes, and when the service is dropped. With a [`Launcher`] it is also killed when
//! the server's process ends in another way.
//!
//! The service must not know its listeners: the program decides which addresses need a token.
//!
//! [`wire`] is the wire format. The service itself requires Unix processes.

mod answer;
mod capture;
mod child_exit;
mod guard;
mod kill_handle;
mod launcher;
mod request;
mod rules;
mod run;
mod service;
mod session;
mod spawner;
pub mod wire;

pub use launcher::Launcher;
pub use rules::{Allowed, ExecRules, Program, ProgramError, Token, TokenError};
pub use service::Exec;
pub use wire::ExecDialect;
