//! The exec service on the command line.

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
    supports_udp: false,
    headings: &["Exec", "Files and exec"],
    check: unix::check,
    make: unix::make,
    example: |args, _, framing| args.exec.example(framing, args.dialect.as_deref()),
};

impl ExecServiceArgs {
    /// Returns a command that runs the first allowed program; `None` if it would need the token.
    fn example(&self, framing: Framing, dialect: Option<&str>) -> Option<String> {
        let program = self.allow.first().map_or("date", String::as_str);
        let dialect = dialect.map(|dialect| format!(" --dialect {dialect}")).unwrap_or_default();
        let framing = if framing == Framing::Raw { String::new() } else { format!(" --framing {framing}") };
        let has_token = self.token_file.is_some();
        (!has_token).then(|| format!("PROGRAM call exec ADDR{dialect}{framing} -- {}", quote(program)))
    }
}

#[cfg(unix)]
mod unix {
    use std::num::NonZeroUsize;

    use switchboard::services::exec::{Allowed, Exec, ExecDialect, ExecRules, Program, Token};

    use crate::cli::commands::serve::services::args::{ExecServiceArgs, ServiceArgs};
    use crate::cli::commands::serve::services::builtin::{Listeners, MadeService};
    use crate::cli::error::CliError;
    use crate::cli::token_file;

    /// Checks the flags, and that a listener beyond loopback requires a token.
    pub(super) fn check(args: &ServiceArgs, listeners: &Listeners) -> Result<(), CliError> {
        let ExecServiceArgs { allow, shell, token_file, timeout, jobs } = &args.exec;
        let usage_error = |text: String| Err(CliError::Usage(text));
        dialect(args)?;
        if allow.is_empty() && !shell {
            return usage_error("exec needs to know what it may run: add --allow PROGRAM or --shell".to_owned());
        }
        if !allow.is_empty() && *shell {
            return usage_error("--shell allows every command: remove --allow or --shell".to_owned());
        }
        if timeout.is_some_and(|timeout| timeout.0.is_zero()) {
            return usage_error("--timeout must be greater than 0".to_owned());
        }
        if *jobs == Some(0) {
            return usage_error("--jobs must be at least 1".to_owned());
        }
        for (endpoint, framing) in listeners {
            // A response may contain any byte and be larger than 1 MiB.
            if !framing.can_carry(2 << 20) {
                let text = format!(
                    "{endpoint} cannot use the framing {framing}: a response of exec needs raw, u32be or another wide length"
                );
                return usage_error(text);
            }
            if endpoint.is_local() {
                continue;
            }
            if *shell {
                let text = format!("{endpoint} is reachable from other machines: --shell is limited to loopback");
                return usage_error(text);
            }
            if token_file.is_none() {
                let text = format!("{endpoint} is reachable from other machines: add --token-file");
                return usage_error(text);
            }
        }
        Ok(())
    }

    /// Creates the service.
    pub(super) fn make(args: &ServiceArgs) -> Result<MadeService, CliError> {
        let ExecServiceArgs { allow, shell, token_file, timeout, jobs } = &args.exec;
        let find = |name: &String| Program::find(name).map_err(|error| CliError::Usage(format!("--allow: {error}")));
        let allowed =
            if *shell { Allowed::Shell } else { Allowed::Programs(allow.iter().map(find).collect::<Result<_, _>>()?) };
        let token = token_file.as_deref().map(token_file::read).transpose()?;
        let token = token.map(|text| {
            let usage_error = |error| CliError::Usage(format!("--token-file: {error}"));
            text.parse::<Token>().map_err(usage_error)
        });
        let defaults = ExecRules::new(allowed);
        let exec = Exec::new(ExecRules {
            token: token.transpose()?,
            dialect: dialect(args)?,
            timeout: timeout.map_or(defaults.timeout, |timeout| timeout.0),
            jobs: jobs.and_then(NonZeroUsize::new).unwrap_or(defaults.jobs),
            ..defaults
        });
        Ok((exec.options("exec"), Box::new(exec)))
    }

    fn dialect(args: &ServiceArgs) -> Result<ExecDialect, CliError> {
        let Some(name) = &args.dialect else { return Ok(ExecDialect::default()) };
        name.parse().map_err(|_| {
            CliError::Usage(format!("--dialect {name} is not a dialect of exec: choose header, length or ready"))
        })
    }
}

#[cfg(not(unix))]
mod unix {

    use crate::cli::commands::serve::services::args::ServiceArgs;
    use crate::cli::commands::serve::services::builtin::{Listeners, MadeService};
    use crate::cli::error::CliError;

    pub(super) fn check(_: &ServiceArgs, _: &Listeners) -> Result<(), CliError> {
        Err(CliError::Usage("exec is not supported on this system".to_owned()))
    }

    pub(super) fn make(_: &ServiceArgs) -> Result<MadeService, CliError> {
        Err(CliError::Usage("exec is not supported on this system".to_owned()))
    }
}
