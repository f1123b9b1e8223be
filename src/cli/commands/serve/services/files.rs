//! The files service on the command line.

use clap::builder::PossibleValuesParser;
use switchboard::services::files::{Files, FilesDialect};
use switchboard::{Endpoint, Framing};

use super::args::ServiceArgs;
use super::builtin::{BuiltinService, Culprit, Listeners, MakeResult, PlannedListener, ServiceArgError};
use crate::cli::error::{CliError, without_number};

pub(super) const FILES: BuiltinService = BuiltinService {
    name: "files",
    about: "Serve the regular files below a directory, read-only",
    default_listen: &["127.0.0.1:1111"],
    framing: |args| match dialect(args) {
        FilesDialect::Plain => Framing::Raw,
        FilesDialect::Framed => Framing::U32BE,
    },
    is_default: false,
    supports_udp: false,
    options: &["dialect", "root"],
    refine: |arg| match arg.get_long() {
        Some("dialect") => arg
            .value_parser(PossibleValuesParser::new(FilesDialect::NAMES.map(|(name, _)| name)))
            .help("Protocol dialect of the clients [default: framed]"),
        _ => arg,
    },
    help: "\
Examples:
  switchboard serve files --root public
  switchboard serve files --root public --dialect plain
",
    check,
    make,
    example,
};

fn dialect(args: &ServiceArgs) -> FilesDialect {
    // The command line has checked the name.
    args.dialect.as_deref().and_then(|name| name.parse().ok()).unwrap_or_default()
}

fn check(args: &ServiceArgs, listeners: &Listeners) -> Result<(), ServiceArgError> {
    let dialect = dialect(args);
    if args.files.root.is_none() {
        let text = format!("files needs a directory to serve: add {} DIR", args.spelled("root"));
        return Err(Culprit::Service.usage(text));
    }
    match listeners.iter().enumerate().find(|(_, listener)| !dialect.supports(listener.framing)) {
        Some((index, PlannedListener { endpoint, framing, .. })) => Err(Culprit::Framing(index).usage(format!(
            "{endpoint} cannot use the framing {framing}: {}",
            match dialect {
                FilesDialect::Framed => "the dialect framed needs a length prefix for 1 MiB, such as u32be",
                FilesDialect::Plain => "the dialect plain sends the bytes of a file unframed, so it needs raw",
            }
        ))),
        None => Ok(()),
    }
}

fn make(args: &ServiceArgs) -> MakeResult {
    let root = args.files.root.clone().unwrap_or_default();
    let files = Files::open(&root, dialect(args));
    files.map(|files| (files.options("files"), Box::new(files) as _)).map_err(|error| {
        let (root, option) = (root.display(), args.spelled("root"));
        let error = without_number(&error);
        let text = format!("cannot serve {root}: {error}; {option} must be a directory that this user may read");
        Culprit::Option("root").error(CliError::Failed(text))
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
