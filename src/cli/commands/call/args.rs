//! The arguments of `call`: one subcommand for each service.

use clap::Subcommand;

use super::chat::CallChatArgs;
use super::clock::CallClockArgs;
use super::exec::CallExecArgs;
use super::files::CallFilesArgs;
use super::text::CallTextArgs;

/// The services that have a client.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CallCommand {
    /// Send lines to echo and print its replies
    Echo(CallTextArgs),
    /// Send lines to upper and print its replies, in capital letters
    Upper(CallTextArgs),
    /// Send one line to greet and print its greeting
    Greet(CallTextArgs),
    /// Talk with robot
    Robot(CallTextArgs),
    /// Talk with parrot, until Bye
    Parrot(CallTextArgs),
    /// Ask clock for the time
    Clock(CallClockArgs),
    /// List and get files
    Files(CallFilesArgs),
    /// Run a command on the server
    Exec(CallExecArgs),
    /// Chat at the terminal, or from a pipe
    ///
    /// At a terminal, messages appear above the line being edited. If standard input or output is
    /// not a terminal, each line of the input is sent as a message; after the end of the input and
    /// the last reply, the program ends. A lost connection is reopened, and unacknowledged messages
    /// are sent again. Servers without JSON are called with udp:ADDR or --framing raw.
    #[command(after_long_help = include_str!("chat/chat.txt"))]
    Chat(CallChatArgs),
}

#[cfg(test)]
mod tests {
    use crate::cli::args::Args;

    #[test]
    fn every_client_has_an_encoding() {
        let program = Args::definition();
        for client in program.find_subcommand("call").unwrap().get_subcommands() {
            let has_encoding = client.get_arguments().any(|arg| arg.get_long() == Some("encoding"));
            assert!(has_encoding || client.get_name() == "help", "{}", client.get_name());
        }
    }
}
