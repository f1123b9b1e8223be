//! Lines that were typed, kept in a file from one time to the next: one a line, the newest last.
//!
//! Nobody but its owner may read it, whoever made it; and an end of the program at any moment costs no line but the last.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Lines that are found again.
pub(super) const MAX_LINES: usize = 1000;

/// What a file's mode allows to others than its owner.
const OTHERS: u32 = 0o077;

/// A file of lines, open to append.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    file: File,
}

impl History {
    /// Opens or makes the file; gives the lines that are in it. It can be read by its owner alone from then on.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<String>)> {
        let file = private(OpenOptions::new().create(true).append(true)).open(path)?;
        keep_others_out(&file)?;
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

    /// Leaves the newest lines only, so that the file does not grow for ever. They are in one file or the other at any time.
    fn shorten(&mut self, lines: &[String]) -> io::Result<()> {
        // What a link leads to is replaced, not the link.
        let path = fs::canonicalize(&self.path)?;
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let text: String = lines.iter().map(|line| escape(line) + "\n").collect();
        self.file = replace(&path, &beside, text.as_bytes()).inspect_err(|_| {
            // It may not even be there.
            let _ = fs::remove_file(&beside);
        })?;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes `bytes` to a new file `beside`, and puts that in the place of `path`.
fn replace(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = private(OpenOptions::new().create_new(true).append(true)).open(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    Ok(file)
}

/// A file that is made is its owner's alone.
fn private(options: &mut OpenOptions) -> &OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// A file that was there before is, too, from now on. What is no file, such as `/dev/null`, keeps nothing and stays as it is.
#[cfg(unix)]
fn keep_others_out(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let found = file.metadata()?;
    let mode = found.permissions().mode();
    if !found.is_file() || mode & OTHERS == 0 {
        return Ok(());
    }
    file.set_permissions(PermissionsExt::from_mode(mode & 0o700)).map_err(|error| {
        let what = format!("others may read this file, and that cannot be changed ({error}): name one of your own");
        io::Error::new(error.kind(), what)
    })
}

/// Other systems keep a user's files from others by where they are.
#[cfg(not(unix))]
fn keep_others_out(_: &File) -> io::Result<()> {
    Ok(())
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

    /// A path in the system's directory for such files, and nothing there.
    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("switchboard-history-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_kept_is_found_again_and_old_lines_go() {
        let path = path("kept");
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
        assert_eq!(mode(&path), 0o600);
        fs::remove_file(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn others_are_kept_out_of_a_file_that_was_there_before() {
        use std::os::unix::fs::PermissionsExt;

        let path = path("shared");
        fs::write(&path, "old\n").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let (_, lines) = History::open(&path).unwrap();
        assert_eq!((mode(&path), lines), (0o600, vec!["old".to_owned()]));
        fs::remove_file(&path).unwrap();

        // A directory stands for all that is no file.
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        keep_others_out(&File::open(&path).unwrap()).unwrap();
        assert_eq!(mode(&path), 0o755);
        fs::remove_dir(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_long_file_is_replaced_and_a_link_to_it_stays() {
        let (path, link) = (path("long"), path("link"));
        fs::write(&path, "line\n".repeat(2 * MAX_LINES + 1)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        // Whoever has the old file open still has all of it: it was not cut.
        let old = File::open(&path).unwrap();
        let (mut history, _) = History::open(&link).unwrap();
        history.append("newest").unwrap();
        assert_eq!(io::read_to_string(old).unwrap().lines().count(), 2 * MAX_LINES + 1);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.lines().count(), text.lines().last()), (MAX_LINES + 1, Some("newest")));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(mode(&path), 0o600);
        let beside = format!("{}.", path.file_name().unwrap().display());
        let others = fs::read_dir(path.parent().unwrap()).unwrap().map_while(Result::ok);
        assert!(!others.into_iter().any(|it| it.file_name().to_string_lossy().starts_with(&beside)), "nothing is left");
        fs::remove_file(&path).unwrap();
        fs::remove_file(&link).unwrap();
    }
}
