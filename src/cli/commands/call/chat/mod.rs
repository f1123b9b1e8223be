//! `call chat`: a chat session at a terminal or in a pipe.

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
mod session_runner;
mod terminal;
mod terminal_lock;

use std::io::{self, BufReader};
use std::process::ExitCode;

use super::timeout::CONNECT_TIMEOUT;
use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::verbosity::Verbosity;

pub(in crate::cli) use args::CallChatArgs;
use plan::CallChatPlan;
use session_runner::SessionRunner;
use terminal::ChatEditor;

pub(super) fn call(args: CallChatArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    let plan = CallChatPlan::new(args)?;
    // Signal handlers are installed later, so a signal during the connect ends the program
    // immediately.
    let stream = plan.server.connect(CONNECT_TIMEOUT)?;
    if plan.is_interactive
        && let Some(editor) = ChatEditor::open(plan.history.as_deref(), plan.palette.clone())?
    {
        return editor.run(plan, stream);
    }
    // On a terminal, log lines would overwrite the line being edited.
    logging::start(verbosity.level());
    let display = pipe::display(plan.json, plan.palette.clone());
    let read = |permits: &_, events: &_| pipe::read_lines(BufReader::new(io::stdin()), permits, events);
    SessionRunner::start(plan, stream, display, false, read)?.run()
}
