//! `call chat`: a chat session at a terminal or in a pipe.

mod args;
mod completion;
mod connection;
mod connector;
mod display;
mod endpoint;
mod event;
mod event_parser;
mod history;
mod pipe;
mod plan;
mod session_runner;
mod signals;
mod terminal;
mod terminal_lock;

use std::process::ExitCode;

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
    let stream = plan.endpoint.connect()?;
    if plan.is_interactive
        && let Some(mut editor) = ChatEditor::open(plan.history.as_deref(), plan.palette.clone())?
    {
        return terminal::run(SessionRunner::new(plan, stream, editor.take_display())?, editor);
    }
    // On a terminal, log lines would overwrite the line being edited.
    logging::start(verbosity.level());
    let display = pipe::display(plan.json, plan.palette.clone());
    pipe::run(SessionRunner::new(plan, stream, display)?)
}
