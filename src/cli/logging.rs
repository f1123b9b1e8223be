//! The log, on standard error.

use std::io;

use env_logger::{Builder, WriteStyle};
use log::LevelFilter;

use super::terminal::capabilities::has_colors;

/// Starts the log at `level`. A non-empty `RUST_LOG` overrides it.
pub(in crate::cli) fn start(level: LevelFilter) {
    let mut builder = Builder::new();
    match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => builder.parse_filters(&filter),
        _ => builder.filter_level(level),
    };
    builder.write_style(if has_colors(&io::stderr()) { WriteStyle::Always } else { WriteStyle::Never });
    // A message names its connection or service. The module that logged it is of no use to an
    // operator.
    builder.format_target(false).format_timestamp_millis().init();
}
