//! Fetching over HTTP/1.1, on a hand-opened socket that never waits.
//!
//! What decides is pure: [`Response`] is given bytes as they come, cut anywhere, and says what they are; [`Target`] is an address and
//! how it is asked for. [`fetch`] drives them: it knows the clock and the limits, and only `net` knows the socket. Nothing here
//! knows a file or a terminal; where the bytes go is the [`Sink`]'s affair.
//!
//! Invariant: nothing that a server says is believed before it is bounded, and every way in which it can lie or hold us up has an
//! error of its own.

mod body;
mod chunked;
mod error;
mod fault;
mod fetch;
mod head;
mod line;
mod lines;
mod net;
mod request;
mod resolve;
mod response;
mod target;

pub use error::{FetchError, TimeLimit};
pub use fault::Fault;
pub use fetch::{Fetched, Plan, Sink, fetch};
pub use head::Head;
pub use net::Stop;
pub use request::{BadHeader, Header};
pub use response::{Event, Response};
pub use target::{BadUrl, Target};
