//! `call chat`: what its words mean, and where it runs: at a terminal or in a pipe.

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

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use switchboard::Framing;
use switchboard::client::chat::SessionOptions;
use switchboard::services::chat::colour::Palette;

use super::args::{ChatArgs, When};
use super::server::Server;
use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::verbosity::Verbosity;

use driver::Driver;
use line::Target;

/// All that the client needs to know.
struct Plan {
    target: Target,
    wishes: SessionOptions,
    json: bool,
    palette: Palette,
    history: Option<PathBuf>,
    /// Whether a person types.
    is_terminal: bool,
}

pub(super) fn chat(typed: ChatArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    let plan = Plan::new(typed)?;
    // While nobody is told otherwise, a signal ends the program at once.
    let stream = plan.target.connect()?;
    if plan.is_terminal
        && let Some(mut editor) = terminal::editor(plan.history.as_deref(), plan.palette.clone())?
    {
        return terminal::run(Driver::new(plan, stream, editor.screen())?, editor);
    }
    // A log on the screen would be in the way of what is typed; here it is not.
    logging::start(verbosity.level());
    let screen = pipe::screen(plan.json, plan.palette.clone());
    pipe::run(Driver::new(plan, stream, screen)?)
}

impl Plan {
    fn new(typed: ChatArgs) -> Result<Self, CliError> {
        if matches!(typed.framing, Framing::Lines | Framing::Raw) {
            let framing = typed.framing;
            return Err(CliError::Usage(format!(
                "--framing {framing} is not for JSON: choose one with a length, such as u32be"
            )));
        }
        let server = Server::find_stream("chat", &typed.address)?;
        let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && !typed.json;
        let has_colors = match typed.color {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let user = || std::env::var("USER").ok().filter(|name| !name.trim().is_empty());
        Ok(Self {
            target: Target { server, framing: typed.framing },
            wishes: SessionOptions {
                // At a terminal somebody is there to choose another. In a pipe, what is said would be said by somebody else.
                require_nick: typed.nick.is_some() && !is_terminal,
                nick: typed.nick.or_else(user),
                rooms: typed.rooms,
                single_connection: typed.no_reconnect,
                seed: fastrand::u64(..),
            },
            json: typed.json,
            palette: Palette::new(has_colors, []),
            history: typed.history,
            is_terminal,
        })
    }
}
