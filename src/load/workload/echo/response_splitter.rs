//! The splitting of received bytes into answers: frames by the crate's own decoder, datagrams as
//! they are, and raw bytes by the expected message.
//!
//! Raw bytes have no frame bounds, and the bounds of a read mean nothing. The splitter cuts them
//! where the answer to the oldest message must end. If the bytes are not that answer, it cuts them
//! as the message whose identity they begin with. If they begin with no identity, the piece is
//! corrupted: it ends where another identity begins, or else where the oldest answer would end.
//! This needs whole identities; shorter messages are distinguished by their order alone.

use super::in_flight::{AnswerVerdict, InFlight};
use super::templates::Templates;
use crate::frame::FrameError;
use crate::frame::{BufferPool, FrameDecoder, Framing};

/// Splits the bytes that one connection receives into answers.
pub(super) enum ResponseSplitter {
    Frames(FrameDecoder),
    /// Holds the bytes of an incomplete answer.
    Raw(Vec<u8>),
    Datagrams,
}

impl ResponseSplitter {
    pub(super) fn new(framing: Framing, max_frame_bytes: usize) -> Self {
        match framing {
            Framing::Raw => Self::Raw(Vec::new()),
            framing => Self::Frames(FrameDecoder::new(framing, max_frame_bytes)),
        }
    }

    /// Splits `input`, and calls `on_answer` with the verdict and the length of each answer.
    #[inline]
    pub(super) fn split(
        &mut self,
        mut input: &[u8],
        in_flight: &mut InFlight,
        templates: &Templates,
        buffer_pool: &mut BufferPool,
        mut on_answer: impl FnMut(AnswerVerdict, usize),
    ) -> Result<(), FrameError> {
        match self {
            Self::Frames(decoder) => {
                while let Some(payload) = decoder.decode_with(&mut input, buffer_pool)? {
                    on_answer(in_flight.handle_answer(payload, templates), payload.len());
                }
            }
            Self::Raw(partial) if partial.is_empty() => {
                split_raw(&mut input, in_flight, templates, on_answer);
                partial.extend_from_slice(input);
            }
            Self::Raw(partial) => {
                partial.extend_from_slice(input);
                let mut rest = partial.as_slice();
                split_raw(&mut rest, in_flight, templates, on_answer);
                let used = partial.len() - rest.len();
                partial.drain(..used);
            }
            Self::Datagrams => on_answer(in_flight.handle_answer(input, templates), input.len()),
        }
        Ok(())
    }

    /// Returns true if a part of an answer has arrived.
    pub(super) fn has_partial(&self) -> bool {
        match self {
            Self::Frames(decoder) => decoder.unfinished_bytes().is_some(),
            Self::Raw(partial) => !partial.is_empty(),
            Self::Datagrams => false,
        }
    }
}

/// The first piece of raw bytes.
enum RawPiece {
    /// An answer of this many bytes, to be checked.
    Answer(usize),
    /// This many bytes that belong to no message, before the answer to the oldest one.
    Noise(usize),
}

/// Takes all whole answers off the front of `input`.
fn split_raw(
    input: &mut &[u8],
    in_flight: &mut InFlight,
    templates: &Templates,
    mut on_answer: impl FnMut(AnswerVerdict, usize),
) {
    while let Some(piece) = raw_piece(input, in_flight, templates) {
        let (RawPiece::Answer(end) | RawPiece::Noise(end)) = piece;
        let (bytes, rest) = input.split_at(end.min(input.len()));
        let verdict = match piece {
            RawPiece::Noise(_) => AnswerVerdict::Corrupted,
            RawPiece::Answer(_) => in_flight.handle_answer(bytes, templates),
        };
        on_answer(verdict, bytes.len());
        *input = rest;
    }
}

/// Returns the first piece of `input`; `None` if it has not arrived completely.
#[inline]
fn raw_piece(input: &[u8], in_flight: &InFlight, templates: &Templates) -> Option<RawPiece> {
    if input.is_empty() {
        return None;
    }
    if let Some(number) = in_flight.oldest() {
        let expected = templates.payload(in_flight.connection(), number);
        let known = input.len().min(expected.identity().len());
        let begins_alike = input.get(..known) == expected.identity().get(..known);
        if begins_alike
            && (input.len() < expected.len()
                || input.get(..expected.len()).is_some_and(|piece| expected.matches(piece)))
        {
            return (input.len() >= expected.len()).then_some(RawPiece::Answer(expected.len()));
        }
    }
    unexpected_piece(input, in_flight, templates)
}

