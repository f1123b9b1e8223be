//! `switchboard man`: manual pages, generated from the parser's definition.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::error::CliError;
use crate::cli::terminal::stdout;

/// Prints the page of the command at the end of the path `subcommand`; of the whole program if the
/// path is empty.
///
/// # Errors
/// [`CliError::Usage`] if the path names no command.
pub(in crate::cli) fn man(mut command: clap::Command, subcommand: &[String]) -> Result<(), CliError> {
    command.build();
    for name in subcommand {
        command = command.find_subcommand(name).cloned().ok_or_else(|| {
            let names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
            CliError::Usage(if names.is_empty() {
                format!("{} has no subcommands, but '{name}' is given", command.get_name())
            } else {
                format!("unknown subcommand '{name}': use one of {}", names.join(" "))
            })
        })?;
    }
    let mut page = Vec::new();
    render(&command, &mut page).map_err(|error| CliError::Failed(error.to_string()))?;
    stdout::print(&String::from_utf8_lossy(&page))
}

fn render(command: &clap::Command, page: &mut Vec<u8>) -> io::Result<()> {
    // clap_mangen's own synopsis lists each option without its value and omits the `--` of
    // `call exec`.
    let usage = command.clone().render_usage().to_string();
    let man = Man::new(command.clone().override_usage(usage.trim_start_matches("Usage: ").to_owned()));
    let man = man.source(concat!("switchboard ", env!("CARGO_PKG_VERSION")));
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    if let Some(text) = command.get_after_long_help() {
        sections(&text.to_string()).to_writer(page)?;
    }
    Ok(())
}

/// Returns the text after the options with a roff section for each heading. Its lines stay as they
/// are, because it has tables and programs, which `clap_mangen` would fill into paragraphs.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::default();
    for line in text.lines() {
        match line.strip_suffix(':').filter(|heading| !heading.starts_with(' ')) {
            Some(heading) => {
                roff.control("fi", []);
                roff.control("SH", [heading.to_uppercase().as_str()]);
                roff.control("nf", []);
            }
            None => {
                roff.text([roman(line)]);
            }
        }
    }
    roff
}

#[cfg(test)]
mod tests {
    use crate::cli::args::Args;

    /// Commands whose help has no list of exit codes, because they only print.
    const PRINTERS: [&str; 3] = ["switchboard config example", "switchboard man", "switchboard completions"];

    /// Finds the commands without subcommands, each with its path.
    fn leaves<'a>(command: &'a clap::Command, above: &[&'a clap::Command], found: &mut Vec<Vec<&'a clap::Command>>) {
        let path = [above, &[command]].concat();
        let mut below = command.get_subcommands().filter(|command| command.get_name() != "help").peekable();
        if below.peek().is_none() {
            found.push(path);
        } else {
            below.for_each(|command| leaves(command, &path, found));
        }
    }

    #[test]
    fn each_help_lists_the_exit_codes() {
        let program = Args::definition();
        let mut found = Vec::new();
        leaves(&program, &[], &mut found);
        assert!(found.len() > PRINTERS.len());
        for path in found {
            let name = path.iter().map(|command| command.get_name()).collect::<Vec<_>>().join(" ");
            let help = path.last().and_then(|command| command.get_after_long_help()).map(ToString::to_string);
            let says = help.is_some_and(|help| help.lines().any(|line| line == "Exit codes:"));
            assert_eq!(says, !PRINTERS.contains(&&*name), "{name}");
        }
    }
}
