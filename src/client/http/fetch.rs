//! Fetching: from a target to the last byte, redirects included. It knows the clock and every limit; what bytes mean is
//! [`Response`]'s affair, and what a socket is `net`'s.
//!
//! Its invariant: between two waits it does a bounded piece of work, so neither a deadline nor a stop is ever missed. A peer's time
//! does not run while the sink keeps us busy.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use url::Host;

use super::connection::Line;
use super::fetch_error::{FetchError, TimeLimit};
use super::http_error::Fault;
use super::http_url::Target;
use super::poller::{Net, Socket, Stop, Woken};
use super::request::{Header, request};
use super::resolve::resolve;
use super::response_head::Head;
use super::response_parser::{Event, Response};

/// Bytes that one read takes at most.
const READ_BYTES: usize = 256 << 10;

/// How a fetch is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For everything, redirects included; none: however long it takes.
    pub timeout: Option<Duration>,
    /// For looking the name up and connecting, for each server; none: as long as the system tries.
    pub connect_timeout: Option<Duration>,
    /// For the next byte; none: however long it takes.
    pub stall_timeout: Option<Duration>,
    /// Bytes that the body may have; none: any number.
    pub max_bytes: Option<u64>,
    /// How often a server may send us elsewhere.
    pub max_redirects: u32,
    /// Fields to send besides our own.
    pub headers: Vec<Header>,
}

impl Default for Plan {
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

/// Where what comes is put. `Break` has the fetch stopped.
pub trait Sink {
    /// The server sends us on, from there to there.
    fn on_redirect(&mut self, _from: &Target, _head: &Head, _to: &Target) {}

    /// The head of the answer that counts, be it good or bad; of a good one with the length of its body, if that is known.
    ///
    /// # Errors
    /// Where it could not be put.
    fn on_head(&mut self, _from: &Target, _head: &Head, _promised: Option<u64>) -> io::Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }

    /// A piece of the body of a good answer.
    ///
    /// # Errors
    /// Where it could not be put.
    fn on_body(&mut self, bytes: &[u8]) -> io::Result<ControlFlow<()>>;
}

/// What has been fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it came from in the end.
    pub target: Target,
    /// What it came with.
    pub head: Head,
    /// Bytes of the body.
    pub received: u64,
}

/// Fetches `target` and gives what comes to `sink`, until it is all there. It blocks, but not on the socket: it ends when `stop` says
/// so.
///
/// # Errors
/// Why it is not all there. What the sink was given until then is no whole body.
pub fn fetch(target: &Target, plan: &Plan, sink: &mut dyn Sink, stop: Stop<'_>) -> Result<Fetched, FetchError> {
    let net = Net::new(stop).map_err(FetchError::System)?;
    let end = Deadline::after(plan.timeout, TimeLimit::Whole);
    let mut fetch = Fetch { plan, net, end, received: 0 };
    let (mut here, mut visited) = (target.clone(), Vec::new());
    loop {
        let (head, location) = match fetch.ask(&here, here.has_origin_of(target), sink)? {
            Answer::Here(head) => return Ok(Fetched { target: here, head, received: fetch.received }),
            Answer::There(head, location) => (head, location),
        };
        let there = here.join(&location).map_err(FetchError::Astray)?;
        sink.on_redirect(&here, &head, &there);
        visited.push(here);
        if visited.contains(&there) {
            return Err(FetchError::Circle(there.to_string()));
        }
        if visited.len() > plan.max_redirects as usize {
            return Err(FetchError::TooManyRedirects(plan.max_redirects));
        }
        here = there;
    }
}

/// What came of asking one server.
enum Answer {
    Here(Head),
    /// The head, and what its `Location` says.
    There(Head, String),
}

struct Fetch<'a> {
    plan: &'a Plan,
    net: Net,
    end: Option<Deadline>,
    /// Bytes of the body so far.
    received: u64,
}

