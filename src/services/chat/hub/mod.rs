//! The hub: members, rooms and messages, and every decision about them.
//!
//! The hub does no I/O: it knows no socket, clock or engine. Each input comes with its time, and
//! all output goes through a [`HubOutput`].
//!
//! State:
//! - [`state`]: the [`Hub`] itself.
//! - [`members`], [`rooms`]: the tables of members and rooms; [`member`], [`room`]: one entry of
//!   each.
//! - [`audience`]: the receivers of a room in one dialect; [`history`]: the messages that a room
//!   keeps.
//! - [`bans`]: the banned networks.
//! - [`backlog`]: what slow or replaying members still lack.
//! - [`ids`], [`message_range`]: ids of members and rooms, and the id of a batch of messages.
//!
//! Behaviour, as methods of the hub:
//! - [`connections`]: opening, frames, closing; [`admission`]: bans and the limit per address.
//! - [`requests`]: requests of members; [`datagrams`]: UDP members; [`address_proof`]: the proof of
//!   their addresses.
//! - [`operator`]: the console; [`moderation`]: the operator's commands about members.
//! - [`membership`]: joining and leaving; [`announcements`]: events about joins, leaves and
//!   renames.
//! - [`messages`]: publishing to rooms and whispers; [`sending`]: events for one member.
//! - [`delivery`]: dropped batches; [`replay`]: messages from a room's history.
//!
//! Invariants:
//! - A member is in a room's audience at the position that its membership names.
//! - The ids of a room's messages are consecutive.
//! - A room's pending messages are sent before a member joins or leaves.

mod address_proof;
mod admission;
mod announcements;
mod audience;
mod backlog;
mod bans;
mod connections;
mod datagrams;
mod delivery;
mod history;
mod ids;
mod member;
mod members;
mod membership;
mod message_range;
mod messages;
mod moderation;
mod operator;
mod output;
mod replay;
mod requests;
mod room;
mod rooms;
mod sending;
mod state;
#[cfg(test)]
pub(super) mod tests;

pub(super) use output::{EventTime, HubOutput};
pub(super) use state::Hub;
