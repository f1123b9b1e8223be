//! What tests from outside share: an engine run on a thread, blocking clients, services that tell what they see.
//!
//! A scenario is a function of the engine's type, so that every engine is held to the same; [`conformance!`] lists where it runs.
//! Nothing here sleeps to let something happen: a test waits for a byte or for a service's word, and [`GUARD`] only bounds how
//! long a broken engine can keep it waiting.

mod client;
mod engine;
mod service;
mod wire;

use std::time::Duration;

pub(crate) use client::{Client, Sent, flood, write_all_it_takes};
pub(crate) use engine::{Engine, Running, serve, tcp};
pub(crate) use service::{Event, Events, witness};
pub(crate) use wire::{framed, unframed};

/// How long a test waits for what must come. Far beyond what a busy machine needs, because missing it is a failure.
pub(crate) const GUARD: Duration = Duration::from_secs(20);

/// Makes a test of each scenario for each engine.
macro_rules! conformance {
    ($($(#[$when:meta])* $scenario:ident),* $(,)?) => {
        mod on_the_reactor {
            $($(#[$when])*
            #[test]
            fn $scenario() {
                super::$scenario::<switchboard::Reactor>();
            })*
        }

        mod on_threads {
            $($(#[$when])*
            #[test]
            fn $scenario() {
                super::$scenario::<switchboard::Threaded>();
            })*
        }
    };
}
pub(crate) use conformance;
