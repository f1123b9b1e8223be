//! The load generator: one thread and one poll loop, like the servers it measures.
//!
//! [`LoadConfig`] describes a load on an echo server, [`run`] puts it on the server, and
//! [`LoadOutcome`] holds the result. [`find_max`] searches for the highest rate at which a server
//! meets an [`Slo`]. [`chat`] does the same for chat rooms.
//!
//! The generator compares every answer with the sent message, byte by byte. Latency counts from the
//! time when a message was *due*, so a server that stalls is charged for every message it delays
//! (this avoids coordinated omission).
//!
//! # Files
//!
//! | file | holds |
//! |---|---|
//! | `driver`, `phase_changes` | the loop, and a run's way from one phase to the next |
//! | `workload` | the trait that the driver calls, and its implementations: `echo` and `chat` |
//! | `step` | what the driver does on one connection: reads, checks, sends |
//! | `connection`, `connections`, `run_context` | one connection, all of them, what they share |
//! | `output_buffer`, `write_batch` | output that the socket has not taken; messages of one write |
//! | `pace`, `phases`, `connect_queue` | the time of sends, phases and connects |
//! | `recorder`, `outcome` | counters, histograms, the result of a run |
//! | `search`, `search_result`, `slo` | the search for the highest rate |
//! | `net` | sockets and polling; the only file here that names `mio` |

mod config;
mod connect_queue;
mod connection;
mod connections;
mod driver;
mod error;
mod net;
mod observer;
mod outcome;
mod output_buffer;
mod pace;
mod phase_changes;
mod phases;
mod recorder;
mod run_context;
mod search;
mod search_result;
mod slo;
mod step;
mod workload;
mod write_batch;

pub use config::Activity;
pub use error::LoadError;
pub use observer::{LoadObserver, LoadProgress};
pub use outcome::{Bottleneck, Faults, GeneratorStats, LoadOutcome, LoadSample};
pub use phases::LoadPhase;
pub use search::find_max;
pub use search_result::{MaxRate, RateStep, SearchEnd, StepVerdict};
pub use slo::{ParseSloError, Slo};
pub use workload::chat;
pub use workload::echo::{LoadConfig, run};
