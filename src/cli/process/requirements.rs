//! The `serve` limits that a spawned server needs for a load that exceeds the defaults.

use switchboard::Limits;
use switchboard::load::Activity;

/// Upper bounds of the derived limits. A payload that needs more raises them further.
const MAX_WRITE_BUFFER_BYTES: usize = 64 << 20;
const MAX_BUFFERED_BYTES: usize = 16 << 30;
/// Two for the received payload and two for its reply: each buffer grows by doubling, so it may
/// hold twice its content.
const BUFFER_BYTES_PER_PAYLOAD_BYTE: usize = 4;
/// Estimated messages in flight on each connection of an open loop. It sends without waiting for
/// replies, so a slow reply leaves a few messages in flight.
const OPEN_LOOP_IN_FLIGHT: usize = 4;

/// Peak requirements of a load.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct LoadRequirements {
    pub(in crate::cli) connections: usize,
    /// Messages in flight on each connection.
    pub(in crate::cli) in_flight: usize,
    /// Bytes of the largest payload.
    pub(in crate::cli) max_payload_bytes: usize,
}

impl LoadRequirements {
    /// Returns the messages in flight on each connection. For an open loop, which does not wait for
    /// replies, it is an estimate.
    pub(in crate::cli) fn in_flight_estimate(activity: Activity) -> usize {
        match activity {
            Activity::Closed { in_flight } => in_flight,
            Activity::Open { .. } => OPEN_LOOP_IN_FLIGHT,
            _ => 1,
        }
    }

    /// Returns the `serve` arguments for the limits whose defaults are too small.
    pub(in crate::cli) fn serve_args(self) -> Vec<String> {
        let Self { connections, in_flight, max_payload_bytes } = self;
        let limits = Limits::default();
        let each = BUFFER_BYTES_PER_PAYLOAD_BYTE.saturating_mul(in_flight).saturating_mul(max_payload_bytes);
        // High water is half of this limit. Twice the payload keeps one queued reply at or near
        // high water.
        let write_buffer = each.min(MAX_WRITE_BUFFER_BYTES).max(max_payload_bytes.saturating_mul(2));
        let buffered = each
            .saturating_mul(connections)
            .min(MAX_BUFFERED_BYTES)
            .max(max_payload_bytes.saturating_mul(BUFFER_BYTES_PER_PAYLOAD_BYTE));
        let needs = [
            ("--max-connections", connections.min(Limits::MAX_CONNECTIONS), limits.max_connections),
            ("--max-frame-bytes", max_payload_bytes, limits.max_frame_bytes),
            ("--max-write-buffer-bytes", write_buffer, limits.max_write_buffer_bytes),
            ("--max-buffered-bytes", buffered, limits.max_buffered_bytes),
        ];
        let exceeded = needs.into_iter().filter(|(_, needed, default)| needed > default);
        exceeded.flat_map(|(flag, needed, _)| [flag.to_owned(), needed.to_string()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve_args(connections: usize, in_flight: usize, max_payload_bytes: usize) -> String {
        LoadRequirements { connections, in_flight, max_payload_bytes }.serve_args().join(" ")
    }

    #[test]
    fn small_load_needs_no_arguments() {
        assert_eq!(serve_args(100_000, 1, 64), "");
        assert_eq!(serve_args(1_000, 16, 4096), "");
    }

    #[test]
    fn many_large_frames_raise_the_buffer_limits() {
        // 1,000 times 512 KiB exceeds the default of 256 MiB for all connections.
        assert_eq!(serve_args(1_000, 1, 512 << 10), "--max-write-buffer-bytes 2097152 --max-buffered-bytes 2097152000");
    }

    #[test]
    fn huge_load_is_capped_except_for_one_payload() {
        let huge = "--max-connections 1000000 --max-frame-bytes 104857600 --max-write-buffer-bytes 209715200 \
                    --max-buffered-bytes 17179869184";
        assert_eq!(serve_args(2_000_000, usize::MAX, 100 << 20), huge);
    }
}
