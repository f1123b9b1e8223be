//! Peers that read slowly or not at all: line 5 of `docs/overload.md`.
