//! Floods, and what the others notice of them: line 4 of `docs/overload.md`.
