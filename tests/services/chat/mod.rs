//! The chat server from outside: real sockets, both engines, clients that know nothing but the bytes.
//!
//! `scripts/` holds the protocol as a table; here it is played over sockets, and beside the hub's own tests without them.

#[allow(dead_code, reason = "the hub's own tests read it, too")]
#[path = "../../support/script.rs"]
mod script;

mod crowds;
mod datagrams;
mod doors;
mod hall;
mod member;
mod scripts;
mod slow;

use switchboard::services::chat::ChatRules;
