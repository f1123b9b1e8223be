//! The regular files below a directory, read-only: by a name and nothing else, or by requests in JSON with resume and checksum.
//!
//! It owns the directory's handle and resolves every name beneath it, so that no name leads elsewhere, whatever is linked or
//! renamed meanwhile; paths are never compared as strings. All that touches a disk is offloaded in bounded pieces, and one piece
//! at a time is on its way for a connection, so a file costs the same memory whatever its size. It must not know a socket.

mod hashes;
mod hashing;
mod names;
mod session;
mod walk;
pub mod wire;
mod work;

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::{fmt, io};

use cap_std::fs::Dir;

use crate::frame::Framing;
use crate::service::CloseReason;
use crate::service::Context;
use crate::service::{ConnId, JobId, JobOutput, Peer, Service, TimerId};

use hashes::Hashes;
use session::Session;

/// How clients speak to [`Files`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Requests in JSON, one a frame; the answers are a head in JSON and the bytes in frames. Under a length prefix.
    #[default]
    Framed,
    /// The first message is a file's name, the answer its bytes, and then the end. Under [`Framing::Raw`].
    Plain,
}

/// Serves the regular files below a directory, read-only.
///
/// ```no_run
/// use switchboard::services::files::{Dialect, Files};
/// use switchboard::{Framing, Limits, Reactor};
///
/// let mut reactor = Reactor::new(Limits::default())?;
/// let files = reactor.add_service("files", Files::open("/srv/pub", Dialect::Framed)?);
/// reactor.listen(files, &"127.0.0.1:1111".parse()?, Framing::U32BE)?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Files {
    shared: Arc<Shared>,
    sessions: HashMap<ConnId, Session>,
}

/// What all connections have in common.
struct Shared {
    root: Dir,
    dialect: Dialect,
    hashes: Mutex<Hashes>,
}

impl Files {
    /// Serves what is below `root`, also when that directory is given another name.
    pub fn new(root: Dir, dialect: Dialect) -> Self {
        let shared = Shared { root, dialect, hashes: Mutex::default() };
        Self { shared: Arc::new(shared), sessions: HashMap::new() }
    }

    /// Serves what is below the directory at `path`.
    ///
    /// # Errors
    /// When it cannot be opened, or is no directory.
    pub fn open(path: impl AsRef<Path>, dialect: Dialect) -> io::Result<Self> {
        let path = path.as_ref();
        // A file would be opened as gladly, and every name below it be missing.
        if !std::fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Dir::open_ambient_dir(path, cap_std::ambient_authority()).map(|root| Self::new(root, dialect))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files({})", self.shared.dialect)
    }
}

impl Service for Files {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        match cx.framing() {
            Some(framing) if !self.shared.dialect.suits(framing) => {
                log::warn!("files cannot be served in the dialect {} under {framing}", self.shared.dialect);
                cx.close("its framing does not suit the dialect");
            }
            _ => _ = self.sessions.insert(cx.conn(), Session::new(Arc::clone(&self.shared), *peer)),
        }
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        self.session(cx, |session, cx| session.on_frame(cx, payload));
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        self.session(cx, Session::on_writable);
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        self.session(cx, |session, cx| session.on_timer(cx, timer));
    }

    fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        self.session(cx, |session, cx| session.on_job(cx, job, output));
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        self.session(cx, Session::on_close);
        self.sessions.remove(&cx.conn());
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        Some(Box::new(Self { shared: Arc::clone(&self.shared), sessions: HashMap::new() }))
    }
}

impl Files {
    /// Who has gone is not called any more, although its work may still come back.
    fn session(&mut self, cx: &mut Context<'_>, call: impl FnOnce(&mut Session, &mut Context<'_>)) {
        if let Some(session) = self.sessions.get_mut(&cx.conn()) {
            call(session, cx);
        }
    }
}

impl Dialect {
    /// Every dialect with its name on the command line.
    pub const NAMES: [(&'static str, Self); 2] = [("framed", Self::Framed), ("plain", Self::Plain)];

    /// Whether it can be spoken under `framing`: the framed one needs a length prefix that can carry
    /// [`wire::MAX_FRAME_BYTES`], the plain one bytes as they are.
    ///
    /// ```
    /// use switchboard::{Framing, services::files::Dialect};
    /// assert!(Dialect::Framed.suits(Framing::U32BE) && Dialect::Plain.suits(Framing::Raw));
    /// assert!(!Dialect::Framed.suits(Framing::U16BE), "a piece of a file would not fit");
    /// ```
    pub fn suits(self, framing: Framing) -> bool {
        match self {
            Self::Plain => framing == Framing::Raw,
            Self::Framed => framing != Framing::Raw && framing.can_carry(wire::MAX_FRAME_BYTES),
        }
    }
}

impl FromStr for Dialect {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, dialect)| *dialect).ok_or("write framed or plain")
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Framed => "framed",
            Self::Plain => "plain",
        })
    }
}
