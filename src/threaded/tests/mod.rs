//! Behavior that only a test inside the crate can provoke.

mod spawn;
