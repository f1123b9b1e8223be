//! The session against a server of its own world: time, the network and the server are all in the test's hands.

mod fake_server;
mod property;
mod reconnect;
mod rejections;
mod scenarios;
mod simulation;
