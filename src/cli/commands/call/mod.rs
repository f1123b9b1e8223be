//! Clients of the services: `call SERVICE ADDR`. Each has a module that says what its words mean and drives its conversation.
//!
//! What they remember and decide is in the library's `client`; here are threads, pipes and the terminal.

mod args;
mod chat;
mod clock;
mod exec;
mod files;
mod server_address;
mod text;

use std::process::ExitCode;

pub(in crate::cli) use args::Callee;

use crate::cli::args::Verbosity;
use crate::cli::failure::Failure;
use text::Kind;

pub(in crate::cli) fn call(callee: Callee, verbosity: Verbosity) -> Result<ExitCode, Failure> {
    match callee {
        Callee::Echo(typed) => text::call(Kind::Echo, typed, verbosity),
        Callee::Upper(typed) => text::call(Kind::Upper, typed, verbosity),
        Callee::Greet(typed) => text::call(Kind::Greet, typed, verbosity),
        Callee::Robot(typed) => text::call(Kind::Robot, typed, verbosity),
        Callee::Parrot(typed) => text::call(Kind::Parrot, typed, verbosity),
        Callee::Clock(typed) => clock::call(typed, verbosity),
        Callee::Files(typed) => files::call(typed, verbosity),
        Callee::Exec(typed) => exec::call(typed, verbosity),
        Callee::Chat(typed) => chat::chat(typed, verbosity),
    }
}
