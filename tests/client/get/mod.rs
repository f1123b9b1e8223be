//! `switchboard get` from outside, against servers made of a std listener and a few bytes, and
//! Python's server.

mod exchange;
mod files;
mod lies;
mod limits;
mod python;
mod redirects;
mod server;
mod terminal;
