//! The parts that every download shares: the output file and the progress bar.
//!
//! This module must not know a protocol. Invariant: a file at its final path is complete, and the
//! previous file stays there until then.

mod output_file;
mod progress;

pub(super) use output_file::{DownloadSource, OutputError, OutputFile};
pub(super) use progress::TransferProgress;
