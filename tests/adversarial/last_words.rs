//! The last bytes before a close: line 6 of `docs/overload.md`.
