//! What the tests of consoles share: a service with an operator, and what the operator hears.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use rustix::fs::{OFlags, fcntl_getfl};
use switchboard::{CloseReason, ConnId, Context, Framing, Limits, Payload, Peer, Service};

use crate::support::{Client, ConnectionEvents, Engine, GUARD, RunningEngine, listen_tcp, observe};

/// Tells everybody what anybody says.
#[derive(Default)]
pub(crate) struct Office(Vec<ConnId>);

impl Service for Office {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        self.0.push(cx.conn());
        if *peer == Peer::Console {
            cx.reply(format!("welcome {peer}").as_bytes());
        }
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match payload {
            b"quit" => {
                cx.reply(&vec![b'x'; LAST_WORD_BYTES]);
                cx.shutdown();
            }
            b"leave" => cx.close("as asked"),
            _ => cx.broadcast(&self.0, Payload::from(payload)),
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        self.0.retain(|id| *id != cx.conn());
    }
}

/// More than a pipe and a pair of sockets hold.
pub(crate) const LAST_WORD_BYTES: usize = 1 << 20;

pub(crate) struct Setting {
    pub(crate) running: RunningEngine,
    pub(crate) addr: SocketAddr,
    pub(crate) events: ConnectionEvents,
    pub(crate) console: ConnId,
}

/// An office whose operator has come.
pub(crate) fn office<E: Engine>(limits: Limits, input: impl Into<OwnedFd>, output: impl Into<OwnedFd>) -> Setting {
    let mut engine = E::with_limits(limits);
    let (service, events) = observe(Office::default());
    let id = engine.add_service("office", service);
    let addr = listen_tcp(&mut engine, id, Framing::U32BE);
    engine.attach(id, input.into(), output.into()).unwrap();
    let running = RunningEngine::start(engine);
    let console = events.next_opened();
    Setting { running, addr, events, console }
}

impl Setting {
    pub(crate) fn client(&self) -> Client {
        let client = Client::connect(self.addr);
        self.events.next_opened();
        client
    }
}

/// What the operator hears, a line at a time.
pub(crate) struct Ears(Receiver<String>);

impl Ears {
    pub(crate) fn of(output: impl Read + Send + 'static) -> Self {
        let (heard, lines) = channel();
        // A terminal of which nobody holds the other end any more fails to read, and that is its end.
        let lines_of = BufReader::new(output).lines().map_while(Result::ok);
        thread::spawn(move || lines_of.for_each(|line| _ = heard.send(line)));
        Self(lines)
    }

    pub(crate) fn next(&self) -> String {
        self.0.recv_timeout(GUARD).expect("the operator hears something")
    }

    pub(crate) fn expect(&self, line: &str) {
        assert_eq!(self.next(), line);
    }

    /// Passes over other lines.
    pub(crate) fn await_line(&self, line: &str) {
        while self.next() != line {}
    }

    pub(crate) fn expect_end(&self) {
        assert!(self.0.recv_timeout(GUARD).is_err_and(|end| end == RecvTimeoutError::Disconnected));
    }
}

pub(crate) fn is_nonblocking(fd: impl AsFd) -> bool {
    fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
}

/// A file of the test's own, removed with it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("switchboard-{}-{number}-{name}", std::process::id())))
    }

    pub(crate) fn create(&self) -> File {
        File::create(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
