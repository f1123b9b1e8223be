//! Answers out of what was received: frames by the crate's own decoder, datagrams as they are, and raw bytes by what is expected.
//!
//! Raw bytes have no bounds of their own, and a read's mean nothing. They are cut where the oldest message must end. When they are
//! not that message, they are cut as the message whose identity they open with; and when that is nobody's, the piece is spoiled
//! and ends where another identity begins, or else where the oldest would have. Whole identities are needed for that: shorter messages
//! are told by their order alone.

use super::in_flight::{AnswerVerdict, InFlight};
use super::templates::Templates;
use crate::frame::FrameError;
use crate::frame::{BufferPool, FrameDecoder, Framing};

/// Cuts what one connection receives.
pub(super) enum ResponseSplitter {
    Frames(FrameDecoder),
    /// What belongs to an answer that is not whole.
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

    /// Has the in_flight judge each answer in `input`; `told` hears the verdict and the answer's length.
    #[inline]
    pub(super) fn feed(
        &mut self,
        mut input: &[u8],
        in_flight: &mut InFlight,
        templates: &Templates,
        spares: &mut BufferPool,
        mut told: impl FnMut(AnswerVerdict, usize),
    ) -> Result<(), FrameError> {
        match self {
            Self::Frames(decoder) => {
                while let Some(payload) = decoder.decode_with(&mut input, spares)? {
                    told(in_flight.answer(payload, templates), payload.len());
                }
            }
            Self::Raw(held) if held.is_empty() => {
                cut_raw(&mut input, in_flight, templates, told);
                held.extend_from_slice(input);
            }
            Self::Raw(held) => {
                held.extend_from_slice(input);
                let mut rest = held.as_slice();
                cut_raw(&mut rest, in_flight, templates, told);
                let used = held.len() - rest.len();
                held.drain(..used);
            }
            Self::Datagrams => told(in_flight.answer(input, templates), input.len()),
        }
        Ok(())
    }

    /// Whether something came that was no whole answer.
    pub(super) fn has_partial(&self) -> bool {
        match self {
            Self::Frames(decoder) => decoder.unfinished_bytes().is_some(),
            Self::Raw(held) => !held.is_empty(),
            Self::Datagrams => false,
        }
    }
}

/// What stands at the front of raw bytes.
enum RawPiece {
    /// So many bytes, to be judged as an answer.
    Answer(usize),
    /// So many bytes before the oldest message's answer that belong to nobody.
    Noise(usize),
}

/// Takes whole answers off the front of `input`.
fn cut_raw(
    input: &mut &[u8],
    in_flight: &mut InFlight,
    templates: &Templates,
    mut told: impl FnMut(AnswerVerdict, usize),
) {
    while let Some(piece) = raw_piece(input, in_flight, templates) {
        let (RawPiece::Answer(end) | RawPiece::Noise(end)) = piece;
        let (bytes, rest) = input.split_at(end.min(input.len()));
        let answer =
            if let RawPiece::Noise(_) = piece { AnswerVerdict::Corrupted } else { in_flight.answer(bytes, templates) };
        told(answer, bytes.len());
        *input = rest;
    }
}

/// The first piece of `input`, if all of it has arrived.
#[inline]
fn raw_piece(input: &[u8], in_flight: &InFlight, templates: &Templates) -> Option<RawPiece> {
    if input.is_empty() {
        return None;
    }
    if let Some(number) = in_flight.oldest() {
        let image = templates.payload(in_flight.connection(), number);
        let head = input.len().min(image.head().len());
        let opens_alike = input.get(..head) == image.head().get(..head);
        if opens_alike && (input.len() < image.len() || input.get(..image.len()).is_some_and(|piece| image.is(piece))) {
            return (input.len() >= image.len()).then_some(RawPiece::Answer(image.len()));
        }
    }
    unexpected_piece(input, in_flight, templates)
}

