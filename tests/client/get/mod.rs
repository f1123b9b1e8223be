//! `switchboard get` from outside, against servers made of a std listener and a few bytes, and
//! Python's server.

mod bodies;
mod files;
mod lies;
mod limits;
mod python;
mod redirects;
mod server;
mod terminal;
