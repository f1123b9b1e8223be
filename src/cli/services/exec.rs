//! Exec on the command line.

use std::path::PathBuf;

use switchboard::Framing;

use super::Builtin;
use crate::cli::quote::quote;

pub(super) const EXEC: Builtin = Builtin {
    name: "exec",
    about: "runs allowed commands, without a shell",
    listens: &["127.0.0.1:8086"],
    framing: |_| Framing::Raw,
    by_itself: false,
    datagrams: false,
    headings: &["Exec", "Files and exec"],
    check: made::check,
    make: made::make,
    tries: |wishes, _, framing| wishes.exec.tries(framing, wishes.dialect.as_deref()),
};

/// Flags for exec alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Exec")]
#[cfg_attr(not(unix), expect(dead_code, reason = "commands are not run there"))]
pub(super) struct ExecArgs {
    /// A program that may be run; may be repeated
    ///
    /// A name that is in PATH now, or a path from the root. Clients have to write it as it is written here.
    #[arg(long, value_name = "PROGRAM")]
    allow: Vec<String>,
    /// Hand each line to /bin/sh -c; loopback only
    ///
    /// Whoever can connect, which is everybody on this machine, can then do all that you can.
    #[arg(long)]
    shell: bool,
    /// A file that holds what clients have to say first; needed beyond loopback
    ///
    /// One line of at least 16 bytes, in a file that nobody else can read. Each request begins with it, on a line of its own.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How long a command may run before it and what it has started are killed [default: 10s]
    #[arg(long, value_name = "TIME")]
    timeout: Option<crate::cli::units::Span>,
    /// Commands that may run at once; others wait [default: 4]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

impl ExecArgs {
    /// Has the first program run that may be.
    fn tries(&self, framing: Framing, dialect: Option<&str>) -> Option<String> {
        let program = self.allow.first().map_or("date", String::as_str);
        let dialect = dialect.map(|dialect| format!(" --dialect {dialect}")).unwrap_or_default();
        let framing = if framing == Framing::Raw { String::new() } else { format!(" --framing {framing}") };
        let has_token = self.token_file.is_some();
        (!has_token).then(|| format!("PROGRAM call exec ADDR{dialect}{framing} -- {}", quote(program)))
    }
}

#[cfg(unix)]
mod made {
    use std::num::NonZeroUsize;

    use switchboard::Service;
    use switchboard::services::exec::{Allowed, Dialect, Exec, Program, Rules, Token};

    use super::ExecArgs;
    use crate::cli::failure::Failure;
    use crate::cli::secret;
    use crate::cli::services::{Listeners, Wishes};

    /// Whether it may be what was wished, where it is to listen.
    pub(super) fn check(wishes: &Wishes, listeners: &Listeners) -> Result<(), Failure> {
        let ExecArgs { allow, shell, token_file, timeout, jobs } = &wishes.exec;
        let wrong = |text: String| Err(Failure::Usage(text));
        dialect(wishes)?;
        if allow.is_empty() && !shell {
            return wrong("exec runs nothing that was not allowed: give --allow PROGRAM, or --shell".to_owned());
        }
        if !allow.is_empty() && *shell {
            return wrong("--shell allows everything already: leave out --allow, or --shell".to_owned());
        }
        if timeout.is_some_and(|timeout| timeout.0.is_zero()) {
            return wrong("--timeout: no command ends in no time".to_owned());
        }
        if *jobs == Some(0) {
            return wrong("--jobs must be at least 1".to_owned());
        }
        for (endpoint, framing) in listeners {
            // An answer is bytes of any kind, a megabyte of them and more.
            if !framing.can_carry(2 << 20) {
                let text =
                    format!("{framing} cannot carry exec's answers at {endpoint}: choose raw, u32be or the like");
                return wrong(text);
            }
            if endpoint.is_local() {
                continue;
            }
            if *shell {
                let text = format!("{endpoint} can be reached from other machines: --shell is for 127.0.0.1 alone");
                return wrong(text);
            }
            if token_file.is_none() {
                let text = format!("{endpoint} can be reached from other machines: give --token-file, too");
                return wrong(text);
            }
        }
        Ok(())
    }

    pub(super) fn make(wishes: &Wishes) -> Result<Box<dyn Service + Send>, Failure> {
        let ExecArgs { allow, shell, token_file, timeout, jobs } = &wishes.exec;
        let found = |name: &String| Program::find(name).map_err(|bad| Failure::Usage(format!("--allow: {bad}")));
        let allowed =
            if *shell { Allowed::Shell } else { Allowed::Programs(allow.iter().map(found).collect::<Result<_, _>>()?) };
        let token = token_file.as_deref().map(secret::read).transpose()?;
        let token = token.map(|text| {
            let wrong = |bad| Failure::Usage(format!("--token-file: {bad}"));
            text.parse::<Token>().map_err(wrong)
        });
        let standard = Rules::new(allowed);
        Ok(Box::new(Exec::new(Rules {
            token: token.transpose()?,
            dialect: dialect(wishes)?,
            timeout: timeout.map_or(standard.timeout, |timeout| timeout.0),
            jobs: jobs.and_then(NonZeroUsize::new).unwrap_or(standard.jobs),
            ..standard
        })))
    }

    fn dialect(wishes: &Wishes) -> Result<Dialect, Failure> {
        let Some(name) = &wishes.dialect else { return Ok(Dialect::default()) };
        name.parse()
            .map_err(|_| Failure::Usage(format!("--dialect {name} is not for exec: header, length or ready is")))
    }
}

#[cfg(not(unix))]
mod made {
    use switchboard::Service;

    use crate::cli::failure::Failure;
    use crate::cli::services::{Listeners, Wishes};

    pub(super) fn check(_: &Wishes, _: &Listeners) -> Result<(), Failure> {
        Err(Failure::Usage("exec is not there on this system".to_owned()))
    }

    pub(super) fn make(_: &Wishes) -> Result<Box<dyn Service + Send>, Failure> {
        Err(Failure::Usage("exec is not there on this system".to_owned()))
    }
}
