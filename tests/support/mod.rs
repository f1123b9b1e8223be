//! Shared helpers of the integration tests: an engine on its own thread, blocking clients, and a
//! service that reports connection events.
//!
//! A scenario is a function that is generic over the engine. [`conformance!`] makes one test of it
//! for each engine.
//!
//! No helper sleeps to let something happen. A test waits for a byte or for a connection event;
//! [`guard()`] bounds the wait if the engine is broken.

mod client;
pub(crate) mod engine;
mod guard;
mod own_process;
mod service;
mod wire;

pub(crate) use client::{Client, SendOutcome, flood, write_until_blocked};
pub(crate) use engine::{Engine, RunningEngine, instances_if, listen_tcp, serve, serve_echo, serve_with};
pub(crate) use guard::{guard, scaled};
#[cfg(target_os = "linux")]
pub(crate) use own_process::leave_address_space;
pub(crate) use own_process::{in_own_process, leave_descriptors};
pub(crate) use service::{ConnectionEvent, ConnectionEvents, observe};
pub(crate) use wire::{decode_u32be_frames, encode_frame};

/// Makes a test for each engine of each scenario.
macro_rules! conformance {
    ($($(#[$when:meta])* $scenario:ident),* $(,)?) => {
        mod reactor {
            $($(#[$when])*
            #[test]
            fn $scenario() {
                super::$scenario::<switchboard::Reactor>();
            })*
        }

        mod threaded {
            $($(#[$when])*
            #[test]
            fn $scenario() {
                super::$scenario::<switchboard::Threaded>();
            })*
        }
    };
}
pub(crate) use conformance;
