//! Latencies as an HdrHistogram interval log (V2, compressed), which the tools around HdrHistogram read.
//!
//! The latency of messages is the interval without a tag, because that is the one at which those tools look unasked. How late the
//! generator sent is tagged `send-lag`, and how long connecting took `connect`, or joining `join`. All values are nanoseconds; the
//! log's own column of maxima has milliseconds, as it has in every such log.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

/// Nanoseconds of a millisecond.
const MAX_DIVISOR: f64 = 1e6;

/// What was measured, and what it is called; the latency of messages has no name.
pub(super) type Interval<'a> = (&'a Histogram<u64>, Option<&'static str>);

/// The whole log. `command` is what measured it, and `began` when the measured time did, which was `elapsed` long.
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
        // The first is there in any case, so that a log is never without an interval.
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
    fn the_tags_are_ones_that_a_log_may_have() {
        for tag in ["connect", "join", "send-lag"] {
            assert!(hdrhistogram::serialization::interval_log::Tag::new(tag).is_some());
        }
    }
}
