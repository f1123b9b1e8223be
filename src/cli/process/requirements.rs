//! What a server that is started has to be told, so that a load does not meet a limit that the measurement is not about.

use switchboard::Limits;
use switchboard::load::Activity;

/// The most that `serve` accepts.
pub(in crate::cli) const MAX_CONNECTIONS: usize = 1_000_000;
/// Beyond these a limit would be none: what one peer, and all of them, may make a server hold.
const MAX_WRITE_BUFFER_BYTES: usize = 64 << 20;
const MAX_BUFFERED_BYTES: usize = 16 << 30;
/// A frame may be held twice, as it came and as its reply; buffers grow by doubling.
const COPIES: usize = 4;

/// What a load may ask of a server at once.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct LoadRequirements {
    pub(in crate::cli) connections: usize,
    /// Messages under way on each.
    pub(in crate::cli) in_flight: usize,
    /// The largest payload.
    pub(in crate::cli) frame_bytes: usize,
}

impl LoadRequirements {
    /// Messages under way on each connection. An open loop waits for nobody, so there it is a guess.
    pub(in crate::cli) fn in_flight_estimate(activity: Activity) -> usize {
        match activity {
            Activity::Closed { in_flight } => in_flight,
            Activity::Open { .. } => 4,
            _ => 1,
        }
    }

    /// Arguments of `serve`; none where its defaults will do.
    pub(in crate::cli) fn options(self) -> Vec<String> {
        let Self { connections, in_flight, frame_bytes } = self;
        let limits = Limits::default();
        let each = COPIES.saturating_mul(in_flight).saturating_mul(frame_bytes);
        // Two frames have to fit, however large one is.
        let write_buffer = each.min(MAX_WRITE_BUFFER_BYTES).max(frame_bytes.saturating_mul(2));
        let buffered = each.saturating_mul(connections).min(MAX_BUFFERED_BYTES).max(frame_bytes.saturating_mul(COPIES));
        let needs = [
            ("--max-connections", connections.min(MAX_CONNECTIONS), limits.max_connections),
            ("--max-frame-bytes", frame_bytes, limits.max_frame_bytes),
            ("--max-write-buffer-bytes", write_buffer, limits.max_write_buffer_bytes),
            ("--max-buffered-bytes", buffered, limits.max_buffered_bytes),
        ];
        let beyond = needs.into_iter().filter(|(_, needed, default)| needed > default);
        beyond.flat_map(|(flag, needed, _)| [flag.to_owned(), needed.to_string()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(connections: usize, in_flight: usize, frame_bytes: usize) -> String {
        LoadRequirements { connections, in_flight, frame_bytes }.options().join(" ")
    }

    #[test]
    fn a_load_within_the_defaults_changes_none() {
        assert_eq!(options(100_000, 1, 64), "");
        assert_eq!(options(1_000, 16, 4096), "");
    }

    #[test]
    fn many_large_frames_have_room_though_each_is_within_the_limit() {
        // A thousand times 512 KiB is more than the 256 MiB that all connections may hold by default.
        assert_eq!(options(1_000, 1, 512 << 10), "--max-write-buffer-bytes 2097152 --max-buffered-bytes 2097152000");
    }

    #[test]
    fn no_limit_is_raised_beyond_sense() {
        let huge = "--max-connections 1000000 --max-frame-bytes 104857600 --max-write-buffer-bytes 209715200 \
                    --max-buffered-bytes 17179869184";
        assert_eq!(options(2_000_000, usize::MAX, 100 << 20), huge);
    }
}
