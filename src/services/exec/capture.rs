//! A command's standard output and standard error, bounded together.

/// The bytes read so far.
#[derive(Debug, Default)]
pub(super) struct Capture {
    pub(super) output: Vec<u8>,
    pub(super) errors: Vec<u8>,
}

impl Capture {
    pub(super) fn is_empty(&self) -> bool {
        self.output.is_empty() && self.errors.is_empty()
    }

    /// Returns true if more than `max_bytes` were read.
    pub(super) fn exceeds(&self, max_bytes: usize) -> bool {
        self.output.len() + self.errors.len() > max_bytes
    }

    /// Returns standard output followed by standard error, truncated to `max_bytes`, and true if
    /// they were truncated. The longer of the two is truncated first, so that much output on one
    /// leaves space for the other. Text in UTF-8 is truncated between characters.
    pub(super) fn joined(self, max_bytes: usize) -> (Vec<u8>, bool) {
        let Self { output: mut joined, mut errors } = self;
        let is_truncated = joined.len() + errors.len() > max_bytes;
        truncate(&mut errors, (max_bytes / 2).max(max_bytes.saturating_sub(joined.len())));
        truncate(&mut joined, max_bytes - errors.len().min(max_bytes));
        joined.append(&mut errors);
        (joined, is_truncated)
    }
}

/// Truncates `bytes` to `max_bytes`. If they are UTF-8, a character that the cut divides is
/// removed.
fn truncate(bytes: &mut Vec<u8>, max_bytes: usize) {
    if bytes.len() <= max_bytes {
        return;
    }
    bytes.truncate(max_bytes);
    // An error without a length is an incomplete character at the end.
    if let Err(error) = std::str::from_utf8(bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_does_not_divide_a_character() {
        for (output, max_bytes, kept) in [
            ("你好".as_bytes(), 6, "你好".as_bytes()),
            ("你好".as_bytes(), 5, "你".as_bytes()),
            ("你好".as_bytes(), 4, "你".as_bytes()),
            ("你好".as_bytes(), 3, "你".as_bytes()),
            ("🦀".as_bytes(), 3, b""),
            // Not UTF-8: the service does not know the characters.
            (b"\xff\xe4\xbd\xa0", 3, b"\xff\xe4\xbd"),
            (b"\xc4\xe3\xba\xc3", 3, b"\xc4\xe3\xba"),
        ] {
            let capture = Capture { output: output.into(), errors: Vec::new() };
            assert_eq!(capture.joined(max_bytes), (kept.to_vec(), output.len() > max_bytes), "{output:?} {max_bytes}");
        }
        let capture = Capture { output: "好好好".into(), errors: "你你你".into() };
        assert_eq!(capture.joined(10), ("好好你".into(), true));
    }

    #[test]
    fn the_longer_of_the_two_is_truncated() {
        for (output, errors, max_bytes, kept) in [
            (0, 0, 10, (0, 0)),
            (6, 4, 10, (6, 4)),
            (11, 0, 10, (10, 0)),
            (0, 11, 10, (0, 10)),
            (100, 3, 10, (7, 3)),
            (3, 100, 10, (3, 7)),
            (100, 100, 10, (5, 5)),
            (5, 6, 10, (5, 5)),
            (1, 1, 0, (0, 0)),
        ] {
            let capture = Capture { output: vec![b'o'; output], errors: vec![b'e'; errors] };
            assert_eq!(capture.exceeds(max_bytes), output + errors > max_bytes);
            let (joined, is_truncated) = capture.joined(max_bytes);
            let expected = [vec![b'o'; kept.0], vec![b'e'; kept.1]].concat();
            assert_eq!(
                (joined, is_truncated),
                (expected, output + errors > max_bytes),
                "{output} {errors} {max_bytes}"
            );
        }
    }
}
