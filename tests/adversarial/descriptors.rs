//! Descriptors that run out: line 1 of `docs/overload.md`.
