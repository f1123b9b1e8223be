//! Fetching over HTTP/1.1, on a hand-opened socket that never waits.
//!
//! What decides is pure: [`Response`] is given bytes as they come, cut anywhere, and says what they are; [`Target`] is an address and
//! how it is asked for. [`fetch`] drives them: it knows the clock and the limits, and only `poller` knows the socket. Nothing here
//! knows a file or a terminal; where the bytes go is the [`Sink`]'s affair.
//!
//! Invariant: nothing that a server says is believed before it is bounded, and every way in which it can lie or hold us up has an
//! error of its own.

mod body_decoder;
mod chunked;
mod connection;
mod fetch;
mod fetch_error;
mod header_reader;
mod http_error;
mod http_url;
mod poller;
mod request;
mod resolve;
mod response_head;
mod response_parser;

pub use fetch::{Fetched, Plan, Sink, fetch};
pub use fetch_error::{FetchError, TimeLimit};
pub use http_error::Fault;
pub use http_url::{BadUrl, Target};
pub use poller::Stop;
pub use request::{BadHeader, Header};
pub use response_head::Head;
pub use response_parser::{Event, Response};
