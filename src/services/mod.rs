//! The services of this crate. They use the [`Service`](crate::Service) trait and the types in its
//! callbacks; they must not use a socket, a clock or an engine.

#[cfg(feature = "classic")]
mod amplification;
#[cfg(feature = "chat")]
pub mod chat;
#[cfg(feature = "classic")]
mod clock;
pub(crate) mod cpu_time;
mod echo;
#[cfg(feature = "classic")]
pub mod exec;
#[cfg(feature = "classic")]
pub mod files;
#[cfg(feature = "classic")]
mod greet;
#[cfg(feature = "classic")]
mod parrot;
#[cfg(feature = "classic")]
mod robot;
#[cfg(feature = "classic")]
mod text_frame;
mod upper;

#[cfg(feature = "classic")]
pub use clock::Clock;
pub use echo::{Echo, WorkingEcho};
#[cfg(feature = "classic")]
pub use greet::Greet;
#[cfg(feature = "classic")]
pub use parrot::Parrot;
#[cfg(feature = "classic")]
pub use robot::{Robot, RobotLanguage, RobotRule};
pub use upper::Upper;
