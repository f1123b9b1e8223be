//! The log, on standard error.

use env_logger::Builder;
use log::LevelFilter;

/// Starts to log from `level` up, or as `RUST_LOG` says when it says anything.
pub(in crate::cli) fn start(level: LevelFilter) {
    let mut builder = Builder::new();
    match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => builder.parse_filters(&filter),
        _ => builder.filter_level(level),
    };
    // The line says who did what; the module that noticed it is of no use to an operator.
    builder.format_target(false).format_timestamp_millis().init();
}
