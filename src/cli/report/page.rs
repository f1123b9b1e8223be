//! The page on which a report is read: one file that needs no script and loads nothing from anywhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

use super::plot;

/// A report.
#[derive(Debug)]
pub(crate) struct Page {
    /// What has been measured.
    pub(crate) title: String,
    /// In one sentence, under what conditions.
    pub(crate) about: String,
    /// The command that measured it, as a shell reads it.
    pub(crate) command: String,
    /// When, as RFC 3339 has it.
    pub(crate) at: String,
    /// On what: what it is called, and what it is.
    pub(crate) machine: Vec<(String, String)>,
    /// All between the title and the machine, in order.
    pub(crate) body: Vec<Markup>,
}

const STYLE: &str = include_str!("page.css");

impl Page {
    /// The whole file.
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
                        (section("MachineInfo", &html! { div.words { (facts(&self.machine)) } }))
                    }
                    footer { (concat!("switchboard ", env!("CARGO_PKG_VERSION"))) " · " time datetime=(self.at) { (self.at) } }
                }
            }
        };
        page.into_string()
    }
}

/// A part of the page under a heading.
pub(crate) fn section(heading: &str, body: &Markup) -> Markup {
    html! { section { h2 { (heading) } (body) } }
}

/// Parts that stand side by side where there is room.
pub(crate) fn columns(parts: &[Markup]) -> Markup {
    html! { div.columns { @for part in parts { (part) } } }
}

/// The few figures that everybody looks for, large: what each is, and how much.
pub(crate) fn headline(figures: &[(&str, String)]) -> Markup {
    html! {
        dl.headline {
            @for (name, figure) in figures { div { dt { (name) } dd { (figure) } } }
        }
    }
}

/// What is called how, one a row.
pub(crate) fn facts<K: AsRef<str>>(rows: &[(K, String)]) -> Markup {
    html! {
        table.facts { tbody { @for (name, value) in rows { tr { th scope="row" { (name.as_ref()) } td { (value) } } } } }
    }
}

/// A table with a head. The first column names its row; the others are figures.
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

/// How a sentence is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// To be kept in mind when the figures are read.
    Note,
    /// Something is wrong with what was measured.
    Bad,
}

/// What follows from the figures, in words.
pub(crate) fn verdicts(sentences: &[(Tone, String)]) -> Markup {
    let class = |tone: &Tone| match tone {
        Tone::Good => "good",
        Tone::Note => "note",
        Tone::Bad => "bad",
    };
    html! { ul.verdicts { @for (tone, sentence) in sentences { li class=(class(tone)) { (sentence) } } } }
}

/// A paragraph.
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
    fn what_it_is_given_is_text_and_not_markup() {
        let page = page();
        for words in ["<title>Echo &amp; &lt;co&gt;</title>", "&lt;b&gt;Not&lt;/b&gt;.", "'a &quot;b&quot;.html'"] {
            assert!(page.contains(words), "{words} is not in {page}");
        }
    }

    #[test]
    fn it_needs_no_script_and_loads_nothing() {
        let page = page();
        for words in ["<script", "http:", "https:", "url(", "@import", "src=", "href=", "onload"] {
            assert!(!page.contains(words), "{words} is in {page}");
        }
    }

    #[test]
    fn every_class_has_its_style() {
        for part in page().split("class=\"").skip(1) {
            let (class, _) = part.split_once('"').unwrap();
            assert!(STYLE.contains(&format!(".{class} ")), "{class}");
        }
    }
}
