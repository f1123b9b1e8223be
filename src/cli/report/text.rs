//! Text that all reports share: wrapped lines, findings, plain tables, commands and the machine.

use std::ffi::OsString;

use comfy_table::{CellAlignment, Table, presets};
use jiff::Zoned;

use super::figure;
use super::page::Tone;
use crate::cli::process::{MachineInfo, PinnedCpus};
use crate::cli::terminal::shell::quote;

/// Stands for a value that is unknown or does not apply.
pub(in crate::cli) const NONE: &str = "–";
/// Width of lines, in columns.
pub(in crate::cli) const WIDTH: usize = 110;

/// Returns the local time in the format of RFC 3339.
pub(in crate::cli) fn local_time() -> String {
    Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Returns what correct replies prove, for payloads of at least this size. A payload shorter than 8
/// bytes has no room for the message's id, so equal messages cannot be distinguished.
pub(in crate::cli) fn correctness_text(payload_min_bytes: usize) -> &'static str {
    const MESSAGE_ID_BYTES: usize = 8;
    if payload_min_bytes < MESSAGE_ID_BYTES {
        "equal to what was sent, byte for byte, as far as payloads under 8 bytes can be distinguished"
    } else {
        "in order and equal to what was sent, byte for byte"
    }
}

/// Returns a finding after the mark of its tone, wrapped to [`WIDTH`].
pub(in crate::cli) fn finding_line(tone: Tone, text: &str) -> String {
    let mark = match tone {
        Tone::Good => "ok   ",
        Tone::Note => "note ",
        Tone::Bad => "WRONG",
    };
    wrap_hanging(&format!("{mark}  "), text)
}

/// Returns `head` and `text` wrapped to [`WIDTH`]. Later lines are indented to the start of `text`.
pub(in crate::cli) fn wrap_hanging(head: &str, text: &str) -> String {
    let indent = " ".repeat(head.chars().count());
    let (mut lines, mut line) = (Vec::new(), head.to_owned());
    let mut is_empty = true;
    for word in keep_intervals_together(text).split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines.join("\n").replace('\u{a0}', " ")
}

/// Replaces spaces between `[` and `]` by no-break spaces, so that an interval stays on one line.
pub(in crate::cli) fn keep_intervals_together(text: &str) -> String {
    let mut inside = false;
    let keep = |c: char| {
        inside = (inside || c == '[') && c != ']';
        if inside && c == ' ' { '\u{a0}' } else { c }
    };
    text.chars().map(keep).collect()
}

/// Formats a table without borders, so that it can be copied as text. The first column is aligned
/// to the left, the others to the right.
pub(in crate::cli) fn right_aligned_table(mut table: Table) -> String {
    table.load_style(presets::NOTHING);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    // The table pads each line to full width; the padding is removed.
    let text = table.trim_fmt();
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n")
}

/// Formats a table with all columns aligned to the left, one unwrapped line for each row.
pub(in crate::cli) fn left_aligned_table<const N: usize>(header: &[&str; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(*header).add_rows(rows);
    let text = table.trim_fmt();
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned() + "\n").collect()
}

/// Returns the text with its first letter in upper case.
pub(in crate::cli) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Formats a number of connections.
pub(in crate::cli) fn connections_text(number: usize) -> String {
    if number == 1 { "1 connection".to_owned() } else { format!("{} connections", figure::count(number as u64)) }
}

/// Returns the properties of the machine and the program, each with its name.
pub(in crate::cli) fn machine_facts(machine: &MachineInfo, pinned: Option<&PinnedCpus>) -> Vec<(String, String)> {
    let memory = machine.memory_bytes.map(|bytes| figure::bytes(figure::float(bytes)));
    let cpus = if machine.cpus == 1 { "1 core".to_owned() } else { format!("{} cores", machine.cpus) };
    let placement = match pinned {
        Some(pinned) => {
            let cpus: Vec<_> = pinned.server_cpus.iter().map(usize::to_string).collect();
            format!("server on CPU {}, load on CPU {}", cpus.join(", "), pinned.load_cpu)
        }
        None => "server and load on CPUs that the system chose".to_owned(),
    };
    let rows = [
        ("Processor", format!("{}, {cpus}", machine.cpu_model.as_deref().unwrap_or("processor of unknown model"))),
        ("Memory", memory.unwrap_or_else(|| "unknown".to_owned())),
        ("System", machine.kernel.clone()),
        ("Program", format!("switchboard {}, {} build for {}", machine.version, machine.profile, machine.target)),
        ("Placed", placement),
    ];
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Returns a command line quoted for a POSIX shell.
pub(in crate::cli) fn quoted_command(words: impl Iterator<Item = OsString>) -> String {
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
    fn long_text_is_wrapped_outside_intervals() {
        let text = wrap_hanging("x  ", &"word [1.00, 2.00] ".repeat(20));
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines.len() > 2 && lines[1].starts_with("   ") && lines.iter().all(|line| line.chars().count() <= WIDTH)
        );
        assert!(lines.iter().all(|line| line.matches('[').count() == line.matches(']').count()), "{text}");
    }

    #[test]
    fn command_is_quoted_for_a_shell() {
        let words = ["/usr/bin/switchboard", "bench", "--slo", "p99<5ms", "--html", "it's a b.html", ""];
        assert_eq!(
            quoted_command(words.into_iter().map(OsString::from)),
            r#"switchboard bench --slo 'p99<5ms' --html "it's a b.html" ''"#
        );
    }
}
