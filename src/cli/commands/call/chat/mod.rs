//! `call chat`: a chat session at a terminal or in a pipe.
//!
//! A server with JSON has a [`ChatSession`](switchboard::client::chat::ChatSession), which
//! `session_runner` drives. Lines and text are exchanged with a server that has none, by
//! `text_runner`.

mod args;
mod completion;
mod connection;
mod connector;
mod display;
mod event;
mod event_parser;
mod history;
mod pipe;
mod plan;
mod session_io;
mod session_runner;
mod terminal;
mod terminal_lock;
mod text_connection;
mod text_lines;
mod text_protocol;
mod text_reader;
mod text_runner;

use std::io::{self, BufReader};
use std::process::ExitCode;
use std::time::Instant;

use super::text::greeting_wait;
use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::verbosity::Verbosity;

pub(in crate::cli) use args::CallChatArgs;
use plan::{CallChatPlan, ChatProtocol};
use session_io::{RunSession, SessionIo};
use session_runner::{JsonServer, SessionRunner};
use terminal::ChatEditor;
use text_protocol::TextTransport;
use text_runner::{TextRunner, TextServer};

pub(super) fn call(args: CallChatArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    let CallChatPlan { server, protocol, timeout, json, palette, history, is_interactive } = CallChatPlan::new(args)?;
    // Signal handlers are installed later, so a signal during the connect ends the program
    // immediately.
    let session: RunSession = match protocol {
        ChatProtocol::Json { framing, options } => {
            let stream = server.connect(timeout)?;
            let server = JsonServer { address: server, framing, connect_timeout: timeout };
            Box::new(move |io| SessionRunner::start(io, server, stream, options)?.run())
        }
        ChatProtocol::Text(protocol) => {
            let started = Instant::now();
            let stream = match protocol.transport {
                TextTransport::Stream(_) => Some(server.connect(timeout)?),
                TextTransport::Datagrams { .. } => None,
            };
            let greeting_wait = greeting_wait(started.elapsed());
            let server = TextServer { address: server, protocol, stream, timeout, greeting_wait };
            Box::new(move |io| TextRunner::start(io, server)?.run())
        }
    };
    if is_interactive && let Some(editor) = ChatEditor::open(history.as_deref(), palette.clone())? {
        return editor.run(session);
    }
    // On a terminal, log lines would overwrite the line being edited.
    logging::start(verbosity.level());
    let read = |permits: &_, events: &_| pipe::read_lines(BufReader::new(io::stdin()), permits, events);
    session(SessionIo::start(pipe::display(json, palette), false, read)?)
}
