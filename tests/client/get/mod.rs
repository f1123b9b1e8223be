//! `switchboard get` from outside, against servers that are a standard listener and a few bytes, or Python's.

mod bodies;
mod files;
mod lies;
mod limits;
mod python;
mod redirects;
mod server;
mod terminal;
