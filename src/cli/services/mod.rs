//! The services that can be named on the command line: what each is called, where it listens by itself, and which flags are its
//! own. A new one is one more entry in [`ALL`].

mod chat;
mod classic;
mod echo;
mod exec;
mod files;

use clap::builder::PossibleValuesParser;
use switchboard::{Endpoint, Framing, Service, TextEncoding};

use super::failure::Failure;

/// Where a service is to listen, and how each listener is framed.
pub(super) type Listeners = [(Endpoint, Framing)];

/// A service, and how it is served when nothing else is said.
#[derive(Clone, Copy)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    /// What it does, for the help.
    pub(super) about: &'static str,
    /// Where it listens, in the words of `--listen`.
    pub(super) listens: &'static [&'static str],
    /// How it is framed on listeners without a framing of their own.
    pub(super) framing: fn(&Wishes) -> Framing,
    /// Whether it is among those that are served when none is named: it needs no word about what it may do.
    pub(super) by_itself: bool,
    /// Whether it answers datagrams.
    pub(super) datagrams: bool,
    /// The headings of the help under which the flags stand that mean something to it.
    pub(super) headings: &'static [&'static str],
    /// Whether it can be what was wished, where it is to listen.
    pub(super) check: fn(&Wishes, &Listeners) -> Result<(), Failure>,
    /// Makes it as it was wished.
    pub(super) make: fn(&Wishes) -> Result<Box<dyn Service + Send>, Failure>,
    /// A command for a shell that tries it as it was wished, at this endpoint with this framing. `PROGRAM` and `ADDR` stand for
    /// this program and the address, with its transport where that is not TCP.
    pub(super) tries: fn(&Wishes, &Endpoint, Framing) -> Option<String>,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

pub(super) static ALL: [Builtin; 9] = [
    echo::ECHO,
    classic::UPPER,
    classic::GREET,
    classic::ROBOT,
    classic::PARROT,
    classic::CLOCK,
    chat::CHAT,
    files::FILES,
    exec::EXEC,
];

pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    ALL.iter().find(|builtin| builtin.name == name)
}

/// What can be said about services beyond where they listen. No flag has a default here, so that a service's own stands in
/// one place: the service.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Wishes {
    #[command(flatten)]
    echo: echo::EchoArgs,
    /// How text is encoded, as in gbk [default: utf-8]
    ///
    /// A label of the WHATWG's encoding standard. For greet, robot and parrot, and for chat on lines, raw and UDP; chat's JSON is
    /// UTF-8 always.
    #[arg(long, value_name = "LABEL", help_heading = "Text")]
    encoding: Option<TextEncoding>,
    #[command(flatten)]
    classic: classic::ClassicArgs,
    /// What the clients speak: framed or plain for files, header, length or ready for exec [default: framed, header]
    #[arg(long, value_name = "NAME", help_heading = "Files and exec")]
    #[arg(value_parser = PossibleValuesParser::new(["framed", "plain", "header", "length", "ready"]))]
    dialect: Option<String>,
    #[command(flatten)]
    files: files::FilesArgs,
    #[command(flatten)]
    exec: exec::ExecArgs,
    #[command(flatten)]
    chat: chat::ChatArgs,
}

impl Wishes {
    /// Whether the terminal is to be chat's operator's.
    pub(super) fn has_console(&self) -> bool {
        self.chat.console
    }
}

/// For services of which nothing can be wished that they could not be.
#[expect(clippy::unnecessary_wraps, reason = "others refuse")]
fn anything(_: &Wishes, _: &Listeners) -> Result<(), Failure> {
    Ok(())
}
