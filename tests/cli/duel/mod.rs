//! `switchboard duel`: its output, its unavailable points, and its cleanup.

mod ends;
mod results;

/// A small load for a short time, in two rounds.
const BRIEF: [&str; 6] = ["duel", "echo", "--connections=1,2", "--duration=200ms", "--warm-up=20ms", "--rounds=2"];
