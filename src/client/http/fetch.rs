//! The fetch of a URL, redirects included. This file applies the timeouts and limits;
//! [`HttpResponseParser`] parses the bytes, and a [`Conversation`] holds the stream.
//!
//! Invariant: the work between two waits is bounded, so that a deadline or a cancel is noticed. The
//! stall timeout does not run while the sink is busy.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use url::Host;

use super::fetch_error::{FetchError, TimeoutKind};
use super::http_error::HttpError;
use super::http_url::HttpUrl;
use super::request::{RequestHeader, request};
use super::response_head::ResponseHead;
use super::response_parser::{HttpEvent, HttpResponseParser};
use crate::client::conversation::{Conversation, ConversationError};
use crate::client::wait::{CancelToken, WaitFor, WaitLimits, WaitResult};
use crate::frame::Framing;
use crate::net::{Endpoint, Resolution, SocketStream};

/// Maximum number of bytes per read.
const READ_BYTES: usize = 256 << 10;

/// Options of a fetch.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Limit on the whole fetch, redirects included; `None`: unlimited.
    pub timeout: Option<Duration>,
    /// Limit on resolving the host name and connecting, for each server; `None`: the system's
    /// limits.
    pub connect_timeout: Option<Duration>,
    /// Limit on the time without progress; `None`: unlimited.
    pub stall_timeout: Option<Duration>,
    /// Maximum length of the body in bytes; `None`: unlimited.
    pub max_bytes: Option<u64>,
    /// Maximum number of redirects.
    pub max_redirects: u32,
    /// Header fields to send in addition to the default ones, or instead of them.
    pub headers: Vec<RequestHeader>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            timeout: Some(Duration::from_secs(5 * 60)),
            connect_timeout: Some(Duration::from_secs(10)),
            stall_timeout: Some(Duration::from_secs(30)),
            max_bytes: Some(1 << 30),
            max_redirects: 5,
            headers: Vec::new(),
        }
    }
}

/// The receiver of a response. A return value of `Break` cancels the fetch.
pub trait ResponseSink {
    /// Called for each redirect, from one URL to another.
    fn on_redirect(&mut self, _from: &HttpUrl, _head: &ResponseHead, _to: &HttpUrl) {}

    /// Called for the head of the final response, whatever its status. `content_length` is the
    /// length of the body in bytes, if the status is 2xx and the head declares it.
    ///
    /// # Errors
    /// The head cannot be stored; this ends the fetch.
    fn on_head(
        &mut self,
        _from: &HttpUrl,
        _head: &ResponseHead,
        _content_length: Option<u64>,
    ) -> io::Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }

    /// Called for each piece of the body of a 2xx response.
    ///
    /// # Errors
    /// The bytes cannot be stored; this ends the fetch.
    fn on_body(&mut self, bytes: &[u8]) -> io::Result<ControlFlow<()>>;
}

/// The result of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedResponse {
    /// URL of the final response, after all redirects.
    pub url: HttpUrl,
    /// Head of the final response.
    pub head: ResponseHead,
    /// Length of the body in bytes.
    pub received_bytes: u64,
}

/// Fetches `url` and passes the response to `sink`. It blocks until the body is complete, a limit
/// is exceeded, or `cancel` fires.
///
/// # Errors
/// [`FetchError`] if the response is not complete. The body that the sink received is then
/// truncated.
pub fn fetch(
    url: &HttpUrl,
    options: &FetchOptions,
    sink: &mut dyn ResponseSink,
    cancel: CancelToken<'_>,
) -> Result<FetchedResponse, FetchError> {
    let limits = WaitLimits { cancel, ..options.timeout.map(WaitLimits::within).unwrap_or_default() };
    let mut fetcher = Fetcher { options, limits, received_bytes: 0 };
    let (mut current, mut visited) = (url.clone(), Vec::new());
    loop {
        let (head, location) = match fetcher.request(&current, current.has_same_origin(url), sink)? {
            RequestOutcome::Done(head) => {
                return Ok(FetchedResponse { url: current, head, received_bytes: fetcher.received_bytes });
            }
            RequestOutcome::Redirect(head, location) => (head, location),
        };
        let next = current.join(&location).map_err(FetchError::BadLocation)?;
        sink.on_redirect(&current, &head, &next);
        visited.push(current);
        if visited.contains(&next) {
            return Err(FetchError::RedirectLoop(next.to_string()));
        }
        if visited.len() > options.max_redirects as usize {
            return Err(FetchError::TooManyRedirects(options.max_redirects));
        }
        current = next;
    }
}

