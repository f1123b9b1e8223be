//! The program `switchboard`: the library's services and engines, at a terminal.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
