//! The services that `serve` offers: name, default addresses, flags and construction of each.

mod args;
mod builtin;
mod chat;
mod classic;
mod echo;
mod exec;
mod files;
mod table;

pub(super) use args::{Origin, ServiceArgs};
pub(super) use builtin::{BuiltinService, Culprit, ListenSource, MadeService, PlannedListener, ServiceArgError};
pub(super) use table::{ALL, find, is_owned, names};
