//! What was typed after `get`.

use std::path::PathBuf;

use switchboard::client::http::{FetchOptions, RequestHeader};

use crate::cli::units::{HumanDuration, Size};

#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("get.txt"))]
pub(in crate::cli) struct GetArgs {
    /// What to fetch, as in 127.0.0.1:8000/index.html; without a scheme it is http
    pub(super) url: String,
    /// Write to FILE, which appears when it is whole; '-' is standard output [default: -]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Write to a file named as the last part of the URL's path
    #[arg(short = 'O', long, conflicts_with = "output")]
    pub(super) remote_name: bool,
    /// Write the head of the answer before its body
    #[arg(short, long)]
    pub(super) include: bool,
    /// Print one JSON object about the answer on standard output; its body must go to a file
    #[arg(long, conflicts_with = "include")]
    pub(super) json: bool,
    /// Send this header field, too, or instead of get's own of that name; may be repeated
    ///
    /// Authorization, Cookie and Host are sent to the server of the URL, and to no other that it sends us to.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(super) headers: Vec<RequestHeader>,
    #[command(flatten)]
    pub(super) limits: GetLimits,
}

/// How long it may take and how much it may be.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(in crate::cli) struct GetLimits {
    /// Give up when it is not all there after TIME; 0 for none
    #[arg(long, value_name = "TIME", default_value = "5min")]
    timeout: HumanDuration,
    /// Give up on a server whose name is not found and that is not connected after TIME; 0 for none
    #[arg(long, value_name = "TIME", default_value = "10s")]
    connect_timeout: HumanDuration,
    /// Give up when nothing has come for TIME; 0 for none
    #[arg(long, value_name = "TIME", default_value = "30s")]
    stall_timeout: HumanDuration,
    /// Refuse a body of more than SIZE; 0 for none
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    max_bytes: Size,
    /// Go where the server sends us at most N times
    #[arg(long, value_name = "N", default_value_t = 5)]
    max_redirects: u32,
}

impl GetLimits {
    /// What they mean.
    pub(super) fn plan(&self, headers: Vec<RequestHeader>) -> FetchOptions {
        let limit = |span: HumanDuration| Some(span.0).filter(|length| !length.is_zero());
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
    struct Typed {
        #[command(flatten)]
        get: GetArgs,
    }

    #[test]
    fn the_program_has_the_librarys_limits() {
        let typed = Typed::parse_from(["get", "h/"]).get.limits.plan(Vec::new());
        assert_eq!(format!("{typed:?}"), format!("{:?}", FetchOptions::default()));
    }

    #[test]
    fn zero_is_no_limit() {
        let words = ["get", "h/", "--timeout", "0", "--connect-timeout=0", "--stall-timeout=0s", "--max-bytes", "0"];
        let plan = Typed::parse_from(words).get.limits.plan(Vec::new());
        assert_eq!((plan.timeout, plan.connect_timeout, plan.stall_timeout, plan.max_bytes), (None, None, None, None));
    }
}
