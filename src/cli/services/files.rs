//! Files on the command line.

use std::path::PathBuf;

use switchboard::services::files::{Dialect, Files};
use switchboard::{Endpoint, Framing, Service};

use super::{Builtin, Listeners, Wishes};
use crate::cli::failure::Failure;

pub(super) const FILES: Builtin = Builtin {
    name: "files",
    about: "serves the regular files below a directory, read-only",
    listens: &["127.0.0.1:1111"],
    framing: |wishes| match dialect(wishes) {
        Ok(Dialect::Plain) => Framing::Raw,
        _ => Framing::U32BE,
    },
    by_itself: false,
    datagrams: false,
    headings: &["Files", "Files and exec"],
    check,
    make,
    tries,
};

/// Flags for files alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Files")]
pub(super) struct FilesArgs {
    /// Serve the files below this directory; files has to have one
    ///
    /// Only regular files that this user may read, and no name leads out of it, whatever is linked in it.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

fn dialect(wishes: &Wishes) -> Result<Dialect, Failure> {
    match wishes.dialect.as_deref() {
        None => Ok(Dialect::default()),
        Some(name) => name
            .parse()
            .map_err(|_| Failure::Usage(format!("--dialect {name} is not for files: choose framed or plain"))),
    }
}

fn check(wishes: &Wishes, listeners: &Listeners) -> Result<(), Failure> {
    let dialect = dialect(wishes)?;
    if wishes.files.root.is_none() {
        return Err(Failure::Usage("files has to know what it may serve: add --root DIR".to_owned()));
    }
    match listeners.iter().find(|(_, framing)| !dialect.suits(*framing)) {
        Some((endpoint, framing)) => Err(Failure::Usage(format!(
            "{endpoint} cannot be {framing}: {}",
            match dialect {
                Dialect::Framed => "the dialect framed needs a length prefix that carries 1 MiB, such as u32be",
                Dialect::Plain => "the dialect plain sends a file's bytes as they are, which is raw",
            }
        ))),
        None => Ok(()),
    }
}

fn make(wishes: &Wishes) -> Result<Box<dyn Service + Send>, Failure> {
    let root = wishes.files.root.clone().unwrap_or_default();
    let files = Files::open(&root, dialect(wishes)?);
    files.map(|files| Box::new(files) as _).map_err(|error| {
        let root = root.display();
        let error = error.to_string();
        let error = error.split(" (os error").next().unwrap_or_default();
        Failure::Failed(format!("cannot serve {root}: {error}; --root has to be a directory that this user may read"))
    })
}

/// Lists what there is; the dialect plain has no list, and which file there is to get is not known here.
fn tries(_: &Wishes, _: &Endpoint, framing: Framing) -> Option<String> {
    match framing {
        Framing::Raw => None,
        Framing::U32BE => Some("PROGRAM call files ADDR list".to_owned()),
        other => Some(format!("PROGRAM call files ADDR --framing {other} list")),
    }
}
