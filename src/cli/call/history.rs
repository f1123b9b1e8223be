//! Lines that were typed, kept in a file from one time to the next: one a line, the newest last.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Lines that are found again.
pub(super) const MAX_LINES: usize = 1000;

/// A file of lines, open to append.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    file: File,
}

impl History {
    /// Opens or makes the file; gives the lines that are in it. A new one can be read by its owner alone.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<String>)> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
        let all: Vec<_> = text.lines().map(unescape).collect();
        let lines = all.get(all.len().saturating_sub(MAX_LINES)..).unwrap_or_default().to_vec();
        let mut history = Self { path: path.to_owned(), file };
        if all.len() > 2 * MAX_LINES {
            history.shorten(&lines)?;
        }
        Ok((history, lines))
    }

    pub(super) fn append(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all((escape(line) + "\n").as_bytes())
    }

    /// Leaves the newest lines only, so that the file does not grow for ever.
    fn shorten(&mut self, lines: &[String]) -> io::Result<()> {
        self.file.set_len(0)?;
        let text: String = lines.iter().map(|line| escape(line) + "\n").collect();
        self.file.write_all(text.as_bytes())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn escape(line: &str) -> String {
    line.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescape(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
            plain => plain,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_and_old_lines_go() {
        let path = std::env::temp_dir().join(format!("switchboard-history-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let typed = ["plain", "two\nlines", "back\\slash \\n", ""];
        let (mut history, lines) = History::open(&path).unwrap();
        assert!(lines.is_empty());
        for line in typed {
            history.append(line).unwrap();
        }
        let (mut history, lines) = History::open(&path).unwrap();
        assert_eq!(lines, typed);
        for number in 0..2 * MAX_LINES {
            history.append(&number.to_string()).unwrap();
        }
        let (_, lines) = History::open(&path).unwrap();
        assert_eq!((lines.len(), &*lines[0]), (MAX_LINES, "1000"));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), MAX_LINES);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::remove_file(&path).unwrap();
    }
}
