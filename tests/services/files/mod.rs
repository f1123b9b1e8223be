//! The files service from outside: real sockets, both engines, clients that share no code with it.

mod changes;
mod depot;
mod downloads;
mod framed;
mod listings;
mod names;
mod python;
