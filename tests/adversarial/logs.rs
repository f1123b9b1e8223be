//! A log that nobody reads, and peers that fill it: line 10 of `docs/overload.md`.
