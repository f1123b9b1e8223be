//! Panics in callbacks: line 9 of `docs/overload.md`.
