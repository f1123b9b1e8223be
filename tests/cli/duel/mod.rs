//! `switchboard duel`: what it writes, what it does about what cannot be had, and that it leaves nothing behind.

mod ends;
mod results;

/// Little load, for little time, over and over.
const BRIEF: [&str; 6] = ["duel", "echo", "--connections=1,2", "--seconds=0.2", "--warm-up=20ms", "--rounds=2"];
