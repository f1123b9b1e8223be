//! The log of one room: the first copy received with each id. Entries are released from the front.
//! Only then is the order of each publisher's messages checked, because until then another member
//! may still receive a skipped id.

use std::collections::VecDeque;

use super::message_stamp::MessageStamp;
use super::sequence_tracker::{Arrival, SequenceTracker};

/// The source of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageSource {
    /// A publisher of this run.
    Own(MessageStamp),
    /// Another user of the room.
    Foreign,
    /// Claims to be a publisher of this run, but the text is wrong.
    Corrupt,
}

/// The log of one room.
pub(super) struct RoomLog {
    /// The id of the first entry.
    pub(super) base: u64,
    pub(super) entries: VecDeque<Option<MessageSource>>,
    max_entries: usize,
    /// The first id received by any member, and the end of the range of received ids.
    pub(super) span: Option<(u64, u64)>,
    /// The lowest id of this run's own messages.
    pub(super) first_own_id: Option<u64>,
    /// Ids received with a message of this run, corrupt or not.
    pub(super) own_ids: u64,
    /// Released ids without a correct copy.
    pub(super) lost_ids: u64,
    /// Messages out of their publisher's order, until the checker takes them.
    pub(super) misnumbered: Vec<MessageStamp>,
}

/// The result of the comparison of a copy with the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyComparison {
    Same,
    Differs,
    /// The entry has been released.
    Unknown,
}

impl RoomLog {
    pub(super) fn new(max_entries: usize) -> Self {
        Self {
            base: 0,
            entries: VecDeque::new(),
            max_entries,
            span: None,
            first_own_id: None,
            own_ids: 0,
            lost_ids: 0,
            misnumbered: Vec::new(),
        }
    }

    /// Compares a copy with the first copy of the same id, or stores it if it is the first.
    #[inline]
    pub(super) fn compare(
        &mut self,
        id: u64,
        source: MessageSource,
        publishers: &mut [SequenceTracker],
    ) -> CopyComparison {
        let Some(entry) = self.entry(id, publishers) else { return CopyComparison::Unknown };
        let is_first = match (*entry, source) {
            (None, _) => {
                *entry = Some(source);
                true
            }
            (Some(MessageSource::Corrupt), MessageSource::Own(_)) => {
                *entry = Some(source);
                false
            }
            (Some(first), source) if first == source && source != MessageSource::Corrupt => {
                return CopyComparison::Same;
            }
            _ => return CopyComparison::Differs,
        };
        self.own_ids += u64::from(is_first && source != MessageSource::Foreign);
        if let MessageSource::Own(_) = source {
            self.first_own_id = Some(self.first_own_id.map_or(id, |first| first.min(id)));
        }
        if source == MessageSource::Corrupt { CopyComparison::Differs } else { CopyComparison::Same }
    }

    /// Returns the entry of an id, and creates it if necessary. `None` if the entry has been
    /// released. The log never exceeds `max_entries`, however far the id is beyond the last.
    #[inline]
    fn entry(&mut self, id: u64, publishers: &mut [SequenceTracker]) -> Option<&mut Option<MessageSource>> {
        let (start, end) = *self.span.get_or_insert_with(|| {
            self.base = id;
            (id, id)
        });
        if id < self.base {
            // Entries can be added in front only while none has been released.
            let more = usize::try_from(start - id.min(start))
                .ok()
                .filter(|more| self.base == start && self.entries.len().saturating_add(*more) <= self.max_entries)?;
            (0..more).for_each(|_| self.entries.push_front(None));
            self.base = id;
        } else if id >= self.base.saturating_add(self.max_entries as u64) {
            self.release(id - self.max_entries as u64 + 1, publishers);
        }
        self.span = Some((start.min(id), end.max(id.saturating_add(1))));
        let at = usize::try_from(id - self.base).ok()?;
        if at >= self.entries.len() {
            self.entries.resize(at + 1, None);
        }
        self.entries.get_mut(at)
    }

    /// Releases all entries before `id`, and checks the order of their publishers' messages.
    pub(super) fn release(&mut self, id: u64, publishers: &mut [SequenceTracker]) {
        while self.base < id
            && let Some(entry) = self.entries.pop_front()
        {
            self.base += 1;
            let Some(MessageSource::Own(stamp)) = entry else {
                self.lost_ids += u64::from(entry != Some(MessageSource::Foreign));
                continue;
            };
            let publisher = publishers.get_mut(stamp.publisher as usize);
            let arrival = publisher.map(|sequence| sequence.record(stamp.sequence));
            if let Some(Arrival::Late | Arrival::Repeated) = arrival {
                self.misnumbered.push(stamp);
            }
        }
        if self.entries.is_empty() && self.span.is_some() && id != u64::MAX {
            self.base = self.base.max(id);
        }
    }
}
