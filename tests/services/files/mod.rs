//! The files service from outside: real sockets, both engines, clients that know nothing but the bytes.

mod changes;
mod depot;
mod downloads;
mod framed;
mod listings;
mod names;
mod python;
