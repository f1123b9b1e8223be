//! Limits that a started server needs, so that the load does not exceed one of its defaults.

use switchboard::Limits;
use switchboard::load::Activity;

/// Largest value of `--max-connections` that `serve` accepts.
pub(in crate::cli) const MAX_CONNECTIONS: usize = 1_000_000;
/// Upper bounds for the limits passed to the server, so that they still protect its memory.
const MAX_WRITE_BUFFER_BYTES: usize = 64 << 20;
const MAX_BUFFERED_BYTES: usize = 16 << 30;
/// Buffer space per frame: one copy received and one in the reply, each in a buffer that grows by
/// doubling.
const COPIES: usize = 4;

/// The largest demand of a load on a server at one time.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct LoadRequirements {
    pub(in crate::cli) connections: usize,
    /// Messages in flight on each connection.
    pub(in crate::cli) in_flight: usize,
    /// Size of the largest payload.
    pub(in crate::cli) frame_bytes: usize,
}

impl LoadRequirements {
    /// Returns the messages in flight on each connection. For an open loop, which does not wait for
    /// replies, it is an estimate.
    pub(in crate::cli) fn in_flight_estimate(activity: Activity) -> usize {
        match activity {
            Activity::Closed { in_flight } => in_flight,
            Activity::Open { .. } => 4,
            _ => 1,
        }
    }

    /// Returns arguments of `serve` for the limits whose defaults are too small.
    pub(in crate::cli) fn options(self) -> Vec<String> {
        let Self { connections, in_flight, frame_bytes } = self;
        let limits = Limits::default();
        let each = COPIES.saturating_mul(in_flight).saturating_mul(frame_bytes);
        // The server requires room for two frames.
        let write_buffer = each.min(MAX_WRITE_BUFFER_BYTES).max(frame_bytes.saturating_mul(2));
        let buffered = each.saturating_mul(connections).min(MAX_BUFFERED_BYTES).max(frame_bytes.saturating_mul(COPIES));
        let needs = [
            ("--max-connections", connections.min(MAX_CONNECTIONS), limits.max_connections),
            ("--max-frame-bytes", frame_bytes, limits.max_frame_bytes),
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

    fn options(connections: usize, in_flight: usize, frame_bytes: usize) -> String {
        LoadRequirements { connections, in_flight, frame_bytes }.options().join(" ")
    }

    #[test]
    fn small_load_needs_no_options() {
        assert_eq!(options(100_000, 1, 64), "");
        assert_eq!(options(1_000, 16, 4096), "");
    }

    #[test]
    fn many_large_frames_raise_the_buffer_limits() {
        // 1,000 times 512 KiB exceeds the default of 256 MiB for all connections.
        assert_eq!(options(1_000, 1, 512 << 10), "--max-write-buffer-bytes 2097152 --max-buffered-bytes 2097152000");
    }

    #[test]
    fn raised_limits_stay_bounded() {
        let huge = "--max-connections 1000000 --max-frame-bytes 104857600 --max-write-buffer-bytes 209715200 \
                    --max-buffered-bytes 17179869184";
        assert_eq!(options(2_000_000, usize::MAX, 100 << 20), huge);
    }
}
