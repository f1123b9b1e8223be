//! Tests of the files at the output path before, during and after a download.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::partial::{is_at, open_partial};
use super::*;

const SOURCE: DownloadSource<'_> = DownloadSource { server: "127.0.0.1:1111", name: "dir/name" };

/// The partial file of `SOURCE` for the output `name`.
const PARTIAL: &str = "name.2ad0eb6639b4ce73.part";

fn resumable(path: &Path) -> Result<OutputFile, OutputError> {
    OutputFile::resumable(path, &SOURCE)
}

fn file_names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn write(output: &mut OutputFile, text: &str) {
    assert_eq!(output.write_all(text.as_bytes(), &Interrupt::watch().unwrap()).unwrap(), ControlFlow::Continue(()));
}

#[test]
fn previous_file_stays_until_new_file_is_complete() {
    for open in [OutputFile::temporary, resumable] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("name");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o4640)).unwrap();
        let mut output = open(&path).unwrap();
        write(&mut output, "new and longer");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        output.finish(false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new and longer");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(file_names(directory.path()), ["name"]);
    }
}

#[test]
fn new_file_has_the_mode_that_umask_allows() {
    for open in [OutputFile::temporary, resumable] {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("name"), directory.path().join("other"));
        open(&path).unwrap().finish(false).unwrap();
        fs::write(&other, "").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
    }
}

#[test]
fn incomplete_file_is_deleted_or_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("name");
    let mut output = OutputFile::temporary(&path).unwrap();
    write(&mut output, "half");
    drop(output);
    assert!(file_names(directory.path()).is_empty());

    let mut output = resumable(&path).unwrap();
    write(&mut output, "half");
    assert_eq!(resumable(&path).unwrap_err().error.kind(), io::ErrorKind::ResourceBusy);
    let opened_before = open_partial(&directory.path().join(PARTIAL)).unwrap();
    assert!(is_at(&opened_before, &directory.path().join(PARTIAL)));
    assert!(!is_at(&opened_before, &path));
    drop(output);
    assert_eq!(file_names(directory.path()), [PARTIAL]);
    assert_eq!(fs::metadata(directory.path().join(PARTIAL)).unwrap().permissions().mode() & 0o777, 0o600);
    let mut output = resumable(&path).unwrap();
    assert_eq!(output.len().unwrap(), 4);
    let mut existing = Vec::new();
    output.read_existing(|piece| existing.extend_from_slice(piece)).unwrap();
    assert_eq!(existing, b"half");
    write(&mut output, " and half");
    output.finish(false).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "half and half");

    let mut output = resumable(&path).unwrap();
    write(&mut output, "wrong");
    output.restart().unwrap();
    write(&mut output, "right");
    drop(output);
    let output = resumable(&path).unwrap();
    assert_eq!(fs::read_to_string(output.partial_path().unwrap()).unwrap(), "right");
    output.discard();
    assert_eq!(file_names(directory.path()), ["name"]);
}

#[test]
fn symlink_is_followed_only_if_the_user_named_it() {
    let directory = tempfile::tempdir().unwrap();
    let (path, victim) = (directory.path().join("name"), directory.path().join("victim"));
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, directory.path().join(PARTIAL)).unwrap();
    let OutputError { path: failed, error } = resumable(&path).unwrap_err();
    assert_eq!((failed, error.to_string().as_str()), (directory.path().join(PARTIAL), "it is a symbolic link"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");

    let link = directory.path().join("link");
    symlink(&victim, &link).unwrap();
    let mut output = resumable(&link).unwrap();
    write(&mut output, "new");
    output.finish(false).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "new");
}

