//! `call SERVICE ADDR`: the clients of the services. Each has a module that parses its arguments
//! and runs its conversation.
//!
//! The protocols and their state are in the library's `client`; this module adds threads, pipes and
//! the terminal.

mod args;
mod chat;
mod clock;
mod exec;
mod files;
mod server_address;
mod text;
mod timeout;

use std::process::ExitCode;

pub(in crate::cli) use args::CallCommand;

use crate::cli::error::CliError;
use crate::cli::verbosity::Verbosity;
use text::TextService;

pub(in crate::cli) fn call(command: CallCommand, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    match command {
        CallCommand::Echo(args) => text::call(TextService::Echo, args, verbosity),
        CallCommand::Upper(args) => text::call(TextService::Upper, args, verbosity),
        CallCommand::Greet(args) => text::call(TextService::Greet, args, verbosity),
        CallCommand::Robot(args) => text::call(TextService::Robot, args, verbosity),
        CallCommand::Parrot(args) => text::call(TextService::Parrot, args, verbosity),
        CallCommand::Clock(args) => clock::call(args, verbosity),
        CallCommand::Files(args) => files::call(args, verbosity),
        CallCommand::Exec(args) => exec::call(args, verbosity),
        CallCommand::Chat(args) => chat::call(args, verbosity),
    }
}
