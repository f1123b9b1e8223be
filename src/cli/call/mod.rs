//! Clients of the services: `call SERVICE ADDR`. Each has a file that says what its words mean and drives its session.
//!
//! What they remember and decide is in the library's `client`; here are threads, pipes and the terminal.

mod args;
mod chat;
mod complete;
mod driver;
mod history;
mod input;
mod line;
mod pipe;
mod screen;
mod signals;
mod terminal;
mod turns;

use std::process::ExitCode;

pub(super) use args::Callee;

use super::args::Verbosity;
use super::failure::Failure;

pub(super) fn call(callee: Callee, verbosity: Verbosity) -> Result<ExitCode, Failure> {
    match callee {
        Callee::Chat(typed) => chat::chat(typed, verbosity),
    }
}