#[test]
fn directory_device_and_fifo_are_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    for open in [OutputFile::temporary, resumable] {
        assert_eq!(open(directory.path()).unwrap_err().error.kind(), io::ErrorKind::IsADirectory);
        let error = open(&directory.path().join("nowhere/name")).unwrap_err().error.to_string();
        assert!(error.starts_with("No such file or directory (os error"), "contains a temporary path: {error}");
        let error = open(&directory.path().join("nowhere/")).unwrap_err().error.to_string();
        assert!(error.contains("directory does not exist"), "{error}");
        let mut output = open(Path::new("/dev/null")).unwrap();
        assert_eq!(output.path(), None);
        write(&mut output, "gone");
        assert_eq!(output.restart().unwrap_err().kind(), io::ErrorKind::Unsupported);
        output.finish(false).unwrap();
    }
    let fifo = directory.path().join(PARTIAL);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(resumable(&directory.path().join("name")).is_err());
}

#[test]
fn no_clobber_keeps_a_file_created_meanwhile() {
    for open in [OutputFile::temporary, resumable] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("name");
        let mut output = open(&path).unwrap();
        write(&mut output, "new");
        fs::write(&path, "another program's").unwrap();
        assert_eq!(output.finish(true).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "another program's");
        fs::remove_file(&path).unwrap();
        let mut output = open(&path).unwrap();
        output.restart().unwrap();
        write(&mut output, "new");
        output.finish(true).unwrap();
        assert_eq!(file_names(directory.path()), ["name"]);
    }
}

#[test]
fn partial_file_of_another_process_stays_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let (path, partial) = (directory.path().join("name"), directory.path().join(PARTIAL));
    fs::write(&partial, "half").unwrap();
    fs::set_permissions(&partial, Permissions::from_mode(0o644)).unwrap();
    let other = File::open(&partial).unwrap();
    other.lock().unwrap();
    assert_eq!(resumable(&path).unwrap_err().error.kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(fs::metadata(&partial).unwrap().permissions().mode() & 0o777, 0o644);
    drop(other);
    drop(resumable(&path).unwrap());
    assert_eq!(fs::metadata(&partial).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn file_of_another_source_or_program_stays_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("name");
    fs::write(directory.path().join("name.part"), "another program's").unwrap();
    write(&mut resumable(&path).unwrap(), "half");
    for other in [
        DownloadSource { server: "127.0.0.1:1112", ..SOURCE },
        DownloadSource { name: "name", ..SOURCE },
        DownloadSource { server: "127.0.0.1:1111d", name: "ir/name" },
    ] {
        assert_eq!(OutputFile::resumable(&path, &other).unwrap().len().unwrap(), 0, "{other:?}");
    }
    // Two long names with the same start.
    for end in ["a", "b"] {
        let output = resumable(&directory.path().join("n".repeat(250) + end)).unwrap();
        assert_eq!(output.len().unwrap(), 0, "{end}");
        fs::write(output.partial_path().unwrap(), "bytes").unwrap();
    }
    let output = resumable(&path).unwrap();
    assert_eq!(output.len().unwrap(), 4);
    output.finish(false).unwrap();
    assert_eq!(fs::read_to_string(directory.path().join("name.part")).unwrap(), "another program's");
}

#[test]
fn name_of_each_length_has_a_partial_file() {
    for name in ["x".repeat(250), "x".repeat(255), "世".repeat(85), "é".repeat(127) + "x"] {
        for chars in [name.chars().count(), name.chars().count() - 1, name.chars().count() - 8] {
            let name: String = name.chars().take(chars).collect();
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(&name);
            write(&mut resumable(&path).unwrap(), "half");
            let [partial] = &file_names(directory.path())[..] else { panic!("{name}") };
            let start = partial.split('.').next().unwrap();
            assert!(name.starts_with(start) && Path::new(partial).extension().unwrap() == "part", "{partial}");
            let output = resumable(&path).unwrap();
            assert_eq!(output.len().unwrap(), 4);
            output.finish(false).unwrap();
            assert_eq!(file_names(directory.path()), [name]);
        }
        let directory = tempfile::tempdir().unwrap();
        let error = resumable(&directory.path().join(name + "xxxxxx")).unwrap_err().error;
        assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
    }
}
