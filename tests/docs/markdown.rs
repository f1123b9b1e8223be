//! Code blocks and links of Markdown texts.

use std::path::PathBuf;

/// Returns the fenced code blocks of a text: the language and the content of each.
pub(crate) fn blocks(markdown: &str) -> Vec<(&str, &str)> {
    let mut fenced = markdown.split("\n```").skip(1);
    let mut blocks = Vec::new();
    while let Some(block) = fenced.next() {
        blocks.push(block.split_once('\n').unwrap());
        fenced.next();
    }
    blocks
}

/// Returns the targets of a text's links to files, relative to the text's directory.
pub(crate) fn linked_files(markdown: &str) -> Vec<PathBuf> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let files = targets.map(|(target, _)| target).filter(|target| !target.contains("://"));
    files.map(|target| target.split('#').next().unwrap().into()).collect()
}
