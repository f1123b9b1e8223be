//! The files service on the command line.

use switchboard::services::files::{Files, FilesDialect};
use switchboard::{Endpoint, Framing};

use super::args::ServiceArgs;
use super::builtin::{BuiltinService, Listeners, MadeService};
use crate::cli::error::CliError;

pub(super) const FILES: BuiltinService = BuiltinService {
    name: "files",
    about: "serves the regular files below a directory, read-only",
    default_listen: &["127.0.0.1:1111"],
    framing: |args| match dialect(args) {
        Ok(FilesDialect::Plain) => Framing::Raw,
        _ => Framing::U32BE,
    },
    is_default: false,
    supports_udp: false,
    headings: &["Files", "Files and exec"],
    check,
    make,
    example,
};

fn dialect(args: &ServiceArgs) -> Result<FilesDialect, CliError> {
    match args.dialect.as_deref() {
        None => Ok(FilesDialect::default()),
        Some(name) => name.parse().map_err(|_| {
            CliError::Usage(format!("--dialect {name} is not a dialect of files: choose framed or plain"))
        }),
    }
}

fn check(args: &ServiceArgs, listeners: &Listeners) -> Result<(), CliError> {
    let dialect = dialect(args)?;
    if args.files.root.is_none() {
        return Err(CliError::Usage("files needs a directory to serve: add --root DIR".to_owned()));
    }
    match listeners.iter().find(|(_, framing)| !dialect.supports(*framing)) {
        Some((endpoint, framing)) => Err(CliError::Usage(format!(
            "{endpoint} cannot use the framing {framing}: {}",
            match dialect {
                FilesDialect::Framed => "the dialect framed needs a length prefix for 1 MiB, such as u32be",
                FilesDialect::Plain => "the dialect plain sends the bytes of a file unframed, so it needs raw",
            }
        ))),
        None => Ok(()),
    }
}

fn make(args: &ServiceArgs) -> Result<MadeService, CliError> {
    let root = args.files.root.clone().unwrap_or_default();
    let files = Files::open(&root, dialect(args)?);
    files.map(|files| (files.options("files"), Box::new(files) as _)).map_err(|error| {
        let root = root.display();
        let error = error.to_string();
        let error = error.split(" (os error").next().unwrap_or_default();
        CliError::Failed(format!("cannot serve {root}: {error}; --root must be a directory that this user may read"))
    })
}

/// Returns a command that lists the files. The dialect plain has no list request, and no file name
/// is known here.
fn example(_: &ServiceArgs, _: &Endpoint, framing: Framing) -> Option<String> {
    match framing {
        Framing::Raw => None,
        Framing::U32BE => Some("PROGRAM call files ADDR list".to_owned()),
        other => Some(format!("PROGRAM call files ADDR --framing {other} list")),
    }
}
