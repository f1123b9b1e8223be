//! The history file: typed lines, kept between sessions, with the newest last.
//!
//! Invariants: only its owner may read the file, even if another program created it. If the program
//! ends at any moment, at most the last line is lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::private_file;
use crate::cli::terminal::MAX_HISTORY_LINES;

/// A file of lines, open for appending.
#[derive(Debug)]
pub(super) struct HistoryFile {
    path: PathBuf,
    file: File,
}

impl HistoryFile {
    /// Opens or creates the file, makes it private to its owner, and returns its newest lines.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<String>)> {
        let file = private_file::with_private_mode(OpenOptions::new().create(true).append(true)).open(path)?;
        make_private(&file)?;
        let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
        let all: Vec<_> = text.lines().map(unescape).collect();
        let lines = all.get(all.len().saturating_sub(MAX_HISTORY_LINES)..).unwrap_or_default().to_vec();
        let mut history = Self { path: path.to_owned(), file };
        if all.len() > 2 * MAX_HISTORY_LINES {
            history.shorten(&lines)?;
        }
        Ok((history, lines))
    }

    pub(super) fn append(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all((escape(line) + "\n").as_bytes())
    }

    /// Replaces the file with one that has only `lines`, so that it stays bounded. At any moment,
    /// the old or the new file is complete.
    fn shorten(&mut self, lines: &[String]) -> io::Result<()> {
        // Replace the file that a symbolic link points to, not the link.
        let path = fs::canonicalize(&self.path)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        // Only its owner may read a temporary file.
        let mut temporary = tempfile::Builder::new().append(true).tempfile_in(directory)?;
        let text: String = lines.iter().map(|line| escape(line) + "\n").collect();
        temporary.write_all(text.as_bytes())?;
        temporary.as_file().sync_all()?;
        self.file = temporary.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes other users' access to an existing file. Leaves special files, such as `/dev/null`,
/// unchanged, because they keep no lines.
fn make_private(file: &File) -> io::Result<()> {
    if !file.metadata()?.is_file() || !private_file::is_open_to_others(file)? {
        return Ok(());
    }
    private_file::close_to_others(file).map_err(|error| {
        let what = format!("other users may read this file, and its mode cannot be changed: {error}; use another file");
        io::Error::new(error.kind(), what)
    })
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
            other => other,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a path in the temporary directory at which no file exists.
    fn free_path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("switchboard-history-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn lines_are_loaded_again_and_old_lines_dropped() {
        let path = free_path("kept");
        let typed = ["plain", "two\nlines", "back\\slash \\n", ""];
        let (mut history, lines) = HistoryFile::open(&path).unwrap();
        assert!(lines.is_empty());
        for line in typed {
            history.append(line).unwrap();
        }
        let (mut history, lines) = HistoryFile::open(&path).unwrap();
        assert_eq!(lines, typed);
        for number in 0..2 * MAX_HISTORY_LINES {
            history.append(&number.to_string()).unwrap();
        }
        let (_, lines) = HistoryFile::open(&path).unwrap();
        assert_eq!((lines.len(), &*lines[0]), (MAX_HISTORY_LINES, "1000"));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), MAX_HISTORY_LINES);
        assert_eq!(mode(&path), 0o600);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn existing_file_becomes_private() {
        use std::os::unix::fs::PermissionsExt;

        let path = free_path("shared");
        fs::write(&path, "old\n").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let (_, lines) = HistoryFile::open(&path).unwrap();
        assert_eq!((mode(&path), lines), (0o600, vec!["old".to_owned()]));
        fs::remove_file(&path).unwrap();

        // A directory represents every kind of file that is not regular.
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        make_private(&File::open(&path).unwrap()).unwrap();
        assert_eq!(mode(&path), 0o755);
        fs::remove_dir(&path).unwrap();
    }

    #[test]
    fn long_file_is_replaced_and_its_symlink_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("long"), directory.path().join("link"));
        fs::write(&path, "line\n".repeat(2 * MAX_HISTORY_LINES + 1)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        // The old file is replaced, not truncated: an open descriptor still reads all of it.
        let old = File::open(&path).unwrap();
        let (mut history, _) = HistoryFile::open(&link).unwrap();
        history.append("newest").unwrap();
        assert_eq!(io::read_to_string(old).unwrap().lines().count(), 2 * MAX_HISTORY_LINES + 1);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.lines().count(), text.lines().last()), (MAX_HISTORY_LINES + 1, Some("newest")));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "temporary file left");
    }
}
