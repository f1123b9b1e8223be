//! Sends requests to a files service, in both dialects. It serves `fuzz/files/served`, beside which
//! there is a file that no request may reach.
//!
//! - Each request gets one reply: a header and the file's bytes with its checksum, a listing, or an
//!   error, each parsed and encoded again to the same bytes.
//! - The replies do not depend on the pieces in which a request arrives, nor on the next request
//!   coming before the reply.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::script::{Cuts, Script};
use crate::engine::limits::Limits;
use crate::frame::escape::hex;
use crate::frame::{FrameDecoder, Framing, encode};
use crate::reactor::scripted_loop::ScriptedLoop;
use crate::services::files::wire::{FileHeader, FilesErrorReply, FilesRequest, Listing};
use crate::services::files::{Files, FilesDialect};

/// The most requests of one input: as many as the service queues for a connection, and the current
/// one.
const MAX_REQUESTS: usize = 17;

/// Part of the file that is outside of the served directory.
const OUTSIDE: &[u8] = b"never to be sent";

/// The order in which a client sends.
#[derive(Clone, Copy)]
enum Order {
    /// The next request after the reply.
    OneByOne,
    /// The same, and each request in pieces.
    InPieces(Cuts),
    AllAtOnce,
}

/// Runs the target `files_wire`.
pub fn files_wire(input: &[u8]) {
    let mut script = Script::new(input);
    let framings =
        [Framing::U32BE, Framing::U24BE, Framing::U32LE, Framing::U64BE, Framing::Varint, Framing::Raw, Framing::Raw];
    let (framing, cuts) = (script.choose(&framings), script.cuts());
    if framing == Framing::Raw {
        check_plain(script.rest());
        return;
    }
    let lines = script.rest().split(|byte| *byte == b'\n').take(MAX_REQUESTS);
    let requests: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let replies = replies(framing, &requests, Order::OneByOne);
    check(&requests, &replies);
    assert_eq!(replies, self::replies(framing, &requests, Order::InPieces(cuts)));
    assert_eq!(replies, self::replies(framing, &requests, Order::AllAtOnce));
}

fn served() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/files/served")
}

fn engine(framing: Framing, dialect: FilesDialect) -> ScriptedLoop {
    let files = Files::open(served(), dialect).expect("the directory is in the repository");
    let limits = Limits { max_queued_messages: 1, ..Limits::default() };
    ScriptedLoop::new(limits, framing, files.options("files"), files)
}

/// Sends the requests, and returns the payloads of all replies.
fn replies(framing: Framing, requests: &[&[u8]], order: Order) -> Vec<Vec<u8>> {
    let mut engine = engine(framing, FilesDialect::Framed);
    let socket = engine.connect(([127, 0, 0, 1], 1).into());
    for request in requests {
        let mut frame = Vec::new();
        encode(framing, request, &mut frame).expect("the framing can carry any request");
        let pieces = if let Order::InPieces(cuts) = order { cuts.pieces(&frame) } else { vec![&frame[..]] };
        for piece in pieces {
            socket.send(piece);
            if !matches!(order, Order::AllAtOnce) {
                engine.run_until_idle();
            }
        }
    }
    engine.finish(std::slice::from_ref(&socket));
    let written = socket.written();
    let (mut decoder, mut input, mut payloads) = (FrameDecoder::new(framing, usize::MAX), &written[..], Vec::new());
    while let Some(payload) = decoder.decode(&mut input).expect("the output is valid frames") {
        payloads.push(payload.to_vec());
    }
    assert_eq!(decoder.unfinished_bytes(), None, "the output ends within a frame");
    payloads
}

/// Checks that the replies are those to the requests, in order.
fn check(requests: &[&[u8]], replies: &[Vec<u8>]) {
    let mut replies = replies.iter();
    for payload in requests {
        let reply = replies.next().expect("each request has a reply");
        let request = match FilesRequest::from_json(payload) {
            Ok(request) => request,
            Err(error) => {
                assert_eq!(same::<FilesErrorReply>(reply), Some(FilesErrorReply { error }));
                continue;
            }
        };
        assert_eq!(FilesRequest::from_json(&request.to_json()).as_ref(), Ok(&request));
        if let Some(FilesErrorReply { error }) = same(reply) {
            let codes = ["not-found", "refused", "bad-offset", "failed"];
            assert!(codes.contains(&&*error.code), "{request:?}: {error:?}");
            continue;
        }
        match request {
            FilesRequest::List { .. } => {
                let listing = same::<Listing>(reply).expect("a listing");
                assert!(listing.files.is_sorted_by(|one, next| one.name < next.name), "{listing:?}");
            }
            FilesRequest::Get { get, offset } => {
                let header = same::<FileHeader>(reply).expect("a header");
                assert_eq!((&header.name, header.offset), (&get, offset));
                let mut bytes = Vec::new();
                while (bytes.len() as u64) < header.size - offset {
                    bytes.extend_from_slice(replies.next().expect("the file is whole"));
                }
                assert_eq!(bytes.len() as u64, header.size - offset);
                assert!(offset > 0 || hex(&Sha256::digest(&bytes)) == header.sha256, "the checksum is wrong");
                assert!(memchr::memmem::find(&bytes, OUTSIDE).is_none(), "a file outside of the directory was sent");
            }
        }
    }
    assert_eq!(replies.next(), None, "a reply without a request");
}

/// Parses a reply, which must be encoded again to the same bytes.
fn same<T: Serialize + DeserializeOwned>(reply: &[u8]) -> Option<T> {
    let parsed = serde_json::from_slice(reply).ok()?;
    assert_eq!(serde_json::to_vec(&parsed).ok().as_deref(), Some(reply));
    Some(parsed)
}

/// Checks that the reply to a name is a file of the directory or nothing, and then the end.
fn check_plain(name: &[u8]) {
    let mut engine = engine(Framing::Raw, FilesDialect::Plain);
    let socket = engine.connect(([127, 0, 0, 1], 1).into());
    socket.send(name);
    engine.run_until_idle();
    assert_eq!(socket.is_shut_down(), !name.is_empty(), "the reply ends with the end of the stream");
    engine.finish(std::slice::from_ref(&socket));
    let reply = socket.written();
    let known = ["hello", "nested/numbers"].map(|name| std::fs::read(served().join(name)).unwrap_or_default());
    assert!(reply.is_empty() || known.contains(&reply), "a reply that is no file of the directory");
}
