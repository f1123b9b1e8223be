//! The input of a fuzz target, taken apart from its start.

/// An input that a target takes apart. After its end, every byte is 0.
pub(super) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(super) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(super) fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Takes the next bytes: `count`, or as many as are left.
    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(super) fn cuts(&mut self) -> Cuts {
        Cuts([self.byte(), self.byte(), self.byte()])
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The lengths of pieces, repeated.
#[derive(Clone, Copy)]
pub(super) struct Cuts([u8; 3]);

impl Cuts {
    /// Splits the stream into pieces. The bytes after the 256th cut are one piece.
    pub(super) fn pieces(self, mut stream: &[u8]) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        for cut in self.0.iter().cycle().take(256) {
            let (piece, rest) = stream.split_at(stream.len().min(usize::from(*cut)));
            pieces.push(piece);
            stream = rest;
        }
        pieces.push(stream);
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}
