//! The files service: passes the callbacks of each connection to its session.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::{fmt, io};

use cap_std::fs::Dir;

use super::dialect::FilesDialect;
use super::session::FilesSession;
use super::shared::FilesShared;
use crate::service::{CloseReason, ConnId, Context, JobId, JobOutput, Peer, Service, ServiceOptions};

/// The service that sends the regular files below a directory, read-only.
///
/// ```no_run
/// use switchboard::services::files::{FilesDialect, Files};
/// use switchboard::{Framing, Limits, Reactor};
///
/// let mut reactor = Reactor::new(Limits::default())?;
/// let files = Files::open("/srv/pub", FilesDialect::Framed)?;
/// let files = reactor.add_service(files.options("files"), files);
/// reactor.listen(files, &"127.0.0.1:1111".parse()?, Framing::U32BE)?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Files {
    shared: Arc<FilesShared>,
    sessions: HashMap<ConnId, FilesSession>,
}

impl Files {
    /// Creates a service for the files below `root`. It keeps working if that directory is renamed.
    pub fn new(root: Dir, dialect: FilesDialect) -> Self {
        let shared = FilesShared { root, dialect, checksums: Mutex::default() };
        Self { shared: Arc::new(shared), sessions: HashMap::new() }
    }

    /// Creates a service for the files below the directory at `path`.
    ///
    /// # Errors
    /// The error of opening it, or [`io::ErrorKind::NotADirectory`].
    pub fn open(path: impl AsRef<Path>, dialect: FilesDialect) -> io::Result<Self> {
        let path = path.as_ref();
        // Opening a regular file would succeed, and then every name below it would be missing.
        if !std::fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Dir::open_ambient_dir(path, cap_std::ambient_authority()).map(|root| Self::new(root, dialect))
    }

    /// Returns the options of this service: an instance for each connection, and a descriptor for
    /// the file or directory that is being read for it, one job at a time.
    pub fn options(&self, name: impl Into<String>) -> ServiceOptions {
        let shared = Arc::clone(&self.shared);
        let instance = move || Self { shared: Arc::clone(&shared), sessions: HashMap::new() };
        ServiceOptions::new(name).descriptors_per_connection(1).jobs_wait().per_connection(instance)
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
            Some(framing) if !self.shared.dialect.supports(framing) => {
                let dialect = self.shared.dialect;
                cx.warn("files framing", format_args!("files: dialect {dialect} does not work with framing {framing}"));
                cx.close("its framing does not fit the dialect");
            }
            _ => _ = self.sessions.insert(cx.conn(), FilesSession::new(Arc::clone(&self.shared), *peer)),
        }
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        self.session(cx, |session, cx| session.on_frame(cx, payload));
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        self.session(cx, FilesSession::on_writable);
    }

    fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        self.session(cx, |session, cx| session.on_job(cx, job, output));
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        self.sessions.remove(&cx.conn());
    }
}

impl Files {
    /// Calls the connection's session, if the connection is still open. A job may end after its
    /// connection has closed.
    fn session(&mut self, cx: &mut Context<'_>, call: impl FnOnce(&mut FilesSession, &mut Context<'_>)) {
        if let Some(session) = self.sessions.get_mut(&cx.conn()) {
            call(session, cx);
        }
    }
}
