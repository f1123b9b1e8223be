//! The arguments of `call files`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueHint};
use switchboard::services::files::FilesDialect;
use switchboard::{Framing, TextEncoding};

use crate::cli::named_value::one_of;
use crate::cli::units::HumanDuration;

#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("files.txt"))]
pub(in crate::cli) struct CallFilesArgs {
    /// The server's address
    ///
    /// host:port, [v6]:port or unix:PATH.
    #[arg(value_name = "ADDR")]
    pub(super) address: String,
    /// The protocol of the server [default: framed]
    #[arg(long, value_name = "NAME", global = true, value_parser = one_of(FilesDialect::NAMES))]
    pub(super) dialect: Option<FilesDialect>,
    /// The framing of the stream; under plain only of the file name: raw or lines [default: u32be,
    /// raw]
    #[arg(long, value_name = "NAME", global = true)]
    pub(super) framing: Option<Framing>,
    /// The encoding of the file's name under plain, such as gbk [default: utf-8]
    ///
    /// A label of the WHATWG Encoding Standard. Under framed, names are always UTF-8. The file's
    /// content is never converted.
    #[arg(long, value_name = "LABEL", global = true)]
    pub(super) encoding: Option<TextEncoding>,
    /// Fail if no data arrives for TIME; 0: no limit
    ///
    /// The start of a reply may take ten times as long, because a server first reads a whole file
    /// for its checksum.
    #[arg(long, value_name = "TIME", global = true, default_value_t = HumanDuration(Duration::from_secs(30)))]
    pub(super) timeout: HumanDuration,
    #[command(subcommand)]
    pub(super) command: CallFilesCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum CallFilesCommand {
    /// List the files of the server
    #[command(after_long_help = include_str!("list.txt"))]
    List {
        /// Only files below this directory
        #[arg(value_name = "DIR", default_value = "", value_hint = ValueHint::Other)]
        directory: String,
        /// Print the server's reply unchanged
        #[arg(long)]
        json: bool,
    },
    /// Get a file
    ///
    /// The file replaces an existing one when it is complete. Until then it is beside it as
    /// NAME.HASH.part, which the next run resumes. The hash is that of the server's address and the
    /// names, so no other file has this name. A long NAME is cut in it.
    #[command(after_long_help = include_str!("get.txt"))]
    Get {
        /// The file's name, as in the list
        #[arg(value_name = "NAME")]
        name: OsString,
        /// Write to FILE; '-' is standard output [default: the name's last part, in this directory]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Do not replace an existing file; exit with 1
        #[arg(short, long)]
        no_clobber: bool,
    },
}
