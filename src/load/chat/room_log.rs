//! What was first heard under each id of one room. Entries are let go from the front, and only then say whether each publisher's
//! messages have come in the order in which they were said: until then another member may yet fill a hole.

use std::collections::VecDeque;

use super::delivery_checker::MessageSource;
use super::message_stamp::MessageStamp;
use super::sequence_tracker::{Arrival, SequenceTracker};

/// One room's.
pub(super) struct RoomLog {
    /// The id of the first entry.
    pub(super) base: u64,
    pub(super) entries: VecDeque<Option<MessageSource>>,
    max_entries: usize,
    /// From the first id that came to anybody to behind the last.
    pub(super) span: Option<(u64, u64)>,
    /// The lowest id of the run's own messages.
    pub(super) first_ours: Option<u64>,
    /// Ids under which one of the run's own messages came, spoiled or not.
    pub(super) known: u64,
    /// Ids let go under which nothing whole had come.
    pub(super) lost: u64,
    /// Messages whose ids are not in the order in which their publisher said them, since they were last asked for.
    pub(super) misnumbered: Vec<MessageStamp>,
}

/// A member's copy beside the first that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    Same,
    Differs,
    /// The first was let go.
    Unknown,
}

impl RoomLog {
    pub(super) fn new(max_entries: usize) -> Self {
        Self {
            base: 0,
            entries: VecDeque::new(),
            max_entries,
            span: None,
            first_ours: None,
            known: 0,
            lost: 0,
            misnumbered: Vec::new(),
        }
    }

    /// Compares what came under an id with what came first under it, or keeps it if it is the first.
    #[inline]
    pub(super) fn compare(&mut self, id: u64, said: MessageSource, publishers: &mut [SequenceTracker]) -> Compared {
        let Some(entry) = self.entry(id, publishers) else { return Compared::Unknown };
        let first = match (*entry, said) {
            (None, _) => {
                *entry = Some(said);
                true
            }
            (Some(MessageSource::Spoiled), MessageSource::Ours(_)) => {
                *entry = Some(said);
                false
            }
            (Some(first), said) if first == said && said != MessageSource::Spoiled => return Compared::Same,
            _ => return Compared::Differs,
        };
        self.known += u64::from(first && said != MessageSource::Foreign);
        if let MessageSource::Ours(_) = said {
            self.first_ours = Some(self.first_ours.map_or(id, |first| first.min(id)));
        }
        if said == MessageSource::Spoiled { Compared::Differs } else { Compared::Same }
    }

    /// The entry of an id, made if there is none yet. An id far beyond the last costs no more memory than any other.
    #[inline]
    fn entry(&mut self, id: u64, publishers: &mut [SequenceTracker]) -> Option<&mut Option<MessageSource>> {
        let (start, end) = *self.span.get_or_insert_with(|| {
            self.base = id;
            (id, id)
        });
        if id < self.base {
            // Nothing that came was let go yet, so this is before all of it.
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

    /// Lets go of all entries before `id`.
    pub(super) fn release(&mut self, id: u64, publishers: &mut [SequenceTracker]) {
        while self.base < id
            && let Some(entry) = self.entries.pop_front()
        {
            self.base += 1;
            let Some(MessageSource::Ours(stamp)) = entry else {
                self.lost += u64::from(entry != Some(MessageSource::Foreign));
                continue;
            };
            let place = publishers.get_mut(stamp.publisher as usize).map(|sequence| sequence.take(stamp.sequence));
            if let Some(Arrival::Late | Arrival::Again) = place {
                self.misnumbered.push(stamp);
            }
        }
        if self.entries.is_empty() && self.span.is_some() && id != u64::MAX {
            self.base = self.base.max(id);
        }
    }
}
