//! Tests of the session against a simulated server. The test controls time, network and server.

mod fake_server;
mod property;
mod reconnect;
mod rejections;
mod scenarios;
mod simulation;
