//! Resets, garbage and wrong protocols: line 8 of `docs/overload.md`.
