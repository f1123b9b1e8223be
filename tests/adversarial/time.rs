//! Deadlines, and peers and pauses that move them: line 3 of `docs/overload.md`.
