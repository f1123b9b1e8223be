//! Draining under load: line 7 of `docs/overload.md`.
