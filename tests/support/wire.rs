//! An independent encoder of the named framings and a decoder of u32be. The tests do not use the
//! library's encoder, because it is under test.

/// Encodes `payload` in the framing of this name.
pub(crate) fn encode_frame(framing: &str, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u64;
    let (header, trailer): (Vec<u8>, &[u8]) = match framing {
        "u8" => (len.to_be_bytes()[7..].to_vec(), b""),
        "u16be" => (len.to_be_bytes()[6..].to_vec(), b""),
        "u16le" => (len.to_le_bytes()[..2].to_vec(), b""),
        "u24be" => (len.to_be_bytes()[5..].to_vec(), b""),
        "u32be" => (len.to_be_bytes()[4..].to_vec(), b""),
        "u32le" => (len.to_le_bytes()[..4].to_vec(), b""),
        "u64be" => (len.to_be_bytes().to_vec(), b""),
        "varint" => (encode_varint(len), b""),
        "lines" => (Vec::new(), b"\n"),
        "raw" => (Vec::new(), b""),
        other => panic!("unknown framing {other}"),
    };
    [&header, payload, trailer].concat()
}

fn encode_varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Splits a stream of u32be frames into payloads. Panics if the stream ends inside a frame.
pub(crate) fn decode_u32be_frames(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut payloads = Vec::new();
    while !stream.is_empty() {
        let (header, rest) = stream.split_first_chunk::<4>().expect("the stream ends inside a header");
        let len = u32::from_be_bytes(*header) as usize;
        assert!(rest.len() >= len, "the stream ends inside a frame: {} of {len} payload bytes", rest.len());
        let (payload, rest) = rest.split_at(len);
        payloads.push(payload);
        stream = rest;
    }
    payloads
}
