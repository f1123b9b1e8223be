//! The exec service on the command line.

use std::num::NonZeroUsize;

use clap::builder::PossibleValuesParser;
use switchboard::Framing;
use switchboard::services::exec::{Allowed, Exec, ExecDialect, ExecRules, Launcher, Program, Token};

use super::args::{ExecServiceArgs, ServiceArgs};
use super::builtin::{BuiltinService, Culprit, Listeners, MakeResult, PlannedListener, ServiceArgError};
use crate::cli::terminal::shell::quote;
use crate::cli::token_file;

pub(super) const EXEC: BuiltinService = BuiltinService {
    name: "exec",
    about: "Run allowed commands, without a shell",
    default_listen: &["127.0.0.1:8086"],
    framing: |_| Framing::Raw,
    is_default: false,
    supports_udp: false,
    options: &["dialect", "allow", "shell", "token-file", "timeout", "jobs"],
    refine: |arg| match arg.get_long() {
        Some("dialect") => arg
            .value_parser(PossibleValuesParser::new(ExecDialect::NAMES.map(|(name, _)| name)))
            .help("Protocol dialect of the clients [default: header]"),
        _ => arg,
    },
    help: "\
Examples:
  switchboard serve exec --allow date --allow uname
  switchboard serve exec --allow date --listen 0.0.0.0:8086 --token-file token
",
    check,
    make,
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

/// Checks the options, and that a listener beyond loopback requires a token.
fn check(args: &ServiceArgs, listeners: &Listeners) -> Result<(), ServiceArgError> {
    let ExecServiceArgs { allow, shell, token_file, timeout, jobs } = &args.exec;
    let name = |option| args.spelled(option);
    if allow.is_empty() && !shell {
        let text = format!("exec needs to know what it may run: add {} PROGRAM or {}", name("allow"), name("shell"));
        return Err(Culprit::Service.usage(text));
    }
    if !allow.is_empty() && *shell {
        let text = format!("{} allows every command: remove {} or {0}", name("shell"), name("allow"));
        return Err(Culprit::Option("shell").usage(text));
    }
    if timeout.is_some_and(|timeout| timeout.0.is_zero()) {
        return Err(Culprit::Option("timeout").usage(format!("{} must be greater than 0", name("timeout"))));
    }
    if *jobs == Some(0) {
        return Err(Culprit::Option("jobs").usage(format!("{} must be at least 1", name("jobs"))));
    }
    for (index, PlannedListener { endpoint, framing, .. }) in listeners.iter().enumerate() {
        let wrong = |culprit: Culprit, text: String| Err(culprit.usage(format!("{endpoint} {text}")));
        // A response may contain any byte and be larger than 1 MiB.
        if !framing.can_carry(2 << 20) {
            let text = "a response of exec needs raw, u32be or another wide length";
            return wrong(Culprit::Framing(index), format!("cannot use the framing {framing}: {text}"));
        }
        if endpoint.is_local() {
            continue;
        }
        let public = "is reachable from other machines";
        if *shell {
            let text = format!("{public}: {} is limited to loopback", name("shell"));
            return wrong(Culprit::Listener(index), text);
        }
        if token_file.is_none() {
            return wrong(Culprit::Listener(index), format!("{public}: add {}", name("token-file")));
        }
    }
    Ok(())
}

/// Creates the service.
fn make(args: &ServiceArgs) -> MakeResult {
    let ExecServiceArgs { allow, shell, token_file, timeout, jobs } = &args.exec;
    let find = |(index, name): (usize, &String)| {
        let wrong = |error| Culprit::Value("allow", index).usage(format!("{}: {error}", args.spelled("allow")));
        Program::find(name).map_err(wrong)
    };
    let allowed = if *shell {
        Allowed::Shell
    } else {
        Allowed::Programs(allow.iter().enumerate().map(find).collect::<Result<_, _>>()?)
    };
    let culprit = Culprit::Option("token-file");
    let token = token_file.as_deref().map(token_file::read).transpose().map_err(|error| culprit.error(error))?;
    let token = token.map(|text| {
        let wrong = |error| culprit.usage(format!("{}: {error}", args.spelled("token-file")));
        text.parse::<Token>().map_err(wrong)
    });
    let defaults = ExecRules::new(allowed);
    let exec = Exec::new(ExecRules {
        token: token.transpose()?,
        launcher: Some(Launcher::init()),
        // The command line has checked the name.
        dialect: args.dialect.as_deref().and_then(|name| name.parse().ok()).unwrap_or_default(),
        timeout: timeout.map_or(defaults.timeout, |timeout| timeout.0),
        jobs: jobs.and_then(NonZeroUsize::new).unwrap_or(defaults.jobs),
        ..defaults
    });
    Ok((exec.options("exec"), Box::new(exec)))
}
