//! The parts that every result begins with: the schema of its JSON, the command, the time and the
//! machine.
//!
//! The JSON keys are a stable interface. If a key changes its meaning or disappears, [`SCHEMA`]
//! increases; a new key leaves it. A value that was not measured, or does not apply, is null.

use std::ffi::OsString;

use jiff::Zoned;
use serde::Serialize;

use super::figure;
use crate::cli::error::CliError;
use crate::cli::process::{MachineInfo, PinnedCpus};
use crate::cli::terminal::shell::quote;

/// The version of the JSON keys of all results.
const SCHEMA: u32 = 2;

/// The first keys of a result.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct RecordHeader {
    pub(in crate::cli) schema: u32,
    /// The command, quoted for a POSIX shell.
    pub(in crate::cli) command: String,
    /// Start time in RFC 3339, with this machine's offset.
    pub(in crate::cli) started_at: String,
    pub(in crate::cli) machine: MachineInfo,
    /// True if a signal ended the measurement early.
    pub(in crate::cli) interrupted: bool,
}

impl RecordHeader {
    /// Returns the header of a measurement that starts now, by the command of this process.
    pub(in crate::cli) fn new() -> Self {
        Self {
            schema: SCHEMA,
            command: quoted_command(std::env::args_os()),
            started_at: Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            machine: MachineInfo::current(),
            interrupted: false,
        }
    }

    /// Returns the properties of the machine and the program, each with its name.
    pub(in crate::cli) fn machine_facts(&self, pinned: Option<&PinnedCpus>) -> Vec<(&'static str, String)> {
        let machine = &self.machine;
        let memory = machine.memory_bytes.map(|bytes| figure::bytes(figure::float(bytes)));
        let cpus = if machine.cpus == 1 { "1 core".to_owned() } else { format!("{} cores", machine.cpus) };
        let placement = match pinned {
            Some(pinned) => {
                let cpus: Vec<_> = pinned.server_cpus.iter().map(usize::to_string).collect();
                format!("server on CPU {}, load on CPU {}", cpus.join(", "), pinned.load_cpu)
            }
            None => "server and load on CPUs that the system chose".to_owned(),
        };
        vec![
            ("Processor", format!("{}, {cpus}", machine.cpu_model.as_deref().unwrap_or("processor of unknown model"))),
            ("Memory", memory.unwrap_or_else(|| "unknown".to_owned())),
            ("System", machine.kernel.clone()),
            ("Program", format!("switchboard {}, {} build for {}", machine.version, machine.profile, machine.target)),
            ("Placement", placement),
        ]
    }
}

/// Returns a result as JSON.
///
/// # Errors
/// [`CliError::Failed`] if a value cannot be represented.
pub(in crate::cli) fn json(record: &impl Serialize) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(record);
    text.map(|text| text + "\n").map_err(|error| CliError::Failed(format!("cannot write the result: {error}")))
}

/// Returns a command line quoted for a POSIX shell.
fn quoted_command(words: impl Iterator<Item = OsString>) -> String {
    let quoted = words.enumerate().map(|(index, word)| {
        let word = word.to_string_lossy();
        // The directory of the program is of no use on another machine.
        let name = word.rsplit(std::path::MAIN_SEPARATOR).next().filter(|_| index == 0);
        quote(name.unwrap_or(&word))
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_quoted_for_a_shell() {
        let words = ["/usr/bin/switchboard", "bench", "--slo", "p99<5ms", "--html", "it's a b.html", ""];
        assert_eq!(
            quoted_command(words.into_iter().map(OsString::from)),
            r#"switchboard bench --slo 'p99<5ms' --html "it's a b.html" ''"#
        );
    }
}
