//! What the program prints about itself, and about files that it cannot make sense of, word for word.
//!
//! `TRYCMD=overwrite cargo test --test snapshots` takes what it prints now for right; look at the difference before it is committed.

#![cfg(all(unix, feature = "cli"))]

#[test]
fn it_prints_what_it_is_said_to_print() {
    trycmd::TestCases::new().env("NO_COLOR", "1").env("COLUMNS", "100").case("tests/snapshots/*.trycmd");
}
