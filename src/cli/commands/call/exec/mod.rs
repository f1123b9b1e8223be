//! `call exec`: what its words mean, and what it does.

mod exchange;
mod show;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use switchboard::Framing;
use switchboard::client::exec::{ExecDialect, ExecResponse, ResponseHeader, request};

use super::server::Server;
use crate::cli::error::CliError;
use crate::cli::terminal::stdout;
use crate::cli::units::HumanDuration;
use crate::cli::verbosity::Verbosity;
use crate::cli::{logging, token_file};

/// What surely goes in one packet, and comes with one read: IPv6 carries packets of 1,280 bytes whole (RFC 8200, section 5).
const PACKET_BYTES: usize = 1200;

/// How long an answer may take, where nothing else is said: longer than a server of ours lets a command run.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("exec.txt"))]
pub(in crate::cli) struct ExecArgs {
    /// Where the server is
    ///
    /// host:port, [v6]:port or unix:PATH.
    #[arg(value_name = "ADDR")]
    address: String,
    /// What the server speaks
    #[arg(long, value_name = "NAME", default_value_t, value_parser = dialects())]
    dialect: ExecDialect,
    /// How requests and answers are framed, as the server was told; raw if nothing else is said
    ///
    /// A raw request is whatever one read of the server returns. One that is longer than a packet may come in pieces, each of
    /// which would be run; to another machine it is sent only if --framing raw says so.
    #[arg(long, value_name = "NAME")]
    framing: Option<Framing>,
    /// A file with what the server wants to hear first; nobody else may be able to read it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How long the whole answer may take [default: 30s]
    #[arg(long, value_name = "TIME")]
    timeout: Option<HumanDuration>,
    /// Print one JSON object: the header, and the output as text, or in hexadecimal if it is none
    #[arg(long)]
    json: bool,
    /// The command: a program and its arguments, behind --
    ///
    /// The words reach the program as they are here. One word alone is a line that the server splits: -- 'ls -l /tmp'.
    #[arg(value_name = "COMMAND", last = true, required = true)]
    command: Vec<String>,
}

/// All that there is to know before the server is asked.
struct Plan {
    server: Server,
    dialect: ExecDialect,
    framing: Framing,
    request: Vec<u8>,
    timeout: Duration,
    json: bool,
}

pub(super) fn call(typed: ExecArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    logging::start(verbosity.level());
    let plan = Plan::new(typed)?;
    let answer = exchange::ask(&plan)?;
    let failed = answer.header.as_ref().and_then(trouble);
    stdout::print_bytes(&show(&answer, plan.json)?)?;
    match failed {
        Some(what) => Err(CliError::Failed(what)),
        None => Ok(ExitCode::SUCCESS),
    }
}

impl Plan {
    fn new(typed: ExecArgs) -> Result<Self, CliError> {
        let ExecArgs { address, dialect, framing, token_file, timeout, json, command } = typed;
        let server = Server::find_stream("exec --allow PROGRAM", &address)?;
        let timeout = timeout.map_or(TIMEOUT, |timeout| timeout.0);
        if timeout.is_zero() {
            return Err(CliError::Usage("--timeout: no answer comes in no time".to_owned()));
        }
        let token = token_file.as_deref().map(token_file::read).transpose()?;
        let request = request(&command, token.as_deref()).map_err(|bad| CliError::Usage(bad.to_string()))?;
        if framing.is_none() && request.len() > PACKET_BYTES && !server.is_local() {
            let text = format!(
                "a command of {} bytes may arrive in pieces, each of which would be run: use --framing u32be on both sides, or \
                 say --framing raw if the server has no other",
                request.len()
            );
            return Err(CliError::Usage(text));
        }
        let framing = framing.unwrap_or(Framing::Raw);
        Ok(Self { server, dialect, framing, request, timeout, json })
    }
}

fn dialects() -> impl TypedValueParser<Value = ExecDialect> {
    PossibleValuesParser::new(ExecDialect::NAMES.map(|(name, _)| name)).try_map(|name| name.parse::<ExecDialect>())
}

fn show(answer: &ExecResponse, json: bool) -> Result<Vec<u8>, CliError> {
    if json {
        return show::json(answer).map_err(|error| CliError::Failed(format!("cannot print the answer: {error}")));
    }
    if io::stdout().is_terminal() {
        return Ok(show::for_terminal(&answer.output).into_bytes());
    }
    Ok(answer.output.clone())
}

/// Why a command has not done well, as far as the server says so.
fn trouble(report: &ResponseHeader) -> Option<String> {
    let cut = if report.truncated { "; its output was cut" } else { "" };
    match report.exit_code {
        Some(Some(0)) | None if report.truncated => Some("the command's output was cut".to_owned()),
        Some(Some(0)) | None => None,
        Some(Some(code)) => Some(format!("the command ended with exit code {code}{cut}")),
        Some(None) => Some(format!("the command was not run, or did not end by itself{cut}")),
    }
}
