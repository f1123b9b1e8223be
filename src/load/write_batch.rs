//! The batch of messages that one write sends. Small messages are copied together; large bodies
//! stay in the workload's table and are written from there.
//!
//! Knows no message, and the socket only as the target of a write.

use std::io::{self, IoSlice};
use std::ops::Range;

use super::net::LoadSocket;

/// Sections of one batch.
const MAX_SECTIONS: usize = 7;
/// Slices of one vectored write: each section, the bytes before each, and those after the last.
const MAX_SLICES: usize = 2 * MAX_SECTIONS + 1;

/// The messages that one write sends.
pub(super) struct WriteBatch {
    /// All bytes except the sections.
    pub(super) bytes: Vec<u8>,
    /// Sections of the table: the length of `bytes` before each, and its range.
    sections: Vec<(usize, Range<usize>)>,
    section_bytes: usize,
    full_bytes: usize,
}

impl WriteBatch {
    /// Creates a batch that is full with `full_bytes` bytes.
    pub(super) fn new(full_bytes: usize) -> Self {
        let sections = Vec::with_capacity(MAX_SECTIONS);
        Self { bytes: Vec::new(), sections, section_bytes: 0, full_bytes }
    }

    /// Returns true if the batch takes no further message.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.full_bytes || self.sections.len() >= MAX_SECTIONS
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.sections.clear();
        self.section_bytes = 0;
    }

    /// Returns the bytes in the batch.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.section_bytes
    }

    /// Appends a section of the table.
    pub(super) fn push_section(&mut self, section: Range<usize>) {
        self.section_bytes += section.len();
        self.sections.push((self.bytes.len(), section));
    }

    /// Writes the batch with one system call; returns how many bytes the socket took.
    #[inline]
    pub(super) fn write(&self, socket: &LoadSocket, table: &[u8]) -> io::Result<usize> {
        if self.sections.is_empty() {
            return socket.write(&self.bytes);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(self.pieces(table)) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        socket.write_vectored(slices.get(..count).unwrap_or_default())
    }

    /// Appends the bytes after the first `written` ones to `rest`.
    pub(super) fn copy_rest(&self, mut written: usize, table: &[u8], rest: &mut Vec<u8>) {
        for piece in self.pieces(table) {
            let left = piece.get(written..).unwrap_or_default();
            written -= written.min(piece.len());
            rest.extend_from_slice(left);
        }
    }

    fn pieces<'a>(&'a self, table: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut from = 0;
        let sections = self.sections.iter().flat_map(move |(before, section)| {
            let small = self.bytes.get(from..*before).unwrap_or_default();
            from = *before;
            [small, table.get(section.clone()).unwrap_or_default()]
        });
        let end = self.sections.last().map_or(0, |(before, _)| *before);
        sections.chain(std::iter::once(self.bytes.get(end..).unwrap_or_default()))
    }
}
