//! Exec on the command line.

use switchboard::Framing;

use super::args::ExecServiceArgs;
use super::builtin::BuiltinService;
use crate::cli::terminal::shell::quote;

pub(super) const EXEC: BuiltinService = BuiltinService {
    name: "exec",
    about: "runs allowed commands, without a shell",
    default_listen: &["127.0.0.1:8086"],
    framing: |_| Framing::Raw,
    is_default: false,
    datagrams: false,
    headings: &["Exec", "Files and exec"],
    check: made::check,
    make: made::make,
    example: |args, _, framing| args.exec.tries(framing, args.dialect.as_deref()),
};

impl ExecServiceArgs {
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

    use crate::cli::commands::serve::services::args::{ExecServiceArgs, ServiceArgs};
    use crate::cli::commands::serve::services::builtin::Listeners;
    use crate::cli::error::CliError;
    use crate::cli::token_file;

    /// Whether it may be what was wished, where it is to listen.
    pub(super) fn check(args: &ServiceArgs, listeners: &Listeners) -> Result<(), CliError> {
        let ExecServiceArgs { allow, shell, token_file, timeout, jobs } = &args.exec;
        let wrong = |text: String| Err(CliError::Usage(text));
        dialect(args)?;
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

    pub(super) fn make(args: &ServiceArgs) -> Result<Box<dyn Service + Send>, CliError> {
        let ExecServiceArgs { allow, shell, token_file, timeout, jobs } = &args.exec;
        let found = |name: &String| Program::find(name).map_err(|bad| CliError::Usage(format!("--allow: {bad}")));
        let allowed =
            if *shell { Allowed::Shell } else { Allowed::Programs(allow.iter().map(found).collect::<Result<_, _>>()?) };
        let token = token_file.as_deref().map(token_file::read).transpose()?;
        let token = token.map(|text| {
            let wrong = |bad| CliError::Usage(format!("--token-file: {bad}"));
            text.parse::<Token>().map_err(wrong)
        });
        let standard = Rules::new(allowed);
        Ok(Box::new(Exec::new(Rules {
            token: token.transpose()?,
            dialect: dialect(args)?,
            timeout: timeout.map_or(standard.timeout, |timeout| timeout.0),
            jobs: jobs.and_then(NonZeroUsize::new).unwrap_or(standard.jobs),
            ..standard
        })))
    }

    fn dialect(args: &ServiceArgs) -> Result<Dialect, CliError> {
        let Some(name) = &args.dialect else { return Ok(Dialect::default()) };
        name.parse()
            .map_err(|_| CliError::Usage(format!("--dialect {name} is not for exec: header, length or ready is")))
    }
}

#[cfg(not(unix))]
mod made {
    use switchboard::Service;

    use crate::cli::commands::serve::services::args::ServiceArgs;
    use crate::cli::commands::serve::services::builtin::Listeners;
    use crate::cli::error::CliError;

    pub(super) fn check(_: &ServiceArgs, _: &Listeners) -> Result<(), CliError> {
        Err(CliError::Usage("exec is not there on this system".to_owned()))
    }

    pub(super) fn make(_: &ServiceArgs) -> Result<Box<dyn Service + Send>, CliError> {
        Err(CliError::Usage("exec is not there on this system".to_owned()))
    }
}
