//! Exec from outside: real commands, plain sockets, both engines.
//!
//! The commands write to FIFOs and files of the test, so that no test waits for a fixed time: the
//! end of a FIFO shows that every process that held it has ended.

mod asker;
mod dialects;
mod fifo;
mod injection;
mod lifetime;
mod order;
mod tokens;
