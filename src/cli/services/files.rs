//! Files on the command line.

use std::path::PathBuf;

use switchboard::Framing;

use super::Builtin;
use crate::cli::failure::Failure;

pub(super) const FILES: Builtin = Builtin {
    name: "files",
    about: "serves the regular files below a directory, read-only",
    listens: &["127.0.0.1:1111"],
    framing: |wishes| if wishes.dialect.as_deref() == Some("plain") { Framing::Raw } else { Framing::U32BE },
    by_itself: false,
    datagrams: false,
    headings: &["Files", "Files and exec"],
    check: super::anything,
    make: |_| Err(Failure::Failed("not there yet".to_owned())),
    tries: |_, _, _| None,
};

/// Flags for files alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Files")]
pub(super) struct FilesArgs {
    /// Serve the files below this directory; files has to have one
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}
