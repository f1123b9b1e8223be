//! A report as text for a terminal of [`WIDTH`] columns, and the plain tables of other commands.

use comfy_table::{CellAlignment, Table, presets};
use textwrap::{Options, WordSeparator, WordSplitter};

use super::document::{Medium, Report, ReportTable, Tone};
use super::figure;

/// Stands for a value that is unknown or does not apply.
pub(in crate::cli) const NONE: &str = "–";
/// Width of lines, in columns.
const WIDTH: usize = 80;

/// Returns the whole text.
pub(in crate::cli) fn render(report: &Report) -> String {
    let machine: Vec<_> = report.machine.iter().map(|(_, value)| value.as_str()).collect();
    let about = [report.title.as_str(), &report.about, &(machine.join("; ") + ".")].map(|line| wrap("", line));
    let mut parts = vec![about.join("\n")];
    for section in report.sections.iter().filter(|section| section.medium != Medium::Page) {
        parts.extend(section.text.iter().map(|text| wrap("", text)));
        parts.push(figures(&section.tables));
        let name_width = section.facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let facts = section.facts.iter().map(|(name, value)| wrap(&format!("{name:<name_width$}  "), value));
        parts.push(facts.collect::<Vec<_>>().join("\n"));
    }
    let findings = report.findings.iter().map(|finding| wrap(mark(finding.tone), &finding.text));
    parts.push(findings.collect::<Vec<_>>().join("\n"));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n") + "\n"
}

fn mark(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "ok     ",
        Tone::Note => "note   ",
        Tone::Bad => "WRONG  ",
    }
}

/// Returns `head` and `text` wrapped to [`WIDTH`]. Later lines are indented to the start of `text`.
fn wrap(head: &str, text: &str) -> String {
    let indent = " ".repeat(head.chars().count());
    let options = Options::new(WIDTH)
        .initial_indent(head)
        .subsequent_indent(&indent)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(&keep_intervals_together(text), options).replace('\u{a0}', " ")
}

/// Replaces spaces between `[` and `]` by no-break spaces, so that an interval stays on one line.
pub(super) fn keep_intervals_together(text: &str) -> String {
    let mut inside = false;
    let keep = |c: char| {
        inside = (inside || c == '[') && c != ']';
        if inside && c == ' ' { '\u{a0}' } else { c }
    };
    text.chars().map(keep).collect()
}

/// Formats tables without borders, one below the other with the same columns. The first column is
/// aligned to the left, the others to the right.
pub(in crate::cli) fn figures(tables: &[ReportTable]) -> String {
    let mut all = Table::new();
    for (index, table) in tables.iter().enumerate() {
        if index > 0 {
            all.add_row([""]);
        }
        all.add_row(&table.head).add_rows(&table.rows);
    }
    for column in all.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    unbordered(all)
}

/// Formats a table with all columns aligned to the left, one unwrapped line for each row.
pub(in crate::cli) fn left_aligned_table<const N: usize>(header: &[&str; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.set_header(*header).add_rows(rows);
    unbordered(table) + "\n"
}

/// Formats a table without borders, so that it can be copied as text.
fn unbordered(mut table: Table) -> String {
    table.load_style(presets::NOTHING);
    // The table pads each line to full width; the padding is removed.
    let text = table.trim_fmt();
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n")
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

/// Returns the sentence about a run in which every answer was correct.
pub(in crate::cli) fn all_answers_text(answers: u64, payload_min_bytes: usize) -> String {
    let all = if answers == 1 { "" } else { "All " };
    let correctly = correctness_text(payload_min_bytes);
    format!("{all}{} arrived, {correctly}.", figure::counted(answers, "answer", "answers"))
}

/// Returns the text with its first letter in upper case.
pub(in crate::cli) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Formats a number of connections.
pub(in crate::cli) fn connections_text(number: usize) -> String {
    figure::counted(number as u64, "connection", "connections")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_outside_intervals() {
        let text = wrap("x  ", &"word [1.00, 2.00] ".repeat(20));
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines.len() > 2 && lines[1].starts_with("   ") && lines.iter().all(|line| line.chars().count() <= WIDTH)
        );
        assert!(lines.iter().all(|line| line.matches('[').count() == line.matches(']').count()), "{text}");
    }
}
