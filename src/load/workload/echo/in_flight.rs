//! The messages of one connection that await their answers, and the check of each answer.
//!
//! Each message ends in exactly one way: answered correctly, answered wrongly, answered late, or
//! lost. An answer belongs to a message if it equals that message's payload. An answer that equals
//! no payload counts as a corrupted answer to the oldest message. A lost message is remembered
//! until its late answer arrives or until it is forgotten, so its waiting time is recorded once, as
//! late as possible. Knows neither socket nor clock.

use std::collections::VecDeque;

use super::templates::Templates;

/// Lost messages that one connection remembers. The answer to a remembered message is late; the
/// answer to a forgotten one counts as a duplicate or as corrupted.
const MAX_REMEMBERED: usize = 4096;

/// Answered messages that are compared with an answer too short to hold a whole identity.
const MAX_LOOKED_BACK: usize = 4;

/// The times of a message that has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SentMessage {
    /// The time at which the message was due.
    pub(super) due_ns: u64,
    /// The time at which it was sent.
    pub(super) sent_ns: u64,
}

/// The result of the check of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerVerdict {
    /// The correct answer to the oldest message, or to a later one before it.
    Correct(SentMessage),
    /// The correct answer, after the answer to a later message.
    Reordered(SentMessage),
    /// A second answer to a message.
    Duplicated,
    /// The correct answer to a message that had been given up.
    Late(SentMessage),
    /// An answer that belongs to no message.
    Corrupted,
}

/// The messages of one connection that await their answers.
#[derive(Debug)]
pub(super) struct InFlight {
    connection: u32,
    /// Number of the first message in `waiting`.
    oldest: u32,
    /// Messages whose answers are expected in this order.
    waiting: VecDeque<SentMessage>,
    /// `None` until the server loses or reorders an answer.
    out_of_order: Option<Box<OutOfOrder>>,
}

/// Messages and their numbers, apart from those that the server answers in order.
#[derive(Debug, Default)]
struct OutOfOrder {
    /// Not answered, although a later message was.
    overtaken: Vec<(u32, SentMessage)>,
    /// Lost messages that are remembered, oldest first.
    given_up: VecDeque<(u32, SentMessage)>,
}

impl InFlight {
    pub(super) fn new(connection: u32) -> Self {
        Self { connection, oldest: 0, waiting: VecDeque::new(), out_of_order: None }
    }

    pub(super) fn connection(&self) -> u32 {
        self.connection
    }