impl Fetch<'_> {
    fn ask(&mut self, target: &Target, is_named: bool, sink: &mut dyn Sink) -> Result<Answer, FetchError> {
        let socket = self.connect(target)?;
        let mut line = Line::new(socket, request(target, &self.plan.headers, is_named));
        let (mut response, mut answer) = (Response::new(), None);
        let mut buffer = vec![0; READ_BYTES];
        let mut stall = Deadline::after(self.plan.stall_timeout, TimeLimit::Stall);
        loop {
            let sent = line.send();
            let read = line.receive(&mut buffer);
            let read = read.map_err(|error| FetchError::Broken { error, received: self.received })?;
            if read == Some(0) {
                response.handle_close()?;
                return answer.map(Answer::Here).ok_or(FetchError::Fault(Fault::Silent));
            }
            let mut input = buffer.get(..read.unwrap_or(0)).unwrap_or_default();
            while let Some(event) = response.next_event(&mut input)? {
                match event {
                    Event::Head(head) => {
                        if let Some(location) = location(&head)? {
                            return Ok(Answer::There(head, location));
                        }
                        answer = Some(self.take_head(target, head, response.promised(), sink)?);
                    }
                    Event::Body(bytes) => self.take_body(bytes, sink)?,
                    Event::End => {
                        check_surplus(&mut response, input, &mut line)?;
                        return answer.map(Answer::Here).ok_or(FetchError::Fault(Fault::Silent));
                    }
                }
            }
            if sent || read.is_some() {
                stall = Deadline::after(self.plan.stall_timeout, TimeLimit::Stall);
            }
            line.note(self.wait(stall, line.is_ready())?);
        }
    }

    fn take_head(
        &mut self,
        target: &Target,
        head: Head,
        promised: Option<u64>,
        sink: &mut dyn Sink,
    ) -> Result<Head, FetchError> {
        let is_good = matches!(head.status(), 200..=299);
        obey(sink.on_head(target, &head, promised.filter(|_| is_good)))?;
        match (self.plan.max_bytes, promised) {
            _ if !is_good => Err(FetchError::Status(Box::new(head))),
            (Some(max_bytes), Some(promised)) if promised > max_bytes => {
                Err(FetchError::TooLarge { max_bytes, promised: Some(promised) })
            }
            _ => Ok(head),
        }
    }

    fn take_body(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<(), FetchError> {
        self.received += bytes.len() as u64;
        match self.plan.max_bytes {
            Some(max_bytes) if self.received > max_bytes => Err(FetchError::TooLarge { max_bytes, promised: None }),
            _ => obey(sink.on_body(bytes)),
        }
    }

    /// Connects to the first address that answers. Of the time that is left, each address has an equal share, so that the last is
    /// tried, too.
    fn connect(&mut self, target: &Target) -> Result<Socket, FetchError> {
        let limit = Deadline::after(self.plan.connect_timeout, TimeLimit::Resolve);
        let addrs = self.addresses(target, limit)?;
        let (mut tried, mut left) = (Vec::new(), u32::try_from(addrs.len()).unwrap_or(u32::MAX));
        for addr in addrs {
            let share = limit.map(|limit| limit.at.saturating_duration_since(Instant::now()) / left);
            match self.connect_one(addr, share)? {
                Ok(socket) => return Ok(socket),
                Err(error) => tried.push((addr, error)),
            }
            left = left.saturating_sub(1).max(1);
        }
        Err(FetchError::Unreachable(tried))
    }

    fn connect_one(&mut self, addr: SocketAddr, share: Option<Duration>) -> Result<io::Result<Socket>, FetchError> {
        let socket = match self.net.connect(addr) {
            Ok(socket) => socket,
            Err(error) => return Ok(Err(error)),
        };
        let limit = Deadline::after(share, TimeLimit::Stall);
        loop {
            let woken = match self.wait(limit, false) {
                Err(FetchError::TimeLimit { limit: TimeLimit::Stall, .. }) => {
                    return Ok(Err(io::ErrorKind::TimedOut.into()));
                }
                woken => woken?,
            };
            if woken.writable {
                match socket.connected() {
                    Ok(true) => return Ok(Ok(socket)),
                    Ok(false) => {}
                    Err(error) => return Ok(Err(error)),
                }
            }
        }
    }

    fn addresses(&mut self, target: &Target, limit: Option<Deadline>) -> Result<Vec<SocketAddr>, FetchError> {
        let name = match target.host() {
            Host::Ipv4(ip) => return Ok(vec![(*ip, target.port()).into()]),
            Host::Ipv6(ip) => return Ok(vec![(*ip, target.port()).into()]),
            Host::Domain(name) => name.clone(),
        };
        let answer = resolve(name.clone(), target.port(), self.net.waker()).map_err(FetchError::System)?;
        loop {
            match answer.try_recv() {
                Err(TryRecvError::Empty) => self.wait(limit, false)?,
                Ok(Ok(addrs)) if !addrs.is_empty() => return Ok(addrs),
                found => {
                    let said = found.ok().and_then(Result::err);
                    let error = said.unwrap_or_else(|| io::Error::other("it has no address"));
                    return Err(FetchError::Unresolved { host: name, error });
                }
            };
        }
    }

    /// Waits for what happens next: until `limit`, or until the end of all, or not at all where there is something to do (`busy`).
    fn wait(&mut self, limit: Option<Deadline>, busy: bool) -> Result<Woken, FetchError> {
        let next = [self.end, limit].into_iter().flatten().min_by_key(|deadline| deadline.at);
        let left = next.map(|deadline| deadline.at.saturating_duration_since(Instant::now()));
        let timeout = if busy { Some(Duration::ZERO) } else { left };
        let woken = self.net.wait(timeout).map_err(FetchError::System)?;
        if woken.stop {
            return Err(FetchError::Stopped);
        }
        // Who has done something is not silent, even if we come late to see it.
        let silent = !busy && !woken.readable && !woken.writable;
        match next {
            Some(Deadline { limit, allowed, at }) if Instant::now() >= at && (silent || limit == TimeLimit::Whole) => {
                Err(FetchError::TimeLimit { limit, allowed, received: self.received })
            }
            _ => Ok(woken),
        }
    }
}

