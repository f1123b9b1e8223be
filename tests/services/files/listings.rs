//! The content of a listing, and what it leaves out.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use switchboard::Limits;

use super::depot::{Depot, ask, receive};
use crate::support::{Client, Engine, conformance};

conformance! {
    all_that_is_served_is_listed_and_nothing_else,
    only_directories_below_the_root_are_listed,
    a_listing_fits_a_frame_and_says_what_it_leaves_out,
    depth_has_an_end,
}

fn list(client: &mut Client, directory: &str) -> Value {
    let answer = client.ask(json!({"list": directory}).to_string().as_bytes());
    assert!(answer.len() <= 1024 * 1024);
    serde_json::from_slice(&answer).unwrap()
}

fn names(listing: &Value) -> Vec<&str> {
    listing["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect()
}

fn all_that_is_served_is_listed_and_nothing_else<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    for name in ["b", "a/z", "a/b/c", "a.txt", "Z", "new\nline", ".hidden"] {
        depot.put(name, name.as_bytes());
    }
    fs::create_dir(depot.path("nothing")).unwrap();
    symlink("../b", depot.path("a/in")).unwrap();
    symlink("../canary", depot.path("out")).unwrap();
    symlink("..", depot.path("parent")).unwrap();
    symlink("a", depot.path("again")).unwrap();
    symlink(".", depot.path("a/self")).unwrap();
    mknodat(CWD, depot.path("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let mut client = depot.dial();
    let listing = list(&mut client, "");
    assert_eq!(names(&listing), [".hidden", "Z", "a.txt", "a/b/c", "a/in", "a/z", "b", "new\nline"]);
    assert!(listing["truncated"].is_null());
    for file in listing["files"].as_array().unwrap() {
        ask(&client, file["name"].as_str().unwrap(), 0);
        let (head, _) = receive(&mut client);
        assert_eq!((&head["size"], &head["modified"]), (&file["size"], &file["modified"]));
    }
    for directory in ["a", "a/", "./a", "a/."] {
        assert_eq!(names(&list(&mut client, directory)), ["a/b/c", "a/in", "a/z"], "{directory}");
    }
    assert_eq!(names(&list(&mut client, "again/b")), ["again/b/c"]);
    assert_eq!(list(&mut client, "nothing"), json!({"files": []}));
}

fn only_directories_below_the_root_are_listed<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    depot.put("file", b"");
    symlink("..", depot.path("parent")).unwrap();
    mknodat(CWD, depot.path("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let mut client = depot.dial();
    for (code, directory) in [
        ("refused", ".."),
        ("refused", "/"),
        ("refused", "/etc"),
        ("refused", "parent"),
        ("refused", "parent/root"),
        ("refused", "file/../.."),
        ("refused", "\0"),
        ("refused", "file"),
        ("refused", "fifo"),
        ("not-found", "missing"),
    ] {
        assert_eq!(list(&mut client, directory)["error"]["code"], code, "{directory:?}");
    }
}

fn a_listing_fits_a_frame_and_says_what_it_leaves_out<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    // Two of these take more than twice their length as JSON.
    let name = |number: usize| format!("many/{}{number:04}", "\"".repeat(230));
    depot.put("few/x", b"");
    (0..3000).for_each(|number| depot.put(&name(number), b""));
    let mut client = depot.dial();
    let listing = list(&mut client, "many");
    let found = names(&listing);
    assert_eq!(listing["truncated"], true);
    assert!(found.len() > 1000 && found.is_sorted(), "{} files", found.len());
    assert_eq!(names(&list(&mut client, "few")), ["few/x"]);
}

fn depth_has_an_end<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    depot.put(&("d/".repeat(60) + "reached"), b"");
    depot.put(&("d/".repeat(100) + "too deep"), b"");
    let mut client = depot.dial();
    let listing = list(&mut client, "");
    assert_eq!(names(&listing), ["d/".repeat(60) + "reached"]);
    assert_eq!(listing["truncated"], true);
    assert_eq!(names(&list(&mut client, &"d/".repeat(50))).len(), 2, "from further down it is seen");
}
