//! Which names are served and which are not, however they are dressed up.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use switchboard::Limits;

use super::depot::{CANARY, Depot, ask, code, hear, receive};
use crate::support::{Engine, conformance};

/// Names, and how each is answered.
const CORPUS: &[(&str, &str)] = &[
    ("refused", "../canary"),
    ("refused", "../../etc/passwd"),
    ("refused", "sub/../../canary"),
    ("refused", "sub/../a.txt"),
    ("refused", "./../canary"),
    ("refused", "sub/./.././../canary"),
    ("refused", ".."),
    ("refused", "../"),
    ("refused", "../root/a.txt"),
    ("refused", "/"),
    ("refused", "//a.txt"),
    ("refused", "/etc/passwd"),
    ("refused", "a.txt\0"),
    ("refused", "a.txt\0../canary"),
    ("refused", "\0"),
    ("refused", ""),
    ("refused", "."),
    ("refused", "./"),
    ("refused", "sub"),
    ("refused", "sub/"),
    ("refused", "sub/."),
    ("refused", "out"),
    ("refused", "./out"),
    ("refused", "sub/out"),
    ("refused", "absolute"),
    ("refused", "parent/canary"),
    ("refused", "folder/canary"),
    ("refused", "folder/root/a.txt"),
    ("refused", "link-to-link"),
    ("refused", "magic"),
    ("refused", "loop"),
    ("refused", "ping"),
    ("refused", "loop/a.txt"),
    ("refused", "to-directory"),
    ("refused", "fifo"),
    ("refused", "socket"),
    ("not-found", "dangling"),
    ("not-found", "missing"),
    ("not-found", "a.txt/"),
    ("not-found", "a.txt/x"),
    ("not-found", "fifo/x"),
    ("not-found", "a.txt."),
    ("not-found", "a.txt "),
    ("not-found", " a.txt"),
    ("not-found", "A.TXT"),
    ("not-found", "..."),
    ("not-found", ".. /canary"),
    ("not-found", "%2e%2e/canary"),
    ("not-found", "..%2fcanary"),
    ("not-found", "%2e%2e%2fcanary"),
    ("not-found", "..%00/canary"),
    ("not-found", "..%c0%afcanary"),
    ("not-found", "..\\canary"),
    ("not-found", "sub\\b.txt"),
    ("not-found", "\u{ff0e}\u{ff0e}/canary"),
    ("not-found", "..\u{2215}canary"),
    ("not-found", "~/canary"),
    ("not-found", "$HOME"),
    ("not-found", "file:///etc/passwd"),
    ("not-found", "a.txt::$DATA"),
    ("not-found", "C:\\canary"),
    ("not-found", "*"),
];

conformance! {
    names_that_lead_nowhere_or_elsewhere_are_refused,
    names_are_taken_literally,
    non_utf8_name_is_served_in_the_plain_dialect,
    a_line_ending_after_a_plain_name_is_ignored,
    directory_swapped_with_a_link_is_not_followed,
    renamed_root_is_still_served,
}

fn furnished<E: Engine>() -> Depot {
    let depot = Depot::open::<E>(Limits::default());
    depot.put("a.txt", b"a");
    depot.put("sub/b.txt", b"b");
    depot.put("sub/deep/c.txt", b"c");
    depot
}

