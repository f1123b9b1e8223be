//! Exec on the command line.

use std::path::PathBuf;

use switchboard::Framing;

use super::Builtin;
use crate::cli::failure::Failure;
use crate::cli::units::Span;

pub(super) const EXEC: Builtin = Builtin {
    name: "exec",
    about: "runs allowed commands, without a shell",
    listens: &["127.0.0.1:8086"],
    framing: |_| Framing::Raw,
    by_itself: false,
    datagrams: false,
    headings: &["Exec", "Files and exec"],
    check: super::anything,
    make: |_| Err(Failure::Failed("not there yet".to_owned())),
    tries: |_, _, _| None,
};

/// Flags for exec alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Exec")]
pub(super) struct ExecArgs {
    /// A program that may be run; may be repeated
    #[arg(long, value_name = "PROGRAM")]
    allow: Vec<String>,
    /// Hand each line to /bin/sh -c; loopback only
    #[arg(long)]
    shell: bool,
    /// A file that holds what clients have to say first; needed beyond loopback
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How long a command may run before it and what it has started are killed [default: 10s]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// Commands that may run at once; others wait [default: 4]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}
