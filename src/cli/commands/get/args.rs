//! The arguments of `get`.

use std::path::PathBuf;

use switchboard::client::http::{FetchOptions, RequestHeader};

use crate::cli::units::{HumanDuration, Size};

#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("get.txt"))]
pub(in crate::cli) struct GetArgs {
    /// The URL, as in 127.0.0.1:8000/index.html; the default scheme is http
    pub(super) url: String,
    /// Write to FILE, which appears when it is complete; '-' is standard output [default: -]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Write to a file named after the last part of the URL's path
    #[arg(short = 'O', long, conflicts_with = "output")]
    pub(super) remote_name: bool,
    /// Write the response head before the body
    #[arg(short, long)]
    pub(super) include: bool,
    /// Print one JSON object about the response on standard output; the body must go to a file
    #[arg(long, conflicts_with = "include")]
    pub(super) json: bool,
    /// Send this header field; it replaces get's own field of that name; may be repeated
    ///
    /// Authorization, Cookie and Host are sent only to the server in the URL, not to a server that
    /// it redirects to.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(super) headers: Vec<RequestHeader>,
    #[command(flatten)]
    pub(super) limits: GetLimits,
}

/// The limits on the time and the size of one fetch.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(in crate::cli) struct GetLimits {
    /// Fail if the response is incomplete after TIME; 0: no limit
    #[arg(long, value_name = "TIME", default_value = "5min")]
    timeout: HumanDuration,
    /// Fail if the server's name is not resolved and connected within TIME; 0: no limit
    #[arg(long, value_name = "TIME", default_value = "10s")]
    connect_timeout: HumanDuration,
    /// Fail if no data arrives for TIME; 0: no limit
    #[arg(long, value_name = "TIME", default_value = "30s")]
    stall_timeout: HumanDuration,
    /// Fail if the body is larger than SIZE; 0: no limit
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    max_bytes: Size,
    /// Follow at most N redirects
    #[arg(long, value_name = "N", default_value_t = 5)]
    max_redirects: u32,
}

impl GetLimits {
    /// Returns the library's options for these limits and `headers`.
    pub(super) fn fetch_options(&self, headers: Vec<RequestHeader>) -> FetchOptions {
        let limit = |span: HumanDuration| Some(span.0).filter(|duration| !duration.is_zero());
        FetchOptions {
            timeout: limit(self.timeout),
            connect_timeout: limit(self.connect_timeout),
            stall_timeout: limit(self.stall_timeout),
            max_bytes: Some(self.max_bytes.0 as u64).filter(|bytes| *bytes > 0),
            max_redirects: self.max_redirects,
            headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct GetCommand {
        #[command(flatten)]
        args: GetArgs,
    }

    #[test]
    fn default_limits_equal_the_library_defaults() {
        let options = GetCommand::parse_from(["get", "h/"]).args.limits.fetch_options(Vec::new());
        assert_eq!(format!("{options:?}"), format!("{:?}", FetchOptions::default()));
    }

    #[test]
    fn zero_means_no_limit() {
        let words = ["get", "h/", "--timeout", "0", "--connect-timeout=0", "--stall-timeout=0s", "--max-bytes", "0"];
        let options = GetCommand::parse_from(words).args.limits.fetch_options(Vec::new());
        assert_eq!(
            (options.timeout, options.connect_timeout, options.stall_timeout, options.max_bytes),
            (None, None, None, None)
        );
    }
}
