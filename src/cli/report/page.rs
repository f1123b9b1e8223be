//! The HTML page of a report: one file without scripts and without external resources.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

use super::plot;

/// A report as a page.
#[derive(Debug)]
pub(crate) struct Page {
    /// Title: what was measured.
    pub(crate) title: String,
    /// The conditions of the measurement in one sentence.
    pub(crate) about: String,
    /// The measuring command, quoted for a shell.
    pub(crate) command: String,
    /// Time of the measurement, in the format of RFC 3339.
    pub(crate) at: String,
    /// Properties of the machine, each with its name.
    pub(crate) machine: Vec<(String, String)>,
    /// The parts between the title and the machine, in order.
    pub(crate) body: Vec<Markup>,
}

const STYLE: &str = include_str!("page.css");

impl Page {
    /// Returns the HTML file.
    pub(crate) fn render(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content=(concat!("switchboard ", env!("CARGO_PKG_VERSION")));
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) (PreEscaped(plot::style())) }
                }
                body {
                    header {
                        h1 { (self.title) }
                        p.about { (self.about) }
                        pre.command { code { (self.command) } }
                    }
                    main {
                        @for part in &self.body { (part) }
                        (section("Machine", &html! { div.words { (facts(&self.machine)) } }))
                    }
                    footer { (concat!("switchboard ", env!("CARGO_PKG_VERSION"))) " · " time datetime=(self.at) { (self.at) } }
                }
            }
        };
        page.into_string()
    }
}

/// Returns a section with a heading.
pub(crate) fn section(heading: &str, body: &Markup) -> Markup {
    html! { section { h2 { (heading) } (body) } }
}

/// Returns parts side by side, or below each other in a narrow window.
pub(crate) fn columns(parts: &[Markup]) -> Markup {
    html! { div.columns { @for part in parts { (part) } } }
}

/// Returns the most important figures in large type, each with its name.
pub(crate) fn headline(figures: &[(&str, String)]) -> Markup {
    html! {
        dl.headline {
            @for (name, figure) in figures { div { dt { (name) } dd { (figure) } } }
        }
    }
}

/// Returns a table of names and values.
pub(crate) fn facts<K: AsRef<str>>(rows: &[(K, String)]) -> Markup {
    html! {
        table.facts { tbody { @for (name, value) in rows { tr { th scope="row" { (name.as_ref()) } td { (value) } } } } }
    }
}

/// Returns a table with a header. The first column names the row; the others are figures.
pub(crate) fn table<H: AsRef<str>>(head: &[H], rows: &[Vec<String>]) -> Markup {
    html! {
        div.wide {
            table.figures {
                thead { tr { @for name in head { th scope="col" { (name.as_ref()) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
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

/// Returns a list of findings.
pub(crate) fn verdicts(sentences: &[(Tone, String)]) -> Markup {
    let class = |tone: &Tone| match tone {
        Tone::Good => "good",
        Tone::Note => "note",
        Tone::Bad => "bad",
    };
    html! { ul.verdicts { @for (tone, sentence) in sentences { li class=(class(tone)) { (sentence) } } } }
}

/// Returns a paragraph.
pub(crate) fn paragraph(text: &str) -> Markup {
    html! { p { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        let page = Page {
            title: "Echo & <co>".to_owned(),
            about: "50 connections".to_owned(),
            command: "switchboard bench echo --html 'a \"b\".html'".to_owned(),
            at: "2026-01-02T03:04:05Z".to_owned(),
            machine: vec![("Processor".to_owned(), "one".to_owned())],
            body: vec![
                headline(&[("p99", "1.20 ms".to_owned())]),
                verdicts(&[(Tone::Good, "Well.".to_owned()), (Tone::Bad, "<b>Not</b>.".to_owned())]),
                columns(&[section("Left", &facts(&[("a", "1".to_owned())])), section("Right", &paragraph("b"))]),
                section("Steps", &table(&["rate", "p99"], &[vec!["1 k".to_owned(), "2 ms".to_owned()]])),
            ],
        };
        page.render()
    }

    #[test]
    fn text_is_escaped() {
        let page = page();
        for words in ["<title>Echo &amp; &lt;co&gt;</title>", "&lt;b&gt;Not&lt;/b&gt;.", "'a &quot;b&quot;.html'"] {
            assert!(page.contains(words), "{words} is not in {page}");
        }
    }

    #[test]
    fn page_has_no_script_and_no_external_resource() {
        let page = page();
        for words in ["<script", "http:", "https:", "url(", "@import", "src=", "href=", "onload"] {
            assert!(!page.contains(words), "{words} is in {page}");
        }
    }

    #[test]
    fn every_class_has_a_style() {
        for part in page().split("class=\"").skip(1) {
            let (class, _) = part.split_once('"').unwrap();
            assert!(STYLE.contains(&format!(".{class} ")), "{class}");
        }
    }
}