    /// Returns the number of the next message, which is the count of messages sent so far.
    #[inline]
    pub(super) fn next_number(&self) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "message numbers wrap")]
        self.oldest.wrapping_add(self.waiting.len() as u32)
    }

    /// Returns the number of messages that may still be answered in order.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the number of the message whose answer is next.
    #[inline]
    pub(super) fn oldest(&self) -> Option<u32> {
        (!self.waiting.is_empty()).then_some(self.oldest)
    }

    /// Returns true if every message has been answered or given up.
    pub(super) fn all_answered(&self) -> bool {
        self.waiting.is_empty() && self.out_of_order.as_ref().is_none_or(|apart| apart.overtaken.is_empty())
    }

    /// Iterates over the messages that still await their answers.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = &SentMessage> {
        let overtaken = self.out_of_order.iter().flat_map(|apart| &apart.overtaken);
        self.waiting.iter().chain(overtaken.map(|(_, sent)| sent))
    }

    /// Iterates over the lost messages that are remembered.
    pub(super) fn given_up(&self) -> impl Iterator<Item = &SentMessage> {
        self.out_of_order.iter().flat_map(|apart| &apart.given_up).map(|(_, sent)| sent)
    }

    /// Adds a message that has been sent.
    #[inline]
    pub(super) fn push(&mut self, sent: SentMessage) {
        self.waiting.push_back(sent);
    }

    /// Checks an answer, and removes the message that it belongs to.
    #[inline]
    pub(super) fn handle_answer(&mut self, payload: &[u8], templates: &Templates) -> AnswerVerdict {
        if let Some(sent) = self.waiting.front()
            && templates.payload(self.connection, self.oldest).matches(payload)
        {
            let sent = *sent;
            self.pop();
            return AnswerVerdict::Correct(sent);
        }
        self.handle_unexpected(payload, templates)
    }

    fn pop(&mut self) -> Option<(u32, SentMessage)> {
        let sent = self.waiting.pop_front()?;
        let number = self.oldest;
        self.oldest = self.oldest.wrapping_add(1);
        Some((number, sent))
    }

    #[cold]
    fn handle_unexpected(&mut self, payload: &[u8], templates: &Templates) -> AnswerVerdict {
        let Some(partial) = templates.identify(self.connection, payload) else { return self.handle_corrupted() };
        let matches = |number: &u32| templates.payload(self.connection, *number).matches(payload);
        if let Some(number) = self.waiting_candidates(partial).find(matches) {
            return self.overtake(number);
        }
        if let Some(apart) = &mut self.out_of_order {
            if let Some(at) = apart.overtaken.iter().position(|(number, _)| matches(number)) {
                let (_, sent) = apart.overtaken.remove(at);
                return AnswerVerdict::Reordered(sent);
            }
            let late = apart.given_up.iter().position(|(number, _)| matches(number));
            if let Some((_, sent)) = late.and_then(|at| apart.given_up.remove(at)) {
                return AnswerVerdict::Late(sent);
            }
        }
        let is_duplicate = self.answered_candidates(partial).any(|number| matches(&number));
        if is_duplicate { AnswerVerdict::Duplicated } else { self.handle_corrupted() }
    }

    /// Removes the oldest message, because the corrupted answer is taken for its answer. Otherwise
    /// the next answer would count as reordered.
    fn handle_corrupted(&mut self) -> AnswerVerdict {
        self.pop();
        AnswerVerdict::Corrupted
    }

    /// Iterates over the numbers of waiting messages whose low `bits` bits are `low`, oldest first.
    fn waiting_candidates(&self, (low, bits): (u32, u32)) -> impl Iterator<Item = u32> + use<> {
        let step = 1u64 << bits;
        let first = u64::from(low.wrapping_sub(self.oldest)) & (step - 1);
        let oldest = self.oldest;
        #[allow(clippy::cast_possible_truncation, reason = "message numbers wrap")]
        (first..self.waiting.len() as u64)
            .step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .map(move |ahead| oldest.wrapping_add(ahead as u32))
    }

    /// Iterates over the last few numbers before the oldest whose low `bits` bits are `low`, newest
    /// first.
    fn answered_candidates(&self, (low, bits): (u32, u32)) -> impl Iterator<Item = u32> + use<> {
        let step = 1u64 << bits;
        let oldest = self.oldest;
        let first = (u64::from(oldest.wrapping_sub(1).wrapping_sub(low)) & (step - 1)) + 1;
        #[allow(clippy::cast_possible_truncation, reason = "at most `oldest`")]
        (first..=u64::from(oldest))
            .step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .take(MAX_LOOKED_BACK)
            .map(move |behind| oldest.wrapping_sub(behind as u32))
    }

    /// Handles the correct answer to `number`: all messages before it are overtaken.
    fn overtake(&mut self, number: u32) -> AnswerVerdict {
        while let Some((popped, sent)) = self.pop() {
            if popped == number {
                return AnswerVerdict::Correct(sent);
            }
            self.out_of_order.get_or_insert_default().overtaken.push((popped, sent));
        }
        AnswerVerdict::Corrupted
    }

    /// Gives up every message sent at `sent_ns` or earlier; returns their count. Calls
    /// `on_forgotten` for each message beyond the limit of remembered ones.
    pub(super) fn expire(&mut self, sent_ns: u64, mut on_forgotten: impl FnMut(SentMessage)) -> u64 {
        let mut lost = 0;
        while self.waiting.front().is_some_and(|sent| sent.sent_ns <= sent_ns) {
            let Some(expired) = self.pop() else { break };
            let apart = self.out_of_order.get_or_insert_default();
            apart.given_up.push_back(expired);
            apart.forget(MAX_REMEMBERED, &mut on_forgotten);
            lost += 1;
        }
        if let Some(apart) = &mut self.out_of_order {
            let OutOfOrder { overtaken, given_up } = &mut **apart;
            lost += overtaken
                .extract_if(.., |(_, sent)| sent.sent_ns <= sent_ns)
                .map(|expired| given_up.push_back(expired))
                .count() as u64;
            apart.forget(MAX_REMEMBERED, &mut on_forgotten);
        }
        lost
    }

    /// Removes the oldest message, because its answer can no longer be received.
    pub(super) fn drop_oldest(&mut self) {
        self.pop();
    }

    /// Gives up all messages, because the connection has ended; returns the count of those lost
    /// now. Calls `on_forgotten` for these and for all remembered messages.
    pub(super) fn give_up_all(&mut self, mut on_forgotten: impl FnMut(SentMessage)) -> u64 {
        let lost = self.expire(u64::MAX, &mut on_forgotten);
        if let Some(apart) = &mut self.out_of_order {
            apart.forget(0, on_forgotten);
        }
        lost
    }
}

impl OutOfOrder {
    /// Forgets the oldest lost messages until at most `max` are left.
    fn forget(&mut self, max: usize, mut on_forgotten: impl FnMut(SentMessage)) {
        while self.given_up.len() > max {
            let Some((_, sent)) = self.given_up.pop_front() else { break };
            on_forgotten(sent);
        }
    }
}
