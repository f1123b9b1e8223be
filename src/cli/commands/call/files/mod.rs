//! `call files`: lists the files of a server, and gets one of them.

mod args;
mod connection;
mod error;
mod get;
mod get_request;
mod list;
mod plan;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use switchboard::services::files::FilesDialect;

use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::terminal::sanitize;
use crate::cli::verbosity::Verbosity;

pub(in crate::cli) use args::CallFilesArgs;
use args::CallFilesCommand;
use get_request::GetRequest;
use plan::CallFilesPlan;

pub(super) fn call(args: CallFilesArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    let dialect = args.dialect.unwrap_or_default();
    let plan = CallFilesPlan::new(&args, dialect)?;
    logging::start(verbosity.level());
    match args.command {
        CallFilesCommand::List { .. } if dialect == FilesDialect::Plain => {
            Err(CliError::Usage("the dialect plain has no list, only get NAME".to_owned()))
        }
        CallFilesCommand::List { directory, json } => list::list(&plan, directory, json),
        CallFilesCommand::Get { name, output, no_clobber } => {
            let path = output_path(&name, output)?;
            if no_clobber
                && let Some(path) = &path
                && path.symlink_metadata().is_ok()
            {
                return Err(CliError::Failed(format!(
                    "{} exists, and --no-clobber keeps it",
                    sanitize::file_name(path)
                )));
            }
            let request = GetRequest { name, path, no_clobber, is_quiet: verbosity.is_quiet() };
            match dialect {
                FilesDialect::Framed => get::get_framed(&plan, &request),
                FilesDialect::Plain => get::get_plain(&plan, &request),
            }
        }
    }
}

/// Returns the path for the file; `None` for standard output.
fn output_path(name: &OsString, output: Option<PathBuf>) -> Result<Option<PathBuf>, CliError> {
    match output {
        Some(path) if path.as_os_str() == "-" => Ok(None),
        Some(path) => Ok(Some(path)),
        // The last part only, so the name cannot leave this directory.
        None => match Path::new(name).file_name() {
            Some(last) => Ok(Some(last.into())),
            None if name.is_empty() => {
                Err(CliError::Usage("the file's name is empty: 'call files ADDR list' prints the names".to_owned()))
            }
            None => Err(CliError::Usage(format!("{} has no last part: add -o FILE", sanitize::file_name(name)))),
        },
    }
}
