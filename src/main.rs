//! The program `switchboard`: the command line of the library.

mod cli;
#[cfg(test)]
#[path = "../tests/support/guard.rs"]
mod guard;

fn main() -> std::process::ExitCode {
    cli::run()
}
