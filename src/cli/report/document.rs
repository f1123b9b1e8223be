//! A report before it has a form: [`text`](super::text) writes it for a terminal, and
//! [`page`](super::page) as HTML.

use serde::Serialize;

use super::plot::Plot;

/// The result of a measurement for readers.
#[derive(Debug)]
pub(crate) struct Report {
    /// Title: what was measured.
    pub(crate) title: String,
    /// The conditions of the measurement in one sentence.
    pub(crate) about: String,
    /// The measuring command, quoted for a shell.
    pub(crate) command: String,
    /// Time of the measurement, in the format of RFC 3339.
    pub(crate) at: String,
    /// Properties of the machine, each with its name.
    pub(crate) machine: Vec<(&'static str, String)>,
    /// The most important figures, each with its name. Only the page shows them.
    pub(crate) headline: Vec<(&'static str, String)>,
    pub(crate) sections: Vec<Section>,
    pub(crate) findings: Vec<Finding>,
}

/// A part of a report. The text form has no headings and no plots.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) medium: Medium,
    pub(crate) heading: &'static str,
    /// Paragraphs.
    pub(crate) text: Vec<String>,
    pub(crate) plots: Vec<Plot>,
    pub(crate) tables: Vec<ReportTable>,
    /// Names with values, which may be sentences.
    pub(crate) facts: Vec<(&'static str, String)>,
}

/// The forms of a report that show a section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Medium {
    #[default]
    Both,
    Page,
    Text,
}

/// A table with a header. The first column names the row; the others are figures.
#[derive(Clone, Debug)]
pub(crate) struct ReportTable {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// One sentence about a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

/// The tone of a finding, the `tone` of the JSON result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tone {
    /// The result is as it should be.
    Good,
    /// A condition that affects how to read the figures.
    Note,
    /// A fault in the measured system.
    Bad,
}

impl ReportTable {
    pub(crate) fn new(head: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { head: head.iter().map(|name| (*name).to_owned()).collect(), rows }
    }
}

impl Finding {
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }
}
