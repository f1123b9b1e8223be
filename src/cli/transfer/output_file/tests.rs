//! What stands at a place before, during and after a download.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::partial::is_at;
use super::*;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn write(target: &mut Target, text: &str) {
    assert_eq!(target.write_all(text.as_bytes(), &Interrupt::watch().unwrap()).unwrap(), Waited::Ready);
}

#[test]
fn what_was_there_stays_until_the_new_file_is_whole() {
    for make in [Target::fleeting, Target::kept] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("name");
        fs::write(&place, "old").unwrap();
        fs::set_permissions(&place, Permissions::from_mode(0o4640)).unwrap();
        let mut target = make(&place).unwrap();
        write(&mut target, "new and longer");
        assert_eq!(fs::read_to_string(&place).unwrap(), "old");
        target.finish().unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "new and longer");
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(names(folder.path()), ["name"]);
    }
}

#[test]
fn a_new_file_may_be_read_by_whom_the_user_lets_read_new_files() {
    for make in [Target::fleeting, Target::kept] {
        let folder = tempfile::tempdir().unwrap();
        let (place, other) = (folder.path().join("name"), folder.path().join("other"));
        make(&place).unwrap().finish().unwrap();
        fs::write(&other, "").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&place), mode(&other));
    }
}

#[test]
fn half_a_file_goes_or_stays() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("name");
    let mut target = Target::fleeting(&place).unwrap();
    write(&mut target, "half");
    drop(target);
    assert!(names(folder.path()).is_empty());

    let mut target = Target::kept(&place).unwrap();
    write(&mut target, "half");
    assert_eq!(Target::kept(&place).unwrap_err().error.kind(), io::ErrorKind::ResourceBusy);
    let opened_before = open_partial(&folder.path().join("name.part")).unwrap();
    assert!(is_at(&opened_before, &folder.path().join("name.part")));
    assert!(!is_at(&opened_before, &place));
    drop(target);
    assert_eq!(names(folder.path()), ["name.part"]);
    assert_eq!(fs::metadata(folder.path().join("name.part")).unwrap().permissions().mode() & 0o777, 0o600);
    let mut target = Target::kept(&place).unwrap();
    assert_eq!(target.len().unwrap(), 4);
    let mut found = Vec::new();
    target.read_back(|piece| found.extend_from_slice(piece)).unwrap();
    assert_eq!(found, b"half");
    write(&mut target, " and half");
    target.finish().unwrap();
    assert_eq!(fs::read_to_string(&place).unwrap(), "half and half");

    let mut target = Target::kept(&place).unwrap();
    write(&mut target, "wrong");
    target.restart().unwrap();
    write(&mut target, "right");
    drop(target);
    let target = Target::kept(&place).unwrap();
    assert_eq!(fs::read_to_string(target.partial().unwrap()).unwrap(), "right");
    target.discard();
    assert_eq!(names(folder.path()), ["name"]);
}

#[test]
fn a_link_is_not_written_through_where_the_user_did_not_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let (place, victim) = (folder.path().join("name"), folder.path().join("victim"));
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, folder.path().join("name.part")).unwrap();
    let Obstacle { file, error } = Target::kept(&place).unwrap_err();
    assert_eq!((file, error.to_string().as_str()), (folder.path().join("name.part"), "it is a symbolic link"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");

    let link = folder.path().join("link");
    symlink(&victim, &link).unwrap();
    let mut target = Target::kept(&link).unwrap();
    write(&mut target, "new");
    target.finish().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "new");
}

#[test]
fn what_is_no_file_is_not_replaced_by_one() {
    let folder = tempfile::tempdir().unwrap();
    for make in [Target::fleeting, Target::kept] {
        assert_eq!(make(folder.path()).unwrap_err().error.kind(), io::ErrorKind::IsADirectory);
        let error = make(&folder.path().join("nowhere/name")).unwrap_err().error.to_string();
        assert!(error.starts_with("No such file or directory (os error"), "names no file of ours: {error}");
        assert!(make(&folder.path().join("nowhere/")).unwrap_err().error.to_string().contains("there is none"));
        let mut target = make(Path::new("/dev/null")).unwrap();
        assert_eq!(target.place(), None);
        write(&mut target, "gone");
        assert_eq!(target.restart().unwrap_err().kind(), io::ErrorKind::Unsupported);
        target.finish().unwrap();
    }
    let fifo = folder.path().join("name.part");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(Target::kept(&folder.path().join("name")).is_err());
}

#[test]
fn what_comes_to_the_place_meanwhile_can_be_left_there() {
    for make in [Target::fleeting, Target::kept] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("name");
        let mut target = make(&place).unwrap();
        write(&mut target, "new");
        fs::write(&place, "somebody else's").unwrap();
        assert_eq!(target.finish_anew().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&place).unwrap(), "somebody else's");
        fs::remove_file(&place).unwrap();
        let mut target = make(&place).unwrap();
        target.restart().unwrap();
        write(&mut target, "new");
        target.finish_anew().unwrap();
        assert_eq!(names(folder.path()), ["name"]);
    }
}

#[test]
fn a_partial_file_of_another_process_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (place, partial) = (folder.path().join("name"), folder.path().join("name.part"));
    fs::write(&partial, "half").unwrap();
    fs::set_permissions(&partial, Permissions::from_mode(0o644)).unwrap();
    let other = File::open(&partial).unwrap();
    other.lock().unwrap();
    assert_eq!(Target::kept(&place).unwrap_err().error.kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(fs::metadata(&partial).unwrap().permissions().mode() & 0o777, 0o644);
    drop(other);
    drop(Target::kept(&place).unwrap());
    assert_eq!(fs::metadata(&partial).unwrap().permissions().mode() & 0o777, 0o600);
}
