//! The pure half: what is said, and what an answer means.

use super::*;

/// SHA-256 of "hi".
const SUM: &str = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4";

fn head(size: &str, offset: &str, sum: &str) -> Vec<u8> {
    format!(r#"{{"name":"x","size":{size},"offset":{offset},"sha256":"{sum}","modified":"2026-01-01T00:00:00Z"}}"#)
        .into()
}

#[test]
fn what_is_there_already_is_not_asked_for_and_is_verified_with_the_rest() {
    for first in ["h", "H"] {
        let mut download = Download::new("x");
        download.has(first.as_bytes());
        assert_eq!(download.request(), br#"{"get":"x","offset":1}"#);
        download.on_frame(&head("2", "1", SUM)).unwrap();
        assert!(!download.is_complete());
        download.on_frame(b"i").unwrap();
        assert!(download.is_complete());
        assert_eq!(download.verify(), if first == "h" { Ok(()) } else { Err(Trouble::Changed) });
    }
}

#[test]
fn nothing_may_follow_what_is_there() {
    let mut download = Download::new("x");
    download.has(b"hi");
    download.on_frame(&head("2", "2", &SUM.to_uppercase())).unwrap();
    assert!(download.is_complete());
    assert_eq!(download.clone().verify(), Ok(()));
    assert_eq!(download.on_frame(b"i"), Err(Trouble::TooMany { size: 2 }));
}

#[test]
fn heads_that_lie_are_not_believed() {
    for (head, says) in [
        (b"hello".to_vec(), "not understood"),
        (b"{}".to_vec(), "missing field"),
        (head("-1", "0", SUM), "not understood"),
        (head("1e3", "0", SUM), "not understood"),
        (head("2", "1", SUM), "begins at byte 1"),
        (head("2", "0", ""), "sha256 is none"),
        (head("2", "0", &SUM[1..]), "sha256 is none"),
        (head("2", "0", &SUM.replace('8', "g")), "sha256 is none"),
        (head("2", "0", &format!("+{}", &SUM[1..])), "sha256 is none"),
        (br#"{"name":"x","size":2,"offset":0}"#.to_vec(), "missing field `sha256`"),
        (br#"{"error":{"code":"not-found","text":"no"}}"#.to_vec(), "no (not-found)"),
        (br#"{"error":{"code":"odd"}}"#.to_vec(), "the server says odd"),
    ] {
        let trouble = Download::new("x").on_frame(&head).unwrap_err().to_string();
        assert!(trouble.contains(says), "{trouble}");
    }
    let mut download = Download::new("x");
    download.has(b"hi!");
    assert!(download.on_frame(&head("2", "3", SUM)).unwrap_err().to_string().contains("said to end at 2"));
}

#[test]
fn bodies_that_lie_are_not_believed() {
    let mut download = Download::new("x");
    assert_eq!(download.on_end(), Trouble::NoAnswer);
    download.on_frame(&head("2", "0", SUM)).unwrap();
    assert_eq!(download.on_frame(b""), Err(Trouble::NoBytes));
    assert_eq!(download.on_frame(b"hi!"), Err(Trouble::TooMany { size: 2 }));
    download.on_frame(b"h").unwrap();
    assert_eq!(download.on_end(), Trouble::EndedEarly { have: 1, size: 2 });
    assert_eq!(download.on_frame(b"i!"), Err(Trouble::TooMany { size: 2 }));
    download.on_frame(b"o").unwrap();
    assert_eq!(download.verify(), Err(Trouble::Changed));
}

#[test]
fn a_listing_is_told_from_a_refusal() {
    assert_eq!(list("a"), br#"{"list":"a"}"#);
    let listing = read_listing(br#"{"files":[{"name":"a","size":1,"mode":"x"}],"truncated":true}"#).unwrap();
    assert_eq!((listing.files[0].name.as_str(), listing.files[0].size, listing.truncated), ("a", 1, true));
    assert!(matches!(read_listing(br#"{"error":{"code":"refused","text":"no"}}"#), Err(Trouble::Refused(_))));
    assert!(matches!(read_listing(br#"{"files":[{"name":"a","size":-1}]}"#), Err(Trouble::NotUnderstood(_))));
}