/// The same when it is not the oldest message's answer.
#[cold]
fn unexpected_piece(input: &[u8], in_flight: &InFlight, templates: &Templates) -> Option<RawPiece> {
    let whole = templates.head_bytes();
    let named = |bytes: &[u8]| {
        let (number, _) = templates.claim(in_flight.connection(), bytes.get(..whole)?)?;
        // SentMessage at all: not one of those that are yet to come.
        (in_flight.next().wrapping_sub(1).wrapping_sub(number) < u32::MAX / 2).then_some(number)
    };
    let oldest = in_flight.oldest();
    if let Some(number) = named(input).filter(|number| Some(*number) != oldest) {
        let end = templates.payload(in_flight.connection(), number).len();
        return (input.len() >= end).then_some(RawPiece::Answer(end));
    }
    // Where nothing is expected, it takes an identity to tell an answer that comes twice.
    let expected =
        oldest.map_or(input.len().max(whole), |oldest| templates.payload(in_flight.connection(), oldest).len());
    let reach = input.len().min(expected);
    let next = (1..reach).find_map(|start| Some((start, named(input.get(start..)?)?)));
    match next {
        Some((start, number)) if Some(number) == oldest => Some(RawPiece::Noise(start)),
        Some((start, _)) => Some(RawPiece::Answer(start)),
        None => (input.len() >= expected).then_some(RawPiece::Answer(expected)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_flight::SentMessage;
    use super::*;
    use proptest::prelude::*;

    const CONNECTION: u32 = 3;
    const SENT: SentMessage = SentMessage { due_ns: 1, sent_ns: 2 };

    /// What one message of a stream came to.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum ServerAction {
        Echoed,
        Dropped,
        Doubled,
        Swapped,
        Spoiled(usize),
    }

    fn fate() -> impl Strategy<Value = ServerAction> {
        prop_oneof![
            4 => Just(ServerAction::Echoed),
            1 => Just(ServerAction::Dropped),
            1 => Just(ServerAction::Doubled),
            1 => Just(ServerAction::Swapped),
            1 => any::<usize>().prop_map(ServerAction::Spoiled),
        ]
    }

    /// What a server sends back, and which verdicts that deserves: right, reordered, duplicated, corrupted, lost. A spoiled answer
    /// is taken for the oldest's, so none is spoiled while an older one is missing.
    fn answers(templates: &Templates, fates: &[ServerAction]) -> (Vec<Vec<u8>>, [u64; 5]) {
        let (mut stream, mut verdicts) = (Vec::new(), [0; 5]);
        let (mut held, mut overtaken, mut missing) = (None, false, false);
        for (number, fate) in (0..).zip(fates) {
            let mut payload = Vec::new();
            templates.payload(CONNECTION, number).append_to(&mut payload);
            match fate {
                ServerAction::Swapped if held.is_none() => (held, overtaken) = (Some(payload), false),
                ServerAction::Dropped => {
                    verdicts[4] += 1;
                    missing = true;
                }
                ServerAction::Spoiled(at) if held.is_none() && !missing => {
                    let at = at % payload.len();
                    payload[at] ^= 1;
                    verdicts[3] += 1;
                    stream.push(payload);
                }
                _ => {
                    verdicts[0] += 1;
                    stream.push(payload);
                    if *fate == ServerAction::Doubled {
                        verdicts[2] += 1;
                        stream.extend(stream.last().cloned());
                    }
                    (overtaken, missing) = (true, false);
                    if let Some(held) = held.take_if(|_| *fate == ServerAction::Echoed) {
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

    fn judged(templates: &Templates, raw: bool, count: usize, pieces: &[&[u8]]) -> [u64; 5] {
        let mut splitter = if raw { ResponseSplitter::Raw(Vec::new()) } else { ResponseSplitter::Datagrams };
        let mut in_flight = InFlight::new(CONNECTION);
        (0..count).for_each(|_| in_flight.send(SENT));
        let mut verdicts = [0; 5];
        for piece in pieces {
            let told = |answer, _| {
                let which = match answer {
                    AnswerVerdict::Right(SENT) => 0,
                    AnswerVerdict::Reordered(SENT) => 1,
                    AnswerVerdict::Duplicated => 2,
                    AnswerVerdict::Corrupted => 3,
                    other => panic!("{other:?}"),
                };
                verdicts[which] += 1;
            };
            splitter.feed(piece, &mut in_flight, templates, &mut BufferPool::none(), told).unwrap();
        }
        verdicts[4] = in_flight.lose_all(|_| ());
        verdicts
    }

    proptest! {
        /// Whatever a server does to its answers, and wherever the network cuts the stream of them.
        #[test]
        fn faults_are_told_apart(
            fates in prop::collection::vec(fate(), 1..40),
            sizes in (16usize..100, 0usize..50),
            cuts in prop::collection::vec(1usize..200, 1..20),
        ) {
            let templates = Templates::new(&(sizes.0..=sizes.0 + sizes.1), 1, false);
            let (answers, verdicts) = answers(&templates, &fates);
            let datagrams: Vec<_> = answers.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(judged(&templates, false, fates.len(), &datagrams), verdicts, "as datagrams");
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
            prop_assert_eq!(judged(&templates, true, fates.len(), &pieces), verdicts, "as a stream");
        }
    }

    #[test]
    fn a_stream_that_lost_some_bytes_is_found_again_at_the_next_message() {
        let templates = Templates::new(&(64..=64), 1, false);
        let (answers, _) = answers(&templates, &[ServerAction::Echoed; 10]);
        let mut stream = answers.concat();
        stream.drain(64 * 3 + 20..64 * 4 - 10);
        assert_eq!(judged(&templates, true, 10, &[&stream]), [9, 0, 0, 1, 0]);
        stream.splice(64 * 2..64 * 2, *b"what is this?");
        assert_eq!(judged(&templates, true, 10, &[&stream]), [9, 0, 0, 2, 0], "noise takes no message's place");
    }

    #[test]
    fn of_what_is_too_short_for_an_identity_the_order_decides() {
        let templates = Templates::new(&(1..=1), 1, false);
        let (answers, _) = answers(&templates, &[ServerAction::Echoed; 20]);
        let stream = answers.concat();
        assert_eq!(judged(&templates, true, 20, &[&stream]), [20, 0, 0, 0, 0]);
        assert_eq!(judged(&templates, true, 20, &[&stream[..19]]), [19, 0, 0, 0, 1]);
    }
}
