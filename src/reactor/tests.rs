//! The turn under a script.
