//! Exec from outside: real commands, plain sockets, both engines.
//!
//! What a command does, it does to FIFOs and files of the test, so that nothing is waited for by the clock: a FIFO that ends
//! tells that all who held it are gone.

mod asker;
mod dialects;
mod fifo;
mod injection;
mod lifetime;
mod order;
mod tokens;
