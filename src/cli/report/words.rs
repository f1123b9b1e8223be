//! Words that every report shares: lines that fit a terminal, marks, plain tables, commands, and the machine.

use std::ffi::OsString;

use comfy_table::{CellAlignment, Table, presets};
use jiff::Zoned;

use super::figure;
use super::page::Tone;
use crate::cli::process::{MachineInfo, PinnedCpus};
use crate::cli::terminal::shell::quote;

/// What is not known, or does not apply.
pub(in crate::cli) const NONE: &str = "–";
/// Columns that a terminal is taken to have.
pub(in crate::cli) const WIDTH: usize = 110;

/// The time, as RFC 3339 with this machine's offset.
pub(in crate::cli) fn now() -> String {
    Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// What can be said of right answers to payloads of at least so many bytes: shorter ones have no room for the name by which
/// one message is told from another.
pub(in crate::cli) fn rightly(payload_min_bytes: usize) -> &'static str {
    const IDENTITY_BYTES: usize = 8;
    if payload_min_bytes < IDENTITY_BYTES {
        "and are what was sent, byte for byte, as far as ones so short can be told apart"
    } else {
        "in their order, and are what was sent, byte for byte"
    }
}

/// A sentence behind the mark of its tone, in lines that fit.
pub(in crate::cli) fn remark(tone: Tone, text: &str) -> String {
    let mark = match tone {
        Tone::Good => "ok   ",
        Tone::Note => "note ",
        Tone::Bad => "WRONG",
    };
    hanging(&format!("{mark}  "), text)
}

/// Words in lines of at most [`WIDTH`], the later ones under the first of the text.
pub(in crate::cli) fn hanging(head: &str, text: &str) -> String {
    let indent = " ".repeat(head.chars().count());
    let (mut lines, mut line) = (Vec::new(), head.to_owned());
    let mut is_empty = true;
    for word in unbroken(text).split(' ') {
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

/// The same text, in which no line ends between the bounds of an interval.
pub(in crate::cli) fn unbroken(text: &str) -> String {
    let mut inside = false;
    let keep = |c: char| {
        inside = (inside || c == '[') && c != ']';
        if inside && c == ' ' { '\u{a0}' } else { c }
    };
    text.chars().map(keep).collect()
}

/// Names to the left, figures to the right, and no lines: what is copied from it is text.
pub(in crate::cli) fn plain(mut table: Table) -> String {
    table.load_style(presets::NOTHING);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    // What fills a line up to the last column is nothing that anybody reads.
    let text = table.trim_fmt();
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n")
}

/// Words in columns, all to the left: a header and a line for each row, none of which is broken.
pub(in crate::cli) fn aligned<const N: usize>(header: &[&str; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(*header).add_rows(rows);
    let text = table.trim_fmt();
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned() + "\n").collect()
}

/// The same words, the first letter large.
pub(in crate::cli) fn capital(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// So many connections.
pub(in crate::cli) fn connections(number: usize) -> String {
    if number == 1 { "1 connection".to_owned() } else { format!("{} connections", figure::count(number as u64)) }
}

/// On what it was measured: what it is called, and what it is.
pub(in crate::cli) fn machine(machine: &MachineInfo, pinned: Option<&PinnedCpus>) -> Vec<(String, String)> {
    let memory = machine.memory_bytes.map(|bytes| figure::bytes(figure::float(bytes)));
    let cpus = if machine.cpus == 1 { "1 core".to_owned() } else { format!("{} cores", machine.cpus) };
    let placed = match pinned {
        Some(pinned) => {
            let cpus: Vec<_> = pinned.server_cpus.iter().map(usize::to_string).collect();
            format!("server on processor {}, load on {}", cpus.join(", "), pinned.load_cpu)
        }
        None => "server and load wherever the system put them".to_owned(),
    };
    let rows = [
        ("Processor", format!("{}, {cpus}", machine.cpu_model.as_deref().unwrap_or("processor of unknown model"))),
        ("Memory", memory.unwrap_or_else(|| "unknown".to_owned())),
        ("System", machine.kernel.clone()),
        ("Program", format!("switchboard {}, {} build for {}", machine.version, machine.profile, machine.target)),
        ("Placed", placed),
    ];
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// A command as a POSIX shell reads it.
pub(in crate::cli) fn command(words: impl Iterator<Item = OsString>) -> String {
    let quoted = words.enumerate().map(|(index, word)| {
        let word = word.to_string_lossy();
        // Where the program is on this machine is of no use to anybody else.
        let name = word.rsplit(std::path::MAIN_SEPARATOR).next().filter(|_| index == 0);
        quote(name.unwrap_or(&word))
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_hangs_under_its_beginning_and_an_interval_stays_whole() {
        let text = hanging("x  ", &"word [1.00, 2.00] ".repeat(20));
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines.len() > 2 && lines[1].starts_with("   ") && lines.iter().all(|line| line.chars().count() <= WIDTH)
        );
        assert!(lines.iter().all(|line| line.matches('[').count() == line.matches(']').count()), "{text}");
    }

    #[test]
    fn a_command_is_one_that_a_shell_reads_back() {
        let words = ["/usr/bin/switchboard", "bench", "--slo", "p99<5ms", "--html", "it's a b.html", ""];
        assert_eq!(
            command(words.into_iter().map(OsString::from)),
            r#"switchboard bench --slo 'p99<5ms' --html "it's a b.html" ''"#
        );
    }
}
