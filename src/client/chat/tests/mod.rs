//! The session against a server of its own world: time, the network and the server are all in the test's hands.

mod property;
mod refusals;
mod returns;
mod scenes;
mod server;
mod world;
