//! `bench chat`: what differs from `bench echo`, for the load of chat rooms.
//!
//! The modules have the names of their counterparts in the parent and use them where both agree.

mod build_record;
mod format;
mod html;
mod measurement;
pub(super) mod plan;
mod record;
mod table;
#[cfg(test)]
mod tests;
mod verdicts;
