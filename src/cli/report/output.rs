//! The forms in which a command writes its result: text or JSON on standard output, and a page.
//! Standard output takes one form: the one that a flag sends there, or else the text.

use std::path::{Path, PathBuf, absolute};

use serde::Serialize;

use super::document::Report;
use super::file::{ReportFile, STDOUT, is_stdout};
use super::{page, record, text};
use crate::cli::error::CliError;
use crate::cli::terminal::stdout;

/// The opened outputs of one result.
#[derive(Debug)]
pub(in crate::cli) struct ReportOutput {
    prints_text: bool,
    prints_json: bool,
    html: Option<ReportFile>,
}

impl ReportOutput {
    /// Opens the outputs of `--json` and `--html`. `others` are the further flags of the command
    /// that name an output.
    ///
    /// # Errors
    /// [`CliError::Usage`] if two flags write to standard output or to one file, and
    /// [`CliError::Failed`] if the page cannot be opened for writing.
    pub(in crate::cli) fn open(
        json: bool,
        html: Option<PathBuf>,
        others: &[(&str, Option<&Path>)],
    ) -> Result<Self, CliError> {
        let own = [("--json", json.then_some(Path::new(STDOUT))), ("--html", html.as_deref())];
        let outputs: Vec<_> = own.iter().chain(others).filter_map(|(flag, path)| Some((*flag, (*path)?))).collect();
        for (index, (flag, path)) in outputs.iter().enumerate() {
            let others = outputs.iter().skip(index + 1);
            if let Some((other, _)) = others.into_iter().find(|(_, other)| is_same(other, path)) {
                let place = if is_stdout(path) { "standard output".to_owned() } else { path.display().to_string() };
                return Err(CliError::Usage(format!(
                    "{flag} cannot be used with {other} if both write to {place}: give each a file of its own"
                )));
            }
        }
        let prints_text = !outputs.iter().any(|(_, path)| is_stdout(path));
        Ok(Self { prints_text, prints_json: json, html: ReportFile::open(html)? })
    }

    /// Writes a result: the `record`, and the `report` made from it.
    ///
    /// # Errors
    /// [`CliError::Failed`] if a write fails.
    pub(in crate::cli) fn write(self, report: &Report, record: &impl Serialize) -> Result<(), CliError> {
        if self.prints_text {
            stdout::print(&text::render(report))?;
        }
        if self.prints_json {
            stdout::print(&record::json(record)?)?;
        }
        self.html.map_or(Ok(()), |file| file.write(page::render(report).as_bytes()))
    }
}

/// Returns true if both paths name one output: standard output, or one absolute path.
fn is_same(one: &Path, other: &Path) -> bool {
    match (is_stdout(one), is_stdout(other)) {
        (false, false) => {
            one == other || matches!((absolute(one), absolute(other)), (Ok(one), Ok(other)) if one == other)
        }
        (one, other) => one && other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_in_two_spellings_is_one_output() {
        for (one, other, expected) in
            [("x.csv", "./x.csv", true), ("x.csv", "y.csv", false), ("-", "-", true), ("-", "./-", false)]
        {
            assert_eq!(is_same(Path::new(one), Path::new(other)), expected, "{one} {other}");
            assert_eq!(is_same(Path::new(other), Path::new(one)), expected, "{other} {one}");
        }
        let whole = absolute("x.csv").unwrap();
        assert!(is_same(&whole, Path::new("x.csv")));
        assert!(
            ReportOutput::open(
                false,
                None,
                &[("--csv", Some(Path::new("./x"))), ("--hdr", Some(&absolute("x").unwrap()))]
            )
            .is_err()
        );
    }
}
