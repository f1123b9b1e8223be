//! `switchboard duel`: its output, its unavailable points, and its cleanup.

mod ends;
mod results;

/// A small load for a short time, in two rounds. On a busy machine, 5 s may pass in which a server
/// does not run.
const BRIEF: [&str; 7] =
    ["duel", "echo", "--connections=1,2", "--duration=200ms", "--warm-up=20ms", "--rounds=2", "--answer-timeout=60s"];
