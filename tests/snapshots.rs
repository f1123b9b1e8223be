//! The exact help texts of the program, and its error messages for invalid configuration files.
//!
//! `TRYCMD=overwrite cargo test --test snapshots` rewrites the snapshots from the current output.
//! Review the difference before you commit it.

#![cfg(feature = "cli")]

#[test]
fn output_equals_the_snapshots() {
    trycmd::TestCases::new().env("NO_COLOR", "1").env("COLUMNS", "100").case("tests/snapshots/*.trycmd");
}
