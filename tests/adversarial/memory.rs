//! Peers that hold memory: line 2 of `docs/overload.md`.
