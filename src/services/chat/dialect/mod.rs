//! The chat dialects: bytes to requests, events to bytes. They know no member and no room.

mod codec;
mod datagram;
mod json;
mod kind;
mod lines;
mod operator;
mod utf8;

pub(super) use codec::{
    encode_datagram, encode_event, encode_json, encode_operator_event, encode_text, parse_frame, parse_operator_line,
    rejection,
};
pub use datagram::requested_proof;
pub(super) use datagram::{DatagramMessage, is_error_datagram, parse_datagram, proof_request};
pub(super) use kind::ChatDialect;
pub(super) use lines::{MEMBER_HELP, is_http_request};
pub(super) use operator::OPERATOR_HELP;
