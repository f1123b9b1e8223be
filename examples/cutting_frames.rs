//! Framing without a socket: the same bytes, split in three ways, give the same payloads.
//! Run `cargo run --example cutting_frames`.

use switchboard::{FrameDecoder, Framing, encode};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // ANCHOR: cutting
    let mut wire = Vec::new();
    for payload in ["one", "", "three"] {
        encode(Framing::U32BE, payload.as_bytes(), &mut wire)?;
    }
    for piece_bytes in [1, 5, wire.len()] {
        let mut decoder = FrameDecoder::new(Framing::U32BE, 1024);
        let mut payloads = Vec::new();
        for mut piece in wire.chunks(piece_bytes) {
            while let Some(payload) = decoder.decode(&mut piece)? {
                payloads.push(String::from_utf8(payload.to_vec())?);
            }
        }
        assert_eq!(payloads, ["one", "", "three"]);
        println!("in pieces of {piece_bytes}: {payloads:?}");
    }
    // ANCHOR_END: cutting
    Ok(())
}
