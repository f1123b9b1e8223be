//! The server of a soak, with every service, and its addresses.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use switchboard::Endpoint;

use super::resources::EXEC_JOBS;
use crate::cli::engine::EngineName;
use crate::cli::process::{ProcessProbe, ServerProcess};

/// The bytes of the files that the server offers.
pub(super) const FILE_BYTES: [(&str, usize); 4] =
    [("empty", 0), ("small", 1000), ("piece", 256 << 10), ("large", (3 << 20) + 17)];

const STATS_FILE: &str = "stats.json";

/// Each service with its listeners, and its further keys in the configuration.
const SECTIONS: [(&str, &[&str], &str); 12] = [
    ("echo", &["127.0.0.1:0", "lines@127.0.0.1:0", "udp:127.0.0.1:0"], ""),
    ("upper", &["127.0.0.1:0"], ""),
    ("greet", &["127.0.0.1:0", "udp:127.0.0.1:0"], "answers-per-second = 0"),
    ("robot", &["127.0.0.1:0"], ""),
    ("parrot", &["127.0.0.1:0"], ""),
    // Garbage goes to a parrot of its own, because a parrot repeats it.
    ("parrot", &["127.0.0.1:0"], ""),
    ("clock", &["127.0.0.1:0", "udp:127.0.0.1:0"], "answers-per-second = 0"),
    ("files", &["127.0.0.1:0"], "root = \"ROOT\"\ndialect = \"framed\""),
    ("files", &["127.0.0.1:0"], "root = \"ROOT\"\ndialect = \"plain\""),
    ("exec", &["127.0.0.1:0"], "allow = [\"echo\", \"sleep\"]\ntimeout = \"2s\"\njobs = JOBS"),
    ("chat", &["127.0.0.1:0", "lines@127.0.0.1:0", "udp:127.0.0.1:0"], "messages-per-second = 0\nkept-messages = 100"),
    // Attacks on the lobby go to a chat of their own: each newcomer is announced to all others.
    ("chat", &["127.0.0.1:0", "lines@127.0.0.1:0", "udp:127.0.0.1:0"], "kept-messages = 100"),
];

/// A running server with every service.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) server: ServerProcess,
    pub(super) probe: Option<ProcessProbe>,
    pub(super) contents: SiteContents,
    /// The directory of the files, removed with the site.
    directory: tempfile::TempDir,
}

/// The part of the site that the clients use.
#[derive(Debug)]
pub(super) struct SiteContents {
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
    endpoints: Vec<Vec<Endpoint>>,
}

/// A listener: the number of its section, and its number there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener(usize, usize);

impl Listener {
    pub(super) const ECHO: Self = Self(0, 0);
    pub(super) const ECHO_LINES: Self = Self(0, 1);
    pub(super) const ECHO_UDP: Self = Self(0, 2);
    pub(super) const UPPER: Self = Self(1, 0);
    pub(super) const GREET: Self = Self(2, 0);
    pub(super) const GREET_UDP: Self = Self(2, 1);
    pub(super) const ROBOT: Self = Self(3, 0);
    pub(super) const PARROT: Self = Self(4, 0);
    pub(super) const ATTACKED_PARROT: Self = Self(5, 0);
    pub(super) const CLOCK: Self = Self(6, 0);
    pub(super) const CLOCK_UDP: Self = Self(6, 1);
    pub(super) const FILES: Self = Self(7, 0);
    pub(super) const FILES_PLAIN: Self = Self(8, 0);
    pub(super) const EXEC: Self = Self(9, 0);
    pub(super) const CHAT: Self = Self(10, 0);
    pub(super) const CHAT_LINES: Self = Self(10, 1);
    pub(super) const CHAT_UDP: Self = Self(10, 2);
    pub(super) const ATTACKED_CHAT: Self = Self(11, 0);
    pub(super) const ATTACKED_CHAT_LINES: Self = Self(11, 1);
    pub(super) const ATTACKED_CHAT_UDP: Self = Self(11, 2);
}

impl Site {
    /// Starts the server.
    ///
    /// # Errors
    /// The reason as text.
    pub(super) fn start(engine: EngineName) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let files = FILE_BYTES.map(|(name, bytes)| (name, random_bytes(bytes)));
        let root = directory.path().join("files");
        let write = || {
            std::fs::create_dir(&root)?;
            files.iter().try_for_each(|(name, bytes)| std::fs::write(root.join(name), bytes))?;
            let file = directory.path().join("soak.toml");
            std::fs::write(&file, config(engine, directory.path(), &root))?;
            Ok(file)
        };
        let config = write().map_err(|error: std::io::Error| format!("{}: {error}", directory.path().display()))?;
        let services: Vec<_> =
            SECTIONS.iter().flat_map(|(service, listen, _)| listen.iter().map(|_| *service)).collect();
        let server = ServerProcess::start_configured(&config, &services)?;
        let mut listening = server.endpoints().iter().cloned();
        let endpoints = SECTIONS.iter().map(|(_, listen, _)| listening.by_ref().take(listen.len()).collect()).collect();
        let probe = ProcessProbe::open(server.pid());
        let contents = SiteContents { files: files.into(), endpoints };
        Ok(Self { server, probe, contents, directory })
    }

    /// Returns the path of the statistics, which the server writes every second.
    pub(super) fn stats_file(&self) -> PathBuf {
        self.directory.path().join(STATS_FILE)
    }

    /// Stops the server.
    ///
    /// # Errors
    /// The reason as text, if it did not stop gracefully.
    pub(super) fn stop(self) -> Result<(), String> {
        self.server.stop()
    }
}

impl SiteContents {
    /// Returns the address of a listener.
    pub(super) fn endpoint(&self, Listener(section, number): Listener) -> Result<&Endpoint, String> {
        let endpoint = self.endpoints.get(section).and_then(|listeners| listeners.get(number));
        endpoint.ok_or_else(|| format!("the server has no listener {number} in section {section}"))
    }
}

fn random_bytes(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(len as u64).fill(&mut bytes);
    bytes
}

fn config(engine: EngineName, directory: &Path, root: &Path) -> String {
    let stats_file = directory.join(STATS_FILE).display().to_string();
    let mut text = format!("engine = {:?}\nstats-every = \"1s\"\nstats-file = {stats_file:?}\n", engine.name());
    for (service, listen, keys) in SECTIONS {
        let keys = keys.replace("ROOT", &root.display().to_string()).replace("JOBS", &EXEC_JOBS.to_string());
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n[[{service}]]\nlisten = {listen:?}\n{keys}");
    }
    text
}
