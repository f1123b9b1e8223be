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
    /// leaves space for the other.
    pub(super) fn joined(self, max_bytes: usize) -> (Vec<u8>, bool) {
        let Self { output: mut joined, mut errors } = self;
        let is_truncated = joined.len() + errors.len() > max_bytes;
        errors.truncate((max_bytes / 2).max(max_bytes.saturating_sub(joined.len())));
        joined.truncate(max_bytes - errors.len().min(max_bytes));
        joined.append(&mut errors);
        (joined, is_truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
