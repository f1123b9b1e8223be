//! The id of a batch of messages, and the messages that it stands for.

use super::ids::RoomId;
use crate::service::BatchId;

/// The messages of one batch. A batch id encodes them in 64 bits: 16 for the room, 12 for the
/// count, 36 for the first id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageRange {
    pub(super) room: RoomId,
    pub(super) first: u64,
    pub(super) count: u64,
}

/// The batch id of a whisper, which has no message id. It encodes no existing room.
pub(super) const WHISPER: BatchId = BatchId(u64::MAX);

impl From<BatchId> for MessageRange {
    fn from(BatchId(bits): BatchId) -> Self {
        let room = RoomId(u16::try_from(bits >> 48).unwrap_or_default());
        Self { room, count: (bits >> 36) & 0xfff, first: bits & 0xf_ffff_ffff }
    }
}

impl From<MessageRange> for BatchId {
    fn from(MessageRange { room, first, count }: MessageRange) -> Self {
        Self(u64::from(room.0) << 48 | (count & 0xfff) << 36 | (first & 0xf_ffff_ffff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_id_round_trips_to_its_message_range() {
        for range in [
            MessageRange { room: RoomId(0), first: 1, count: 1 },
            MessageRange { room: RoomId(u16::MAX), first: (1 << 36) - 1, count: 4095 },
        ] {
            assert_eq!(MessageRange::from(BatchId::from(range)), range);
        }
    }
}
