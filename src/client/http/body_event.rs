//! The output of the body decoders, and the byte count arithmetic that they share.

/// The result of one decoding step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyEvent<'a> {
    /// The decoder consumed all input and needs more.
    NeedMore,
    /// Bytes of the body, never empty.
    Data(&'a [u8]),
    /// The body is complete.
    End,
}

/// Removes at most `max_bytes` bytes from the front of `input` and returns them.
pub(super) fn take_up_to<'a>(input: &mut &'a [u8], max_bytes: u64) -> &'a [u8] {
    let taken = usize::try_from(max_bytes).map_or(input.len(), |max_bytes| max_bytes.min(input.len()));
    let (front, rest) = input.split_at(taken);
    *input = rest;
    front
}