/// The result of one request.
enum RequestOutcome {
    /// The head of the final response, whose body is complete.
    Done(ResponseHead),
    /// The head, and the value of its `Location` field.
    Redirect(ResponseHead, String),
}

/// The state that all requests of one fetch share.
struct Fetcher<'a> {
    options: &'a FetchOptions,
    /// The deadline of the whole fetch, and the cancel.
    limits: WaitLimits<'a>,
    /// Bytes of the body received.
    received_bytes: u64,
}

impl Fetcher<'_> {
    /// Sends one request and receives its response.
    fn request(
        &mut self,
        url: &HttpUrl,
        is_same_origin: bool,
        sink: &mut dyn ResponseSink,
    ) -> Result<RequestOutcome, FetchError> {
        let stream = self.connect(url)?;
        // The payload limit does not apply: a conversation in bytes decodes no frames.
        let mut conversation = Conversation::new(stream, Framing::Raw, 0).with_read_bytes(READ_BYTES);
        conversation.queue_bytes(&request(url, &self.options.headers, is_same_origin));
        let limits = self.limits.with_stall_timeout(self.options.stall_timeout);
        let (mut parser, mut final_head) = (HttpResponseParser::new(), None);
        loop {
            let mut input = conversation.receive_bytes(limits).map_err(|error| self.receive_error(error))?;
            if input.is_empty() {
                parser.handle_close()?;
                return final_head.map(RequestOutcome::Done).ok_or(FetchError::Http(HttpError::NoResponse));
            }
            while let Some(event) = parser.next_event(&mut input)? {
                match event {
                    HttpEvent::Head(head) => {
                        if let Some(location) = location(&head)? {
                            return Ok(RequestOutcome::Redirect(head, location));
                        }
                        final_head = Some(self.handle_head(url, head, parser.content_length(), sink)?);
                    }
                    HttpEvent::Body(bytes) => self.handle_body(bytes, sink)?,
                    HttpEvent::End => {
                        // Trailing data is an error only if it has already arrived.
                        parser.next_event(&mut input)?;
                        if conversation.has_trailing_data() {
                            parser.next_event(&mut &[0][..])?;
                        }
                        return final_head.map(RequestOutcome::Done).ok_or(FetchError::Http(HttpError::NoResponse));
                    }
                }
            }
        }
    }

    fn receive_error(&self, error: ConversationError) -> FetchError {
        match error {
            ConversationError::Stalled => self.timeout_error(TimeoutKind::Stall),
            ConversationError::DeadlinePassed => self.timeout_error(TimeoutKind::Total),
            ConversationError::Cancelled => FetchError::Cancelled,
            ConversationError::Io(error) => FetchError::Io { error, received_bytes: self.received_bytes },
            other => FetchError::System(io::Error::other(other)),
        }
    }

    fn timeout_error(&self, kind: TimeoutKind) -> FetchError {
        let timeout = match kind {
            TimeoutKind::Resolve => self.options.connect_timeout,
            TimeoutKind::Stall => self.options.stall_timeout,
            TimeoutKind::Total => self.options.timeout,
        };
        FetchError::Timeout { kind, timeout: timeout.unwrap_or_default(), received_bytes: self.received_bytes }
    }

    fn handle_head(
        &mut self,
        url: &HttpUrl,
        head: ResponseHead,
        content_length: Option<u64>,
        sink: &mut dyn ResponseSink,
    ) -> Result<ResponseHead, FetchError> {
        let is_good = matches!(head.status(), 200..=299);
        sink_result(sink.on_head(url, &head, content_length.filter(|_| is_good)))?;
        match (self.options.max_bytes, content_length) {
            _ if !is_good => Err(FetchError::Status(Box::new(head))),
            (Some(max_bytes), Some(content_length)) if content_length > max_bytes => {
                Err(FetchError::TooLarge { max_bytes, declared_bytes: Some(content_length) })
            }
            _ => Ok(head),
        }
    }

    fn handle_body(&mut self, bytes: &[u8], sink: &mut dyn ResponseSink) -> Result<(), FetchError> {
        self.received_bytes += bytes.len() as u64;
        match self.options.max_bytes {
            Some(max_bytes) if self.received_bytes > max_bytes => {
                Err(FetchError::TooLarge { max_bytes, declared_bytes: None })
            }
            _ => sink_result(sink.on_body(bytes)),
        }
    }

    /// Connects to the first address that accepts. Each attempt gets an equal share of the
    /// remaining time, so that a silent first address leaves time for the others.
    fn connect(&self, url: &HttpUrl) -> Result<SocketStream, FetchError> {
        let until = self.options.connect_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
        let addrs = self.resolve_addresses(url, left())?;
        let (mut errors, mut remaining) = (Vec::new(), u32::try_from(addrs.len()).unwrap_or(u32::MAX));
        for addr in addrs {
            match self.connect_one(addr, left().map(|left| left / remaining))? {
                Ok(stream) => return Ok(stream),
                Err(error) => errors.push((addr, error)),
            }
            remaining = remaining.saturating_sub(1).max(1);
        }
        Err(FetchError::Connect(errors))
    }

    fn connect_one(&self, addr: SocketAddr, timeout: Option<Duration>) -> Result<io::Result<SocketStream>, FetchError> {
        let stream = match SocketStream::start_connect(&Endpoint::Tcp(addr)) {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            if !self.wait(&stream, WaitFor::Writable, timeout)? {
                return Ok(Err(io::ErrorKind::TimedOut.into()));
            }
            match stream.check_connected() {
                Ok(true) => return Ok(Ok(stream)),
                Ok(false) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn resolve_addresses(&self, url: &HttpUrl, timeout: Option<Duration>) -> Result<Vec<SocketAddr>, FetchError> {
        let name = match url.host() {
            Host::Ipv4(ip) => return Ok(vec![(*ip, url.port()).into()]),
            Host::Ipv6(ip) => return Ok(vec![(*ip, url.port()).into()]),
            Host::Domain(name) => name.clone(),
        };
        let resolution = Resolution::start(name.clone(), url.port()).map_err(FetchError::System)?;
        if !self.wait(&resolution, WaitFor::Readable, timeout)? {
            return Err(self.timeout_error(TimeoutKind::Resolve));
        }
        match resolution.into_result(Duration::MAX) {
            Ok(addrs) if !addrs.is_empty() => Ok(addrs),
            Ok(_) => Err(FetchError::Resolve { host: name, error: io::Error::other("it has no address") }),
            Err(error) => Err(FetchError::Resolve { host: name, error }),
        }
    }

    /// Waits until `file` is ready. Returns false after `timeout`.
    fn wait(&self, file: &impl AsFd, wait_for: WaitFor, timeout: Option<Duration>) -> Result<bool, FetchError> {
        let limits = self.limits.with_stall_timeout(timeout);
        match limits.wait(file, wait_for).map_err(FetchError::System)? {
            WaitResult::Ready => Ok(true),
            WaitResult::Stalled => Ok(false),
            WaitResult::DeadlinePassed => Err(self.timeout_error(TimeoutKind::Total)),
            WaitResult::Cancelled => Err(FetchError::Cancelled),
        }
    }
}

/// Returns the target of a redirect: RFC 9110, section 15.4.
fn location(head: &ResponseHead) -> Result<Option<String>, FetchError> {
    if !matches!(head.status(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    match head.values("Location").next() {
        Some(location) if !location.is_empty() => Ok(Some(percent_encoded(location))),
        _ => Err(FetchError::MissingLocation(Box::new(head.clone()))),
    }
}

/// Percent-encodes the bytes above 127. A server of any encoding receives the bytes that it sent.
fn percent_encoded(location: &[u8]) -> String {
    location.iter().fold(String::with_capacity(location.len()), |mut text, byte| {
        match byte {
            0..=127 => text.push(char::from(*byte)),
            // Writing to a String cannot fail.
            _ => _ = write!(text, "%{byte:02X}"),
        }
        text
    })
}

fn sink_result(result: io::Result<ControlFlow<()>>) -> Result<(), FetchError> {
    match result {
        Ok(ControlFlow::Continue(())) => Ok(()),
        Ok(ControlFlow::Break(())) => Err(FetchError::Cancelled),
        Err(error) => Err(FetchError::Sink(error)),
    }
}