/// Returns the first piece of `input` if that is not the answer to the oldest message.
#[cold]
fn unexpected_piece(input: &[u8], in_flight: &InFlight, templates: &Templates) -> Option<RawPiece> {
    let whole = templates.identity_bytes();
    let identified = |bytes: &[u8]| {
        let (number, _) = templates.identify(in_flight.connection(), bytes.get(..whole)?)?;
        // The message must have been sent: numbers at or after the next one do not count.
        (in_flight.next_number().wrapping_sub(1).wrapping_sub(number) < u32::MAX / 2).then_some(number)
    };
    let oldest = in_flight.oldest();
    if let Some(number) = identified(input).filter(|number| Some(*number) != oldest) {
        let end = templates.payload(in_flight.connection(), number).len();
        return (input.len() >= end).then_some(RawPiece::Answer(end));
    }
    // Without an expected answer, a whole identity is needed to recognize a duplicate.
    let expected =
        oldest.map_or(input.len().max(whole), |oldest| templates.payload(in_flight.connection(), oldest).len());
    let reach = input.len().min(expected);
    let next = (1..reach).find_map(|start| Some((start, identified(input.get(start..)?)?)));
    match next {
        Some((start, number)) if Some(number) == oldest => Some(RawPiece::Noise(start)),
        Some((start, _)) => Some(RawPiece::Answer(start)),
        None => (input.len() >= expected).then_some(RawPiece::Answer(expected)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::workload::echo::in_flight::SentMessage;

    const CONNECTION: u32 = 3;
    const SENT: SentMessage = SentMessage { due_ns: 1, sent_ns: 2 };

    /// The treatment of one message by the server.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum ServerAction {
        Echoed,
        Dropped,
        Doubled,
        Swapped,
        Corrupted(usize),
    }

    fn action() -> impl Strategy<Value = ServerAction> {
        prop_oneof![
            4 => Just(ServerAction::Echoed),
            1 => Just(ServerAction::Dropped),
            1 => Just(ServerAction::Doubled),
            1 => Just(ServerAction::Swapped),
            1 => any::<usize>().prop_map(ServerAction::Corrupted),
        ]
    }

    /// Returns the answers that the server sends, and the expected counts: correct, reordered,
    /// duplicated, corrupted, lost. A corrupted answer counts as the answer to the oldest message,
    /// so none is corrupted while an older answer is missing.
    fn answers(templates: &Templates, actions: &[ServerAction]) -> (Vec<Vec<u8>>, [u64; 5]) {
        let (mut stream, mut verdicts) = (Vec::new(), [0; 5]);
        let (mut held, mut overtaken, mut missing) = (None, false, false);
        for (number, action) in (0..).zip(actions) {
            let mut payload = Vec::new();
            templates.payload(CONNECTION, number).append_to(&mut payload);
            match action {
                ServerAction::Swapped if held.is_none() => (held, overtaken) = (Some(payload), false),
                ServerAction::Dropped => {
                    verdicts[4] += 1;
                    missing = true;
                }
                ServerAction::Corrupted(at) if held.is_none() && !missing => {
                    let at = at % payload.len();
                    payload[at] ^= 1;
                    verdicts[3] += 1;
                    stream.push(payload);
                }
                _ => {
                    verdicts[0] += 1;
                    stream.push(payload);
                    if *action == ServerAction::Doubled {
                        verdicts[2] += 1;
                        stream.extend(stream.last().cloned());
                    }
                    (overtaken, missing) = (true, false);
                    if let Some(held) = held.take_if(|_| *action == ServerAction::Echoed) {
                        verdicts[1] += 1;
                        stream.push(held);
                    }
                }
            }
        }
        if let Some(held) = held {
            verdicts[usize::from(overtaken)] += 1;
            stream.push(held);
        }
        (stream, verdicts)
    }

    fn counted(templates: &Templates, is_raw: bool, count: usize, pieces: &[&[u8]]) -> [u64; 5] {
        let mut splitter = if is_raw { ResponseSplitter::Raw(Vec::new()) } else { ResponseSplitter::Datagrams };
        let mut in_flight = InFlight::new(CONNECTION);
        (0..count).for_each(|_| in_flight.push(SENT));
        let mut verdicts = [0; 5];
        for piece in pieces {
            let on_answer = |verdict, _| {
                let which = match verdict {
                    AnswerVerdict::Correct(SENT) => 0,
                    AnswerVerdict::Reordered(SENT) => 1,
                    AnswerVerdict::Duplicated => 2,
                    AnswerVerdict::Corrupted => 3,
                    other => panic!("{other:?}"),
                };
                verdicts[which] += 1;
            };
            splitter.split(piece, &mut in_flight, templates, &mut BufferPool::none(), on_answer).unwrap();
        }
        verdicts[4] = in_flight.give_up_all(|_| ());
        verdicts
    }

    proptest! {
        /// Any treatment of the answers, and any division of the stream into reads.
        #[test]
        fn each_fault_gets_its_own_verdict(
            actions in prop::collection::vec(action(), 1..40),
            sizes in (16usize..100, 0usize..50),
            cuts in prop::collection::vec(1usize..200, 1..20),
        ) {
            let templates = Templates::new(&(sizes.0..=sizes.0 + sizes.1), 1, false);
            let (answers, verdicts) = answers(&templates, &actions);
            let datagrams: Vec<_> = answers.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(counted(&templates, false, actions.len(), &datagrams), verdicts, "as datagrams");
            let stream = answers.concat();
            let (mut pieces, mut rest) = (Vec::new(), stream.as_slice());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            prop_assert_eq!(counted(&templates, true, actions.len(), &pieces), verdicts, "as a stream");
        }
    }

    #[test]
    fn the_splitter_resynchronizes_at_the_next_identity() {
        let templates = Templates::new(&(64..=64), 1, false);
        let (answers, _) = answers(&templates, &[ServerAction::Echoed; 10]);
        let mut stream = answers.concat();
        stream.drain(64 * 3 + 20..64 * 4 - 10);
        assert_eq!(counted(&templates, true, 10, &[&stream]), [9, 0, 0, 1, 0]);
        stream.splice(64 * 2..64 * 2, *b"what is this?");
        assert_eq!(counted(&templates, true, 10, &[&stream]), [9, 0, 0, 2, 0], "noise is no message's answer");
    }

    #[test]
    fn order_identifies_answers_without_identity() {
        let templates = Templates::new(&(1..=1), 1, false);
        let (answers, _) = answers(&templates, &[ServerAction::Echoed; 20]);
        let stream = answers.concat();
        assert_eq!(counted(&templates, true, 20, &[&stream]), [20, 0, 0, 0, 0]);
        assert_eq!(counted(&templates, true, 20, &[&stream[..19]]), [19, 0, 0, 0, 1]);
    }
}
