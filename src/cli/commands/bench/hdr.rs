//! Latencies as an HdrHistogram interval log (V2, compressed), the format of the HdrHistogram
//! tools.
//!
//! The message latency is the interval without a tag, because the tools show that interval by
//! default. The delay of the generator has the tag `send-lag`, the duration of a connect `connect`,
//! and that of a join `join`. All values are nanoseconds, except the log's own column of maxima,
//! which has milliseconds in every such log.

use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::run::RunHistograms;
use crate::cli::error::CliError;

/// Nanoseconds per millisecond.
const MAX_DIVISOR: f64 = 1e6;

/// Returns the whole log. `command` goes into a comment. `connect` is the tag of the connects.
pub(super) fn log(run: &RunHistograms, connect: &'static str, command: &str) -> Result<Vec<u8>, CliError> {
    let error = |cause: String| CliError::Failed(format!("cannot write the latency log: {cause}"));
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Histogram log format version 1.3]").add_comment("[Values are nanoseconds]");
    for line in command.lines() {
        builder.add_comment(&format!("[{line}]"));
    }
    builder.with_start_time(run.began_at).with_base_time(run.began_at).with_max_value_divisor(MAX_DIVISOR);
    let mut writer = builder.begin_log_with(&mut log, &mut serializer).map_err(|cause| error(cause.to_string()))?;
    for (values, tag) in [(&run.latency, None), (&run.connects, Some(connect)), (&run.send_lag, Some("send-lag"))] {
        // Always write the interval without a tag, because the tools reject a log without
        // intervals.
        if tag.is_none() || !values.is_empty() {
            let written = writer.write_histogram(values, Duration::ZERO, run.elapsed, tag.and_then(Tag::new));
            written.map_err(|cause| error(format!("{cause:?}")))?;
        }
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_tag_is_valid_in_a_log() {
        for tag in ["connect", "join", "send-lag"] {
            assert!(hdrhistogram::serialization::interval_log::Tag::new(tag).is_some());
        }
    }
}
