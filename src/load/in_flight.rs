//! What one connection has sent and not been answered, and what an answer is worth.
//!
//! Each message ends in exactly one way: answered rightly, answered wrongly, answered late, or lost. An answer belongs to a message
//! if it is that message's image; what is nobody's image is taken for a spoiled answer to the oldest. A lost message is remembered
//! until it is answered after all or forgotten, so that how long it was waited for is known once, and as late as can be. Knows
//! neither socket nor clock.

use std::collections::VecDeque;

use super::templates::Templates;

/// Lost messages of one connection that are remembered, so that an answer that comes after all is not taken for a second one.
const MAX_REMEMBERED: usize = 4096;

/// How many answered messages are compared with an answer that names its message in part only.
const MAX_LOOKED_BACK: usize = 4;

/// A message under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SentMessage {
    /// When it should have been sent.
    pub(super) due_ns: u64,
    /// When it was.
    pub(super) sent_ns: u64,
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerVerdict {
    /// As it must be, and in its turn.
    Right(SentMessage),
    /// As it must be, and after a later message's.
    Reordered(SentMessage),
    /// Of a message that was answered before.
    Duplicated,
    /// Of a message that was given up.
    Late(SentMessage),
    /// Nobody's.
    Corrupted,
}

/// Messages of one connection.
#[derive(Debug)]
pub(super) struct InFlight {
    connection: u32,
    /// Number of the first that waits.
    oldest: u32,
    waiting: VecDeque<SentMessage>,
    strays: Option<Box<OutOfOrder>>,
}

/// What only a server at fault makes necessary.
#[derive(Debug, Default)]
struct OutOfOrder {
    /// Not answered although later ones were.
    overtaken: Vec<(u32, SentMessage)>,
    lost: VecDeque<(u32, SentMessage)>,
}

impl InFlight {
    pub(super) fn new(connection: u32) -> Self {
        Self { connection, oldest: 0, waiting: VecDeque::new(), strays: None }
    }

    pub(super) fn connection(&self) -> u32 {
        self.connection
    }