/// When somebody's patience ends.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Instant,
    allowed: Duration,
    limit: TimeLimit,
}

impl Deadline {
    /// So far away that nobody lives to see it is none.
    fn after(allowed: Option<Duration>, limit: TimeLimit) -> Option<Self> {
        let allowed = allowed?;
        Some(Self { at: Instant::now().checked_add(allowed)?, allowed, limit })
    }
}

/// Where an answer sends us, if it does: RFC 9110, section 15.4.
fn location(head: &Head) -> Result<Option<String>, FetchError> {
    if !matches!(head.status(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    match head.values("Location").next() {
        Some(location) if !location.is_empty() => Ok(Some(String::from_utf8_lossy(location).into_owned())),
        _ => Err(FetchError::Nowhere(Box::new(head.clone()))),
    }
}

/// After the promised bytes there are no more. What lies in the socket is looked at; what a server sends later nobody waits for.
fn check_surplus(response: &mut Response, mut rest: &[u8], line: &mut Line) -> Result<(), FetchError> {
    response.next_event(&mut rest)?;
    let mut byte = [0];
    if let Ok(Some(1)) = line.receive(&mut byte) {
        response.next_event(&mut &byte[..])?;
    }
    Ok(())
}

fn obey(done: io::Result<ControlFlow<()>>) -> Result<(), FetchError> {
    match done {
        Ok(ControlFlow::Continue(())) => Ok(()),
        Ok(ControlFlow::Break(())) => Err(FetchError::Stopped),
        Err(error) => Err(FetchError::Sink(error)),
    }
}
