//! The operating system's sockets, through `mio`: `bound_sources` is what is listened on, `mio_stream` a connection, `console` the
//! one kind of it that was there before; and here is the world that the turn asks.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use super::bound_sources::Socketed;
use super::mio_stream::OsStream;
use super::{Attached, Event, Net, Polled, Source, SourceKind};
use crate::net::udp_batch::UdpBatchIo;
use crate::net::udp_batch::{ReceiveBatch, SendBatch};
use crate::net::{self, bind};
use crate::service::Peer;

/// Events taken from the system with one call.
const EVENTS: usize = 1024;

/// The world as the operating system has it.
pub(in crate::reactor) struct OsNet {
    poll: Poll,
    events: Events,
    sources: Vec<(Socketed, Source)>,
    consoles: Vec<Attached<OsStream>>,
    /// Keys of what is always ready and of which no poll will ever say so.
    unpolled: Vec<usize>,
    /// For IPv4 and for IPv6.
    batchers: [UdpBatchIo; 2],
}

impl OsNet {
    pub(super) fn new(poll: Poll, sources: Vec<(Socketed, Source)>, consoles: Vec<Attached<OsStream>>) -> Self {
        let (events, unpolled) = (Events::with_capacity(EVENTS), Vec::new());
        Self { poll, events, sources, consoles, unpolled, batchers: [UdpBatchIo::new(), UdpBatchIo::new()] }
    }

    fn source(&self, number: usize) -> &Socketed {
        self.sources.get(number).map_or(&Socketed::Closed, |(socketed, _)| socketed)
    }
}

impl Net for OsNet {
    type Stream = OsStream;

    fn sources(&self) -> Vec<Source> {
        self.sources.iter().map(|(_, source)| *source).collect()
    }

    fn take_attached(&mut self) -> Vec<Attached<OsStream>> {
        std::mem::take(&mut self.consoles)
    }

    fn poll(&mut self, timeout: Option<Duration>, mut mark: impl FnMut(Event)) -> io::Result<Polled> {
        let mut events = 0;
        let timeout = if self.unpolled.is_empty() { timeout } else { Some(Duration::ZERO) };
        self.poll.poll(&mut self.events, timeout)?;
        for key in self.unpolled.drain(..) {
            mark(Event { key, readable: true, writable: true, end: false, urgent: false });
        }
        for event in &self.events {
            let end = event.is_read_closed() || event.is_error();
            let urgent = event.is_priority();
            events += 1;
            mark(Event {
                key: event.token().0,
                readable: event.is_readable() || end || urgent,
                // A full pipe that has lost its reader is an error and nothing else, and writing is how that is found.
                writable: event.is_writable() || event.is_write_closed(),
                end,
                urgent,
            });
        }
        Ok(if events < EVENTS { Polled::All } else { Polled::Some(events) })
    }

    fn accept(&mut self, listener: usize) -> io::Result<(OsStream, Peer)> {
        match self.source(listener) {
            Socketed::Tcp(listener) => {
                let (stream, addr) = listener.accept()?;
                if !net::ACCEPTED_INHERIT_OPTIONS {
                    // Without them the connection is slower to answer and to be missed, and works.
                    let _ = bind::set_stream_options(&SockRef::from(&stream));
                }
                Ok((OsStream::Tcp(stream), Peer::Tcp(addr)))
            }
            #[cfg(unix)]
            Socketed::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                Ok((OsStream::Unix(stream), Peer::Unix))
            }
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn open(&mut self, stream: &mut OsStream, key: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match stream {
            #[cfg(target_os = "linux")]
            OsStream::Tcp(stream) => self.poll.registry().register(stream, Token(key), interest | Interest::PRIORITY),
            #[cfg(not(target_os = "linux"))]
            OsStream::Tcp(stream) => self.poll.registry().register(stream, Token(key), interest),
            #[cfg(unix)]
            OsStream::Unix(stream) => self.poll.registry().register(stream, Token(key), interest),
            #[cfg(unix)]
            OsStream::Console(console) => {
                if console.register(self.poll.registry(), key)? {
                    self.unpolled.push(key);
                }
                Ok(())
            }
        }
    }

    #[cfg_attr(not(unix), allow(unused_variables))]
    fn swallow(&mut self, pipe: usize) {
        #[cfg(unix)]
        if let Some((Socketed::Pipe(pipe), _)) = self.sources.get_mut(pipe) {
            use std::io::Read;
            // To the end of what is there: only then has the next byte an event of its own.
            while matches!(pipe.read(&mut [0; 64]), Ok(1..)) {}
        }
    }

    fn close(&mut self, source: usize) {
        if let Some((socketed, _)) = self.sources.get_mut(source) {
            *socketed = Socketed::Closed;
        }
    }

    fn receive(&mut self, socket: usize, into: &mut ReceiveBatch) -> io::Result<usize> {
        let Self { sources, batchers: [v4, v6], .. } = self;
        match sources.get(socket) {
            Some((Socketed::Udp(socket), Source { kind: SourceKind::Datagrams { local }, .. })) => {
                let batcher = if local.is_ipv6() { v6 } else { v4 };
                batcher.receive(socket, into)
            }
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn send(&mut self, socket: usize, from: &SendBatch, first: usize) -> io::Result<usize> {
        let Some((Socketed::Udp(socket), _)) = self.sources.get(socket) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let [batcher, _] = &mut self.batchers;
        batcher.send(socket, from, first)
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}
