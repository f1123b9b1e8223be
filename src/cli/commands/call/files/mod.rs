//! `call files`: what its words mean, and what it does.

mod get;
mod link;
mod list;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Subcommand, ValueHint};
use switchboard::Framing;
use switchboard::client::files::DownloadError;
use switchboard::escape;
use switchboard::services::files::Dialect;

use super::server::Server;
use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::terminal::sanitize;
use crate::cli::transfer::Interrupt;
use crate::cli::units::HumanDuration;
use crate::cli::verbosity::Verbosity;

#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("files.txt"))]
pub(in crate::cli) struct FilesArgs {
    /// Where the server is
    ///
    /// host:port, [v6]:port or unix:PATH.
    #[arg(value_name = "ADDR")]
    address: String,
    /// What the server speaks [default: framed]
    #[arg(long, value_name = "NAME", global = true, value_parser = dialects())]
    dialect: Option<Dialect>,
    /// How its bytes are cut, or for plain how it is told the name: raw or lines [default: u32be, raw]
    #[arg(long, value_name = "NAME", global = true)]
    framing: Option<Framing>,
    /// Give up when nothing has come for so long; 0: never
    ///
    /// The beginning of an answer may take ten times as long, because a server reads a whole file for its checksum first.
    #[arg(long, value_name = "TIME", global = true, default_value_t = HumanDuration(Duration::from_secs(30)))]
    timeout: HumanDuration,
    #[command(subcommand)]
    wish: Wish,
}

#[derive(Debug, Subcommand)]
enum Wish {
    /// List what there is
    #[command(after_long_help = include_str!("list.txt"))]
    List {
        /// Only what is below this directory
        #[arg(value_name = "DIR", default_value = "", value_hint = ValueHint::Other)]
        directory: String,
        /// Print the server's answer as it is
        #[arg(long)]
        json: bool,
    },
    /// Get a file
    ///
    /// It appears at its place when it is whole, and then replaces what was there. Until then it is beside it as NAME.part,
    /// which another run goes on with.
    #[command(after_long_help = include_str!("get.txt"))]
    Get {
        /// Its name, as in the list
        #[arg(value_name = "NAME")]
        name: OsString,
        /// Write it here; - is standard output [default: the name's last part, in this directory]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Leave a file that is there already as it is, and end with 1
        #[arg(short, long)]
        no_clobber: bool,
    },
}

/// Where the server is, and how to speak to it.
struct Plan {
    server: Server,
    framing: Framing,
    timeout: Option<Duration>,
}

/// Why there is no answer.
enum Ended {
    /// The user has had enough.
    Interrupted,
    /// So has who reads standard output, and that is no failure (`get NAME -o - | head`).
    Unread,
    /// What the server said was no good.
    DownloadError(DownloadError),
    /// It was no good from the first word on, as if the server spoke something else.
    Stranger(DownloadError),
    /// Everything else.
    Failed(CliError),
}

impl From<CliError> for Ended {
    fn from(failure: CliError) -> Self {
        Self::Failed(failure)
    }
}

impl From<DownloadError> for Ended {
    fn from(trouble: DownloadError) -> Self {
        Self::DownloadError(trouble)
    }
}

pub(super) fn call(typed: FilesArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    let dialect = typed.dialect.unwrap_or_default();
    let plan = Plan::new(&typed, dialect)?;
    logging::start(verbosity.level());
    match typed.wish {
        Wish::List { .. } if dialect == Dialect::Plain => {
            Err(CliError::Usage("the dialect plain knows no list, only get NAME".to_owned()))
        }
        Wish::List { directory, json } => list::list(&plan, directory, json),
        Wish::Get { name, output, no_clobber } => {
            let place = place(&name, output)?;
            if no_clobber
                && let Some(place) = &place
                && place.symlink_metadata().is_ok()
            {
                return Err(CliError::Failed(format!(
                    "{} is there already, and is left as it is",
                    sanitize::file_name(place)
                )));
            }
            let wish = get::Wish { name, place, no_clobber, quiet: verbosity.is_quiet() };
            match dialect {
                Dialect::Framed => get::framed(&plan, &wish),
                Dialect::Plain => get::plain(&plan, &wish),
            }
        }
    }
}

impl Plan {
    fn new(typed: &FilesArgs, dialect: Dialect) -> Result<Self, CliError> {
        let framing = typed.framing.unwrap_or(if dialect == Dialect::Plain { Framing::Raw } else { Framing::U32BE });
        if !(dialect.suits(framing) || (dialect == Dialect::Plain && framing == Framing::Lines)) {
            return Err(CliError::Usage(match dialect {
                Dialect::Framed => format!("--framing {framing} does not carry frames of 1 MiB: u32be does"),
                Dialect::Plain => format!("--framing {framing} is not for the dialect plain: choose raw or lines"),
            }));
        }
        let server = Server::find_stream("files --root DIR", &typed.address)?;
        let timeout = Some(typed.timeout.0).filter(|timeout| !timeout.is_zero());
        Ok(Self { server, framing, timeout })
    }

    /// How long the beginning of an answer may take.
    fn first_timeout(&self) -> Option<Duration> {
        self.timeout.map(|timeout| timeout.saturating_mul(10))
    }
}

impl Ended {
    /// It ended so before anything was understood.
    fn at_first(self) -> Self {
        match self {
            Self::DownloadError(trouble @ (DownloadError::NoReply | DownloadError::InvalidReply(_))) => {
                Self::Stranger(trouble)
            }
            other => other,
        }
    }

    /// What the program ends with; `about` is what it was to do.
    fn code(self, about: &str, interrupt: Option<&Interrupt>) -> Result<ExitCode, CliError> {
        match self {
            Self::Unread => Ok(ExitCode::SUCCESS),
            Self::Interrupted => Ok(interrupt.and_then(Interrupt::exit_code).unwrap_or(ExitCode::FAILURE)),
            Self::DownloadError(trouble) => {
                Err(CliError::Failed(format!("{about}: {}", escape::line(&trouble.to_string()))))
            }
            Self::Stranger(trouble) => Err(CliError::Failed(format!(
                "{about}: {}; does the server speak --dialect plain?",
                escape::line(&trouble.to_string())
            ))),
            Self::Failed(failure) => Err(failure),
        }
    }
}

fn dialects() -> impl TypedValueParser<Value = Dialect> {
    PossibleValuesParser::new(Dialect::NAMES.map(|(name, _)| name)).try_map(|name| name.parse::<Dialect>())
}

/// Where a file goes; nothing: to standard output.
fn place(name: &OsString, output: Option<PathBuf>) -> Result<Option<PathBuf>, CliError> {
    match output {
        Some(path) if path.as_os_str() == "-" => Ok(None),
        Some(path) => Ok(Some(path)),
        // A last part with a backslash in it is no path here, but would be one elsewhere.
        None => match Path::new(name).file_name() {
            Some(last) => Ok(Some(last.into())),
            None if name.is_empty() => {
                Err(CliError::Usage("no file has an empty name: 'call files ADDR list' shows their names".to_owned()))
            }
            None => Err(CliError::Usage(format!("{} has no last part: add -o FILE", sanitize::file_name(name)))),
        },
    }
}
