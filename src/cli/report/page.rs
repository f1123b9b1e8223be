//! A report as an HTML page: one file without scripts and without external resources.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::document::{Finding, Medium, Report, ReportTable, Section, Tone};
use super::plot;
use super::text::keep_intervals_together;

const STYLE: &str = include_str!("page.css");

/// Returns the HTML file.
pub(crate) fn render(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("switchboard ", env!("CARGO_PKG_VERSION")));
                title { (report.title) }
                style { (PreEscaped(STYLE)) (PreEscaped(plot::style())) }
            }
            body {
                header {
                    h1 { (report.title) }
                    p.about { (report.about) }
                    pre.command { code { (report.command) } }
                }
                main {
                    @if !report.headline.is_empty() {
                        dl.headline {
                            @for (name, figure) in &report.headline { div { dt { (name) } dd { (figure) } } }
                        }
                    }
                    (findings(&report.findings))
                    @for part in report.sections.iter().filter(|section| section.medium != Medium::Text) { (section(part)) }
                    section { h2 { "Machine" } (facts(&report.machine)) }
                }
                footer { (concat!("switchboard ", env!("CARGO_PKG_VERSION"))) " · " time datetime=(report.at) { (report.at) } }
            }
        }
    };
    page.into_string()
}

fn section(section: &Section) -> Markup {
    html! {
        section {
            h2 { (section.heading) }
            @for text in &section.text { p { (text) } }
            @for plot in &section.plots { (plot.figure()) }
            @for part in &section.tables { (table(part)) }
            @if !section.facts.is_empty() { (facts(&section.facts)) }
        }
    }
}

fn facts(rows: &[(&str, String)]) -> Markup {
    html! {
        div.words {
            table.facts {
                tbody { @for (name, value) in rows { tr { th scope="row" { (name) } td { (keep_intervals_together(value)) } } } }
            }
        }
    }
}

fn table(table: &ReportTable) -> Markup {
    html! {
        div.wide {
            table.figures {
                thead { tr { @for name in &table.head { th scope="col" { (name) } } } }
                tbody {
                    @for row in &table.rows {
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

fn findings(findings: &[Finding]) -> Markup {
    let class = |tone: Tone| match tone {
        Tone::Good => "good",
        Tone::Note => "note",
        Tone::Bad => "bad",
    };
    html! { ul.verdicts { @for finding in findings { li class=(class(finding.tone)) { (finding.text) } } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        render(&Report {
            title: "Echo & <co>".to_owned(),
            about: "50 connections".to_owned(),
            command: "switchboard bench echo --html 'a \"b\".html'".to_owned(),
            at: "2026-01-02T03:04:05Z".to_owned(),
            machine: vec![("Processor", "one".to_owned())],
            headline: vec![("p99", "1.20 ms".to_owned())],
            sections: vec![
                Section { heading: "Left", text: vec!["b".to_owned()], ..Section::default() },
                Section {
                    heading: "Steps",
                    tables: vec![ReportTable::new(&["rate", "p99"], vec![vec!["1 k".to_owned(), "2 ms".to_owned()]])],
                    facts: vec![("a", "1".to_owned())],
                    ..Section::default()
                },
                Section { heading: "Not here", medium: Medium::Text, ..Section::default() },
            ],
            findings: vec![Finding::new(Tone::Good, "Well."), Finding::new(Tone::Bad, "<b>Not</b>.")],
        })
    }

    #[test]
    fn text_is_escaped() {
        let page = page();
        for words in ["<title>Echo &amp; &lt;co&gt;</title>", "&lt;b&gt;Not&lt;/b&gt;.", "'a &quot;b&quot;.html'"] {
            assert!(page.contains(words), "{words} is not in {page}");
        }
        assert!(!page.contains("Not here"), "a section of the text form");
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
