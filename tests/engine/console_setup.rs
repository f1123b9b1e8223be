//! Helpers of the console tests: a service with an operator console, and a reader of the console's
//! output.

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

use crate::support::{Client, ConnectionEvents, Engine, RunningEngine, guard, listen_tcp, observe};

/// Broadcasts each message to all connections, the console included.
#[derive(Default)]
pub(crate) struct BroadcastService(Vec<ConnId>);

impl Service for BroadcastService {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        self.0.push(cx.conn());
        if *peer == Peer::Console {
            cx.reply(format!("welcome {peer}").as_bytes());
        }
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match payload {
            b"quit" => {
                cx.reply(&vec![b'x'; LAST_REPLY_BYTES]);
                cx.drain();
            }
            b"leave" => cx.close("as asked"),
            _ => cx.broadcast(&self.0, Payload::from(payload)),
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        self.0.retain(|id| *id != cx.conn());
    }
}

/// Size of the last reply; larger than the buffers of a pipe and of a socket pair.
pub(crate) const LAST_REPLY_BYTES: usize = 1 << 20;

/// A running engine whose service has a console.
pub(crate) struct ConsoleSetup {
    pub(crate) running: RunningEngine,
    pub(crate) addr: SocketAddr,
    pub(crate) events: ConnectionEvents,
    pub(crate) console: ConnId,
}

/// Starts an engine with a [`BroadcastService`] and attaches a console to it. Returns when the
/// console is open.
pub(crate) fn serve_with_console<E: Engine>(
    limits: Limits,
    input: impl Into<OwnedFd>,
    output: impl Into<OwnedFd>,
) -> ConsoleSetup {
    let mut engine = E::with_limits(limits);
    let (service, events) = observe(BroadcastService::default());
    let id = engine.add_service("broadcast", service);
    let addr = listen_tcp(&mut engine, id, Framing::U32BE);
    engine.attach(id, input.into(), output.into()).unwrap();
    let running = RunningEngine::start(engine);
    let console = events.next_opened();
    ConsoleSetup { running, addr, events, console }
}

impl ConsoleSetup {
    /// Connects a client; returns when its connection is open.
    pub(crate) fn client(&self) -> Client {
        let client = Client::connect(self.addr);
        self.events.next_opened();
        client
    }
}

/// The lines that the console writes, read on a separate thread.
pub(crate) struct OutputLines(Receiver<String>);

impl OutputLines {
    pub(crate) fn read_from(output: impl Read + Send + 'static) -> Self {
        let (line_out, lines) = channel();
        // A read from a pseudo-terminal fails once its other end is closed; that is the end of the
        // output.
        let output_lines = BufReader::new(output).lines().map_while(Result::ok);
        thread::spawn(move || output_lines.for_each(|line| _ = line_out.send(line)));
        Self(lines)
    }

    pub(crate) fn next(&self) -> String {
        self.0.recv_timeout(guard()).expect("the console wrote no line")
    }

    /// Panics unless the next line is `line`.
    pub(crate) fn expect(&self, line: &str) {
        assert_eq!(self.next(), line);
    }

    /// Waits for `line` and skips the lines before it.
    pub(crate) fn await_line(&self, line: &str) {
        while self.next() != line {}
    }

    /// Panics unless the output ends here.
    pub(crate) fn expect_end(&self) {
        assert!(self.0.recv_timeout(guard()).is_err_and(|end| end == RecvTimeoutError::Disconnected));
    }
}

pub(crate) fn is_nonblocking(fd: impl AsFd) -> bool {
    fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
}

/// A unique path for a temporary file. Dropping it removes the file.
pub(crate) struct TemporaryFile(pub(crate) PathBuf);

impl TemporaryFile {
    pub(crate) fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("switchboard-{}-{number}-{name}", std::process::id())))
    }

    pub(crate) fn create(&self) -> File {
        File::create(&self.0).unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
