//! The fetch of a URL, redirects included. This file applies the timeouts and limits;
//! [`HttpResponseParser`] parses the bytes, and `poller` holds the socket.
//!
//! Invariant: the work between two waits is bounded, so that a deadline or a cancel is noticed. The
//! stall timeout does not run while the sink is busy.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use url::Host;

use super::connection::HttpConnection;
use super::deadline::FetchDeadline;
use super::fetch_error::{FetchError, TimeoutKind};
use super::http_error::HttpError;
use super::http_url::HttpUrl;
use super::poller::{CancelToken, HttpSocket, PollEvents, SocketPoller};
use super::request::{RequestHeader, request};
use super::resolve::resolve;
use super::response_head::ResponseHead;
use super::response_parser::{HttpEvent, HttpResponseParser};

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
            timeout: Some(Duration::from_mins(5)),
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
    let poller = SocketPoller::new(cancel).map_err(FetchError::System)?;
    let total = FetchDeadline::after(options.timeout, TimeoutKind::Total);
    let mut fetcher = Fetcher { options, poller, total, received_bytes: 0 };
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
    poller: SocketPoller,
    /// Deadline of the whole fetch.
    total: Option<FetchDeadline>,
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
        let socket = self.connect(url)?;
        let mut connection = HttpConnection::new(socket, request(url, &self.options.headers, is_same_origin));
        let (mut parser, mut final_head) = (HttpResponseParser::new(), None);
        let mut buffer = vec![0; READ_BYTES];
        let mut stall = FetchDeadline::after(self.options.stall_timeout, TimeoutKind::Stall);
        loop {
            let sent = connection.send();
            let read = connection.receive(&mut buffer);
            let read = read.map_err(|error| FetchError::Io { error, received_bytes: self.received_bytes })?;
            if read == Some(0) {
                parser.handle_close()?;
                return final_head.map(RequestOutcome::Done).ok_or(FetchError::Http(HttpError::NoResponse));
            }
            let mut input = buffer.get(..read.unwrap_or(0)).unwrap_or_default();
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
                        check_trailing_data(&mut parser, input, &mut connection)?;
                        return final_head.map(RequestOutcome::Done).ok_or(FetchError::Http(HttpError::NoResponse));
                    }
                }
            }
            if sent || read.is_some() {
                stall = FetchDeadline::after(self.options.stall_timeout, TimeoutKind::Stall);
            }
            connection.handle_events(self.wait(stall, connection.is_ready())?);
        }
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
    fn connect(&mut self, url: &HttpUrl) -> Result<HttpSocket, FetchError> {
        let limit = FetchDeadline::after(self.options.connect_timeout, TimeoutKind::Resolve);
        let addrs = self.resolve_addresses(url, limit)?;
        let (mut errors, mut remaining) = (Vec::new(), u32::try_from(addrs.len()).unwrap_or(u32::MAX));
        for addr in addrs {
            let timeout = limit.map(|limit| limit.at.saturating_duration_since(Instant::now()) / remaining);
            match self.connect_one(addr, timeout)? {
                Ok(socket) => return Ok(socket),
                Err(error) => errors.push((addr, error)),
            }
            remaining = remaining.saturating_sub(1).max(1);
        }
        Err(FetchError::Connect(errors))
    }

    fn connect_one(
        &mut self,
        addr: SocketAddr,
        timeout: Option<Duration>,
    ) -> Result<io::Result<HttpSocket>, FetchError> {
        let socket = match self.poller.connect(addr) {
            Ok(socket) => socket,
            Err(error) => return Ok(Err(error)),
        };
        let limit = FetchDeadline::after(timeout, TimeoutKind::Stall);
        loop {
            let events = match self.wait(limit, false) {
                Err(FetchError::Timeout { kind: TimeoutKind::Stall, .. }) => {
                    return Ok(Err(io::ErrorKind::TimedOut.into()));
                }
                events => events?,
            };
            if events.writable {
                match socket.check_connected() {
                    Ok(true) => return Ok(Ok(socket)),
                    Ok(false) => {}
                    Err(error) => return Ok(Err(error)),
                }
            }
        }
    }

    fn resolve_addresses(
        &mut self,
        url: &HttpUrl,
        limit: Option<FetchDeadline>,
    ) -> Result<Vec<SocketAddr>, FetchError> {
        let name = match url.host() {
            Host::Ipv4(ip) => return Ok(vec![(*ip, url.port()).into()]),
            Host::Ipv6(ip) => return Ok(vec![(*ip, url.port()).into()]),
            Host::Domain(name) => name.clone(),
        };
        let reply = resolve(name.clone(), url.port(), self.poller.waker()).map_err(FetchError::System)?;
        loop {
            match reply.try_recv() {
                Err(TryRecvError::Empty) => self.wait(limit, false)?,
                Ok(Ok(addrs)) if !addrs.is_empty() => return Ok(addrs),
                result => {
                    let error = result.ok().and_then(Result::err);
                    let error = error.unwrap_or_else(|| io::Error::other("it has no address"));
                    return Err(FetchError::Resolve { host: name, error });
                }
            };
        }
    }

    /// Waits for an event until `limit` or the deadline of the fetch; if `is_busy`, it only polls.
    fn wait(&mut self, limit: Option<FetchDeadline>, is_busy: bool) -> Result<PollEvents, FetchError> {
        let next = [self.total, limit].into_iter().flatten().min_by_key(|deadline| deadline.at);
        let remaining = next.map(|deadline| deadline.at.saturating_duration_since(Instant::now()));
        let timeout = if is_busy { Some(Duration::ZERO) } else { remaining };
        let events = self.poller.wait(timeout).map_err(FetchError::System)?;
        if events.cancelled {
            return Err(FetchError::Cancelled);
        }
        // An event ends a stall, even if it was noticed after the deadline.
        let is_silent = !is_busy && !events.readable && !events.writable;
        match next {
            Some(FetchDeadline { kind, timeout, at })
                if Instant::now() >= at && (is_silent || kind == TimeoutKind::Total) =>
            {
                Err(FetchError::Timeout { kind, timeout, received_bytes: self.received_bytes })
            }
            _ => Ok(events),
        }
    }
}

/// Returns the target of a redirect: RFC 9110, section 15.4.
fn location(head: &ResponseHead) -> Result<Option<String>, FetchError> {
    if !matches!(head.status(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    match head.values("Location").next() {
        Some(location) if !location.is_empty() => Ok(Some(String::from_utf8_lossy(location).into_owned())),
        _ => Err(FetchError::MissingLocation(Box::new(head.clone()))),
    }
}

/// Returns an error if bytes follow the declared body. It examines the received bytes and reads
/// once more, but does not wait.
fn check_trailing_data(
    parser: &mut HttpResponseParser,
    mut rest: &[u8],
    connection: &mut HttpConnection,
) -> Result<(), FetchError> {
    parser.next_event(&mut rest)?;
    let mut byte = [0];
    if let Ok(Some(1)) = connection.receive(&mut byte) {
        parser.next_event(&mut &byte[..])?;
    }
    Ok(())
}

fn sink_result(result: io::Result<ControlFlow<()>>) -> Result<(), FetchError> {
    match result {
        Ok(ControlFlow::Continue(())) => Ok(()),
        Ok(ControlFlow::Break(())) => Err(FetchError::Cancelled),
        Err(error) => Err(FetchError::Sink(error)),
    }
}
