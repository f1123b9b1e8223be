//! The reference model of the files service: the replies to a client's requests.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::services::files::wire::{FileHeader, FilesErrorReply, FilesRequest};

/// The files that clients ask for, from the smallest on. They are older than a second, so the
/// service shares and caches their checksums in every run.
const NAMES: [&str; 5] = ["book.toml", "SUMMARY.md", "raw-mio.md", "limits.md", "services.md"];

static FILES: LazyLock<BTreeMap<&str, Vec<u8>>> = LazyLock::new(|| {
    let read = |name| (name, std::fs::read(root().join(name)).unwrap());
    NAMES.into_iter().map(read).collect()
});

/// Returns the directory that the simulated service serves.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The requests of one client that are not answered yet.
pub(super) struct FilesModel {
    asked: VecDeque<(String, u64)>,
    /// The file whose bytes are arriving, and the position of the next one.
    current: Option<(&'static [u8], usize)>,
    /// False if frames may be dropped, or garbage was sent: then nothing is checked.
    pub(super) is_strict: bool,
}

impl FilesModel {
    pub(super) fn new(is_strict: bool) -> Self {
        Self { asked: VecDeque::new(), current: None, is_strict }
    }

    pub(super) fn request(&mut self, choice: u32) -> Vec<u8> {
        let name = NAMES[choice as usize % NAMES.len()];
        let offset = if choice.is_multiple_of(3) { u64::from(choice >> 8) % 1_000 } else { 0 };
        self.ask(name, offset)
    }

    pub(super) fn missing(&mut self) -> Vec<u8> {
        self.ask("missing", 0)
    }

    fn ask(&mut self, name: &str, offset: u64) -> Vec<u8> {
        self.asked.push_back((name.to_owned(), offset));
        FilesRequest::Get { get: name.to_owned(), offset }.to_json()
    }

    pub(super) fn receive(&mut self, payload: &[u8]) -> Result<(), String> {
        if !self.is_strict {
            return Ok(());
        }
        if let Some((bytes, at)) = self.current {
            let end = at + payload.len();
            if payload.is_empty() || bytes.get(at..end) != Some(payload) {
                return Err(format!("a piece of a file differs at byte {at}"));
            }
            self.current = (end < bytes.len()).then_some((bytes, end));
            return Ok(());
        }
        if let Ok(FilesErrorReply { error }) = serde_json::from_slice(payload) {
            let (name, offset) = self.asked.pop_front().ok_or("an error without a request")?;
            let file = FILES.get(&*name);
            let fits = match &*error.code {
                "not-found" => file.is_none(),
                "bad-offset" => file.is_some_and(|file| offset > file.len() as u64),
                "busy" => true,
                _ => false,
            };
            return if fits { Ok(()) } else { Err(format!("{name} from {offset} was answered with {error:?}")) };
        }
        let header: FileHeader = serde_json::from_slice(payload).map_err(|error| format!("no header: {error}"))?;
        let (name, offset) = self.asked.pop_front().ok_or("a header without a request")?;
        let (_, file) = FILES.get_key_value(&*name).ok_or("a header of a missing file")?;
        if (&header.name, header.offset, header.size) != (&name, offset, file.len() as u64) {
            return Err(format!("{header:?} answers {name} from {offset}"));
        }
        let at = usize::try_from(offset).unwrap();
        self.current = (at < file.len()).then_some((&file[..], at));
        Ok(())
    }

    pub(super) fn check_answered(&self, asked_all: bool) -> Result<(), String> {
        if self.is_strict && self.current.is_some() {
            return Err("a file ended early".to_owned());
        }
        if self.is_strict && asked_all && !self.asked.is_empty() {
            return Err(format!("{} requests for files were not answered", self.asked.len()));
        }
        Ok(())
    }
}