    /// The number that the next message will have; so many have been sent.
    #[inline]
    pub(super) fn next(&self) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "numbers wrap")]
        self.oldest.wrapping_add(self.waiting.len() as u32)
    }

    /// Messages that may still be answered in their turn.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The message whose turn it is.
    #[inline]
    pub(super) fn oldest(&self) -> Option<u32> {
        (!self.waiting.is_empty()).then_some(self.oldest)
    }

    /// Whether everything sent is accounted for.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.strays.as_ref().is_none_or(|strays| strays.overtaken.is_empty())
    }

    /// All that has not been answered.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = &SentMessage> {
        let overtaken = self.strays.iter().flat_map(|strays| &strays.overtaken);
        self.waiting.iter().chain(overtaken.map(|(_, sent)| sent))
    }

    /// Lost messages that are remembered.
    pub(super) fn given_up(&self) -> impl Iterator<Item = &SentMessage> {
        self.strays.iter().flat_map(|strays| &strays.lost).map(|(_, sent)| sent)
    }

    #[inline]
    pub(super) fn send(&mut self, sent: SentMessage) {
        self.waiting.push_back(sent);
    }

    #[inline]
    pub(super) fn answer(&mut self, payload: &[u8], templates: &Templates) -> AnswerVerdict {
        if let Some(sent) = self.waiting.front()
            && templates.payload(self.connection, self.oldest).is(payload)
        {
            let sent = *sent;
            self.pop();
            return AnswerVerdict::Right(sent);
        }
        self.answer_out_of_turn(payload, templates)
    }

    fn pop(&mut self) -> Option<(u32, SentMessage)> {
        let sent = self.waiting.pop_front()?;
        let number = self.oldest;
        self.oldest = self.oldest.wrapping_add(1);
        Some((number, sent))
    }

    #[cold]
    fn answer_out_of_turn(&mut self, payload: &[u8], templates: &Templates) -> AnswerVerdict {
        let Some(claim) = templates.claim(self.connection, payload) else { return self.corrupted() };
        let is = |number: &u32| templates.payload(self.connection, *number).is(payload);
        if let Some(number) = self.ahead(claim).find(is) {
            return self.overtake(number);
        }
        if let Some(strays) = &mut self.strays {
            if let Some(at) = strays.overtaken.iter().position(|(number, _)| is(number)) {
                let (_, sent) = strays.overtaken.remove(at);
                return AnswerVerdict::Reordered(sent);
            }
            let late = strays.lost.iter().position(|(number, _)| is(number));
            if let Some((_, sent)) = late.and_then(|at| strays.lost.remove(at)) {
                return AnswerVerdict::Late(sent);
            }
        }
        if self.behind(claim).any(|number| is(&number)) { AnswerVerdict::Duplicated } else { self.corrupted() }
    }

    /// The oldest has been answered, if one can say so. The next must not be taken for its answer.
    fn corrupted(&mut self) -> AnswerVerdict {
        self.pop();
        AnswerVerdict::Corrupted
    }

    /// Those that wait and whose numbers agree with the claim, oldest first.
    fn ahead(&self, (low, bits): (u32, u32)) -> impl Iterator<Item = u32> + use<> {
        let step = 1u64 << bits;
        let first = u64::from(low.wrapping_sub(self.oldest)) & (step - 1);
        let oldest = self.oldest;
        #[allow(clippy::cast_possible_truncation, reason = "numbers wrap")]
        (first..self.waiting.len() as u64)
            .step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .map(move |ahead| oldest.wrapping_add(ahead as u32))
    }

    /// The last few that do not wait any more and agree with the claim, newest first.
    fn behind(&self, (low, bits): (u32, u32)) -> impl Iterator<Item = u32> + use<> {
        let step = 1u64 << bits;
        let oldest = self.oldest;
        let first = (u64::from(oldest.wrapping_sub(1).wrapping_sub(low)) & (step - 1)) + 1;
        #[allow(clippy::cast_possible_truncation, reason = "not beyond the first number")]
        (first..=u64::from(oldest))
            .step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .take(MAX_LOOKED_BACK)
            .map(move |behind| oldest.wrapping_sub(behind as u32))
    }

    /// `number` was answered before its elders.
    fn overtake(&mut self, number: u32) -> AnswerVerdict {
        while let Some((popped, sent)) = self.pop() {
            if popped == number {
                return AnswerVerdict::Right(sent);
            }
            self.strays.get_or_insert_default().overtaken.push((popped, sent));
        }
        AnswerVerdict::Corrupted
    }

    /// Gives up what was sent at `sent_ns` or earlier; returns how many those were. `forgotten` hears of those that are too many
    /// to remember.
    pub(super) fn expire(&mut self, sent_ns: u64, mut forgotten: impl FnMut(SentMessage)) -> u64 {
        let mut lost = 0;
        while self.waiting.front().is_some_and(|sent| sent.sent_ns <= sent_ns) {
            let Some(given_up) = self.pop() else { break };
            let strays = self.strays.get_or_insert_default();
            strays.lost.push_back(given_up);
            strays.forget(MAX_REMEMBERED, &mut forgotten);
            lost += 1;
        }
        if let Some(strays) = &mut self.strays {
            let OutOfOrder { overtaken, lost: remembered } = &mut **strays;
            lost += overtaken
                .extract_if(.., |(_, sent)| sent.sent_ns <= sent_ns)
                .map(|given_up| remembered.push_back(given_up))
                .count() as u64;
            strays.forget(MAX_REMEMBERED, &mut forgotten);
        }
        lost
    }

    /// What was to come for the oldest never will.
    pub(super) fn spoil(&mut self) {
        self.pop();
    }

    /// The connection is gone: returns how many messages are lost with it. `forgotten` hears of them and of those lost before.
    pub(super) fn lose_all(&mut self, mut forgotten: impl FnMut(SentMessage)) -> u64 {
        let lost = self.expire(u64::MAX, &mut forgotten);
        if let Some(strays) = &mut self.strays {
            strays.forget(0, forgotten);
        }
        lost
    }
}

impl OutOfOrder {
    /// Forgets the oldest of the lost, until no more than so many are left.
    fn forget(&mut self, but: usize, mut forgotten: impl FnMut(SentMessage)) {
        while self.lost.len() > but {
            let Some((_, sent)) = self.lost.pop_front() else { break };
            forgotten(sent);
        }
    }
}
