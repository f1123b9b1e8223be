//! Cuts the text of a stream into lines. A server whose operator types the answers sends no line
//! feed, so the text after the last line feed also becomes a line when the server sends nothing
//! more for 50 ms (`END_SILENCE`).

use std::time::{Duration, Instant};

/// Silence that ends a line without a line feed.
const END_SILENCE: Duration = Duration::from_millis(50);

/// Bytes after which a line without a line feed is cut, so that it stays bounded.
const MAX_LINE_BYTES: usize = 64 << 10;

/// The text after the last line feed, and the time at which it is a line.
#[derive(Debug, Default)]
pub(super) struct TextLines {
    unfinished: String,
    ends_at: Option<Instant>,
}

impl TextLines {
    /// Adds received text. Returns all complete lines, with their line feeds.
    pub(super) fn push(&mut self, text: &str, now: Instant) -> Option<String> {
        self.unfinished.push_str(text);
        let end = match self.unfinished.rfind('\n') {
            _ if self.unfinished.len() > MAX_LINE_BYTES => self.unfinished.len(),
            Some(at) => at + 1,
            None => 0,
        };
        let rest = self.unfinished.split_off(end);
        let lines = std::mem::replace(&mut self.unfinished, rest);
        self.ends_at = (!self.unfinished.is_empty()).then(|| now + END_SILENCE);
        Some(lines).filter(|lines| !lines.is_empty())
    }

    /// Returns the time at which [`finish`](Self::finish) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ends_at
    }

    /// Returns the text after the last line feed as a line, if there is any.
    pub(super) fn finish(&mut self) -> Option<String> {
        self.ends_at = None;
        Some(std::mem::take(&mut self.unfinished)).filter(|line| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_with_a_line_feed_or_silence() {
        let (mut lines, now) = (TextLines::default(), Instant::now());
        assert_eq!(lines.push("one\ntwo\nth", now).as_deref(), Some("one\ntwo\n"));
        assert_eq!(lines.deadline(), Some(now + END_SILENCE));
        let later = now + Duration::from_millis(40);
        assert_eq!((lines.push("ree", later), lines.deadline()), (None, Some(later + END_SILENCE)));
        assert_eq!(lines.finish().as_deref(), Some("three"));
        assert_eq!((lines.finish(), lines.deadline()), (None, None));
        assert_eq!(lines.push("four\n", now).as_deref(), Some("four\n"));
        assert_eq!(lines.deadline(), None);
    }

    #[test]
    fn line_without_a_line_feed_is_bounded() {
        let (mut lines, now) = (TextLines::default(), Instant::now());
        for _ in 0..100 {
            lines.push(&"世".repeat(10_000), now);
            assert!(lines.unfinished.len() <= MAX_LINE_BYTES);
        }
    }
}
