//! The chat server from outside: real sockets, both engines, clients that share no code with it.
//!
//! `scripts/` describes the protocol. These tests run the scripts over sockets; the hub's unit
//! tests run them without.

#[allow(dead_code, reason = "the hub's own tests read it, too")]
#[path = "../../support/script.rs"]
mod script;

mod crowds;
mod datagrams;
mod doors;
mod hall;
mod member;
mod refs;
mod scripts;
mod slow;
mod telnet;

use switchboard::services::chat::ChatConfig;
