//! Latencies as an HdrHistogram interval log (V2, compressed), the format of the HdrHistogram
//! tools.
//!
//! The message latency is the interval without a tag, because the tools show that interval by
//! default. The delay of the generator has the tag `send-lag`, the duration of a connect `connect`,
//! and that of a join `join`. All values are nanoseconds, except the log's own column of maxima,
//! which has milliseconds in every such log.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

/// Nanoseconds per millisecond.
const MAX_DIVISOR: f64 = 1e6;

/// A histogram and its tag. The message latency has no tag.
pub(super) type Interval<'a> = (&'a Histogram<u64>, Option<&'static str>);

/// Returns the whole log. `command` goes into a comment. `began` and `elapsed` are the start and
/// the length of the measured time.
pub(super) fn log(
    intervals: [Interval<'_>; 3],
    elapsed: Duration,
    command: &str,
    began: SystemTime,
) -> Result<Vec<u8>, String> {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Histogram log format version 1.3]").add_comment("[Values are nanoseconds]");
    for line in command.lines() {
        builder.add_comment(&format!("[{line}]"));
    }
    builder.with_start_time(began).with_base_time(began).with_max_value_divisor(MAX_DIVISOR);
    let mut writer = builder.begin_log_with(&mut log, &mut serializer).map_err(|error| error.to_string())?;
    for (values, tag) in intervals {
        // Always write the interval without a tag, because the tools reject a log without
        // intervals.
        if tag.is_none() || !values.is_empty() {
            let written = writer.write_histogram(values, Duration::ZERO, elapsed, tag.and_then(Tag::new));
            written.map_err(|error| format!("{error:?}"))?;
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
