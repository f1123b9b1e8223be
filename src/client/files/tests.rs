//! Tests of the requests and of the reply checks.

use super::*;

/// SHA-256 of "hi".
const SUM: &str = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4";

fn head(size: &str, offset: &str, sum: &str) -> Vec<u8> {
    format!(r#"{{"name":"x","size":{size},"offset":{offset},"sha256":"{sum}","modified":"2026-01-01T00:00:00Z"}}"#)
        .into()
}

#[test]
fn resumed_download_requests_the_rest_and_verifies_the_whole() {
    for first in ["h", "H"] {
        let mut download = FileDownload::new("x");
        download.add_received(first.as_bytes());
        assert_eq!(download.request(), br#"{"get":"x","offset":1}"#);
        download.handle_frame(&head("2", "1", SUM)).unwrap();
        assert!(!download.is_complete());
        download.handle_frame(b"i").unwrap();
        assert!(download.is_complete());
        let expected = if first == "h" { Ok(()) } else { Err(DownloadError::ChecksumMismatch) };
        assert_eq!(download.verify(), expected);
    }
}

#[test]
fn data_after_a_complete_download_is_an_error() {
    let mut download = FileDownload::new("x");
    download.add_received(b"hi");
    download.handle_frame(&head("2", "2", &SUM.to_uppercase())).unwrap();
    assert!(download.is_complete());
    assert_eq!(download.clone().verify(), Ok(()));
    assert_eq!(download.handle_frame(b"i"), Err(DownloadError::TrailingData { size: 2 }));
}

#[test]
fn invalid_heads_are_rejected() {
    for (head, expected) in [
        (b"hello".to_vec(), "invalid reply"),
        (b"{}".to_vec(), "missing field"),
        (head("-1", "0", SUM), "invalid reply"),
        (head("1e3", "0", SUM), "invalid reply"),
        (head("2", "1", SUM), "starts at byte 1"),
        (head("2", "0", ""), "sha256 must be 64"),
        (head("2", "0", &SUM[1..]), "sha256 must be 64"),
        (head("2", "0", &SUM.replace('8', "g")), "sha256 must be 64"),
        (head("2", "0", &format!("+{}", &SUM[1..])), "sha256 must be 64"),
        (br#"{"name":"x","size":2,"offset":0}"#.to_vec(), "missing field `sha256`"),
        (br#"{"error":{"code":"not-found","text":"no"}}"#.to_vec(), "no (not-found)"),
        (br#"{"error":{"code":"odd"}}"#.to_vec(), "server error: odd"),
    ] {
        let error = FileDownload::new("x").handle_frame(&head).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut download = FileDownload::new("x");
    download.add_received(b"hi!");
    let error = download.handle_frame(&head("2", "3", SUM)).unwrap_err().to_string();
    assert!(error.contains("size 2 is less than offset 3"), "{error}");
}

#[test]
fn invalid_bodies_are_rejected() {
    let mut download = FileDownload::new("x");
    assert_eq!(download.unexpected_eof(), DownloadError::NoReply);
    download.handle_frame(&head("2", "0", SUM)).unwrap();
    assert_eq!(download.handle_frame(b""), Err(DownloadError::EmptyFrame));
    assert_eq!(download.handle_frame(b"hi!"), Err(DownloadError::TrailingData { size: 2 }));
    download.handle_frame(b"h").unwrap();
    assert_eq!(download.unexpected_eof(), DownloadError::TruncatedFile { received_bytes: 1, size: 2 });
    assert_eq!(download.handle_frame(b"i!"), Err(DownloadError::TrailingData { size: 2 }));
    download.handle_frame(b"o").unwrap();
    assert_eq!(download.verify(), Err(DownloadError::ChecksumMismatch));
}

#[test]
fn listing_and_refusal_are_distinguished() {
    assert_eq!(list_request("a"), br#"{"list":"a"}"#);
    let listing = parse_listing(br#"{"files":[{"name":"a","size":1,"mode":"x"}],"truncated":true}"#).unwrap();
    assert_eq!((listing.files[0].name.as_str(), listing.files[0].size, listing.truncated), ("a", 1, true));
    let refusal = parse_listing(br#"{"error":{"code":"refused","text":"no"}}"#);
    assert!(matches!(refusal, Err(DownloadError::Refused(_))));
    let negative = parse_listing(br#"{"files":[{"name":"a","size":-1}]}"#);
    assert!(matches!(negative, Err(DownloadError::InvalidReply(_))));
}