fn names_that_lead_nowhere_or_elsewhere_are_refused<E: Engine>() {
    let depot = furnished::<E>();
    let outside = depot.folder.path().join("canary");
    symlink("../canary", depot.path("out")).unwrap();
    symlink("../../canary", depot.path("sub/out")).unwrap();
    symlink(&outside, depot.path("absolute")).unwrap();
    symlink("..", depot.path("parent")).unwrap();
    symlink(depot.folder.path(), depot.path("folder")).unwrap();
    symlink("out", depot.path("link-to-link")).unwrap();
    symlink("/proc/self/root/etc/passwd", depot.path("magic")).unwrap();
    symlink("loop", depot.path("loop")).unwrap();
    symlink("pong", depot.path("ping")).unwrap();
    symlink("ping", depot.path("pong")).unwrap();
    symlink("sub", depot.path("to-directory")).unwrap();
    symlink("missing", depot.path("dangling")).unwrap();
    mknodat(CWD, depot.path("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = UnixListener::bind(depot.path("socket")).unwrap();
    let absolute = outside.to_str().unwrap();
    let nested = format!("a.txt/../../{absolute}");
    let (long, longer, longest) = ("x".repeat(255), "x".repeat(256), "x/".repeat(3000));
    let mut corpus = CORPUS.to_vec();
    corpus.extend([
        ("refused", absolute),
        ("refused", nested.as_str()),
        ("not-found", long.as_str()),
        ("not-found", longer.as_str()),
        ("not-found", longest.as_str()),
    ]);
    // Only root may make a device, or is kept from no file.
    if mknodat(CWD, depot.path("device"), FileType::CharacterDevice, Mode::RWXU, rustix::fs::makedev(1, 5)).is_ok() {
        corpus.push(("refused", "device"));
    }
    if !rustix::process::geteuid().is_root() {
        depot.put("unreadable", b"secret");
        fs::set_permissions(depot.path("unreadable"), fs::Permissions::from_mode(0o000)).unwrap();
        corpus.push(("refused", "unreadable"));
    }
    for (expected, name) in corpus {
        assert_eq!(code(&depot, name), expected, "{name:?}");
        if !name.is_empty() {
            assert_eq!(depot.plainly(name.as_bytes()), b"", "{name:?}");
            assert_eq!(depot.plainly(format!("{name}\r\n").as_bytes()), b"", "{name:?} as a line");
        }
    }
    let mut client = depot.dial();
    for name in ["out", "absolute", "parent/canary", "magic"] {
        ask(&client, name, 0);
        assert_eq!(
            hear(&mut client)["error"]["text"],
            "a link in it leads out of the directory that is served",
            "{name}"
        );
    }
    // It still serves.
    assert_eq!(depot.plainly(b"a.txt"), b"a");
}

fn names_are_taken_literally<E: Engine>() {
    let depot = furnished::<E>();
    let odd = ["new\nline", "back\\slash", " ", "%2e%2e", "...", "'\"$(x)", "\u{1b}[31m", "sub/..b", "-", "\u{1f600}"];
    for name in odd {
        depot.put(name, name.as_bytes());
    }
    symlink("../a.txt", depot.path("sub/in")).unwrap();
    symlink("sub", depot.path("other")).unwrap();
    let others =
        [("./a.txt", "a"), ("sub//b.txt", "b"), ("sub/./deep/c.txt", "c"), ("sub/in", "a"), ("other/b.txt", "b")];
    let mut client = depot.dial();
    for (name, content) in odd.iter().map(|name| (*name, *name)).chain(others) {
        ask(&client, name, 0);
        let (head, bytes) = receive(&mut client);
        assert_eq!((head["name"].as_str(), bytes.as_slice()), (Some(name), content.as_bytes()));
        assert_eq!(depot.plainly(name.as_bytes()), content.as_bytes(), "{name:?}");
    }
}

fn non_utf8_name_is_served_in_the_plain_dialect<E: Engine>() {
    let depot = furnished::<E>();
    let name = b"caf\xe9 \xff";
    fs::write(depot.path("").join(OsStr::from_bytes(name)), "not text").unwrap();
    assert_eq!(depot.plainly(name), b"not text");
    let mut client = depot.dial();
    client.send(b"{\"get\":\"caf\xe9 \xff\"}");
    assert_eq!(hear(&mut client)["error"]["code"], "bad-request");
    client.send(b"{\"list\":\"\"}");
    assert_eq!(hear(&mut client)["files"].as_array().unwrap().len(), 3, "what cannot be asked for is not listed");
}

fn a_line_ending_after_a_plain_name_is_ignored<E: Engine>() {
    let depot = furnished::<E>();
    depot.put("a.txt\n", b"with a line feed");
    depot.put("sub/b.txt\n", b"with one, too");
    assert_eq!(depot.plainly(b"a.txt\n"), b"with a line feed");
    assert_eq!(depot.plainly(b"a.txt\r\n"), b"a");
    assert_eq!(depot.plainly(b"a.txt\r"), b"a");
    assert_eq!(depot.plainly(b"sub/deep/c.txt\n"), b"c");
    assert_eq!(depot.plainly(b"sub/b.txt\n\n"), b"with one, too", "one line ending, not two");
    assert_eq!(depot.plainly(b"a.txt\r\n\r\n"), b"");
    assert_eq!(depot.plainly(b"\r\n"), b"");
}

#[cfg(target_os = "linux")]
fn directory_swapped_with_a_link_is_not_followed<E: Engine>() {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{RenameFlags, renameat_with};

    let depot = furnished::<E>();
    depot.put("place/canary", b"the right one");
    symlink("..", depot.path("link")).unwrap();
    let (place, link, over) = (depot.path("place"), depot.path("link"), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, &place, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let mut client = depot.dial();
        let (mut served, mut tried) = (0, 0);
        while (served < 50 || tried < 500) && tried < 50_000 {
            tried += 1;
            ask(&client, "place/canary", 0);
            let (head, bytes) = receive(&mut client);
            assert_ne!(bytes, CANARY, "{head}");
            served += usize::from(bytes == b"the right one");
        }
        over.store(true, Ordering::Relaxed);
        assert!(served >= 50, "served {served} of {tried}");
    });
}

#[cfg(not(target_os = "linux"))]
fn directory_swapped_with_a_link_is_not_followed<E: Engine>() {}

fn renamed_root_is_still_served<E: Engine>() {
    let depot = furnished::<E>();
    fs::rename(depot.path(""), depot.folder.path().join("elsewhere")).unwrap();
    fs::create_dir(depot.path("")).unwrap();
    depot.put("a.txt", b"not the one that is served");
    assert_eq!(depot.plainly(b"a.txt"), b"a");
}
