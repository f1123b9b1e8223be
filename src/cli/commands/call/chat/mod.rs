//! `call chat`: a chat session at a terminal or in a pipe.

mod args;
mod completion;
mod connection;
mod display;
mod driver;
mod event;
mod history;
mod pipe;
mod plan;
mod signals;
mod terminal;
mod terminal_arbiter;

use std::process::ExitCode;

use crate::cli::args::Verbosity;
use crate::cli::failure::Failure;
use crate::cli::logging;

pub(in crate::cli) use args::CallChatArgs;
use driver::ChatDriver;
use plan::CallChatPlan;

pub(super) fn call(args: CallChatArgs, verbosity: Verbosity) -> Result<ExitCode, Failure> {
    let plan = CallChatPlan::new(args)?;
    // Signal handlers are installed later, so a signal during the connect ends the program immediately.
    let stream = plan.endpoint.connect()?;
    if plan.is_interactive
        && let Some(mut editor) = terminal::open_editor(plan.history.as_deref(), plan.palette.clone())?
    {
        return terminal::run(ChatDriver::new(plan, stream, editor.display())?, editor);
    }
    // On a terminal, log lines would overwrite the line being edited.
    logging::start(verbosity.level());
    let display = pipe::display(plan.json, plan.palette.clone());
    pipe::run(ChatDriver::new(plan, stream, display)?)
}
