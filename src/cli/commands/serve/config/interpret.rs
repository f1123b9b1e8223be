//! From sections to a plan. Each key is the flag of the same name, so clap parses its values and
//! reports their errors. The keys that a section may have follow from clap's definition of `serve`.

use std::ffi::OsString;
use std::rc::Rc;

use clap::error::ErrorKind;
use switchboard::{Endpoint, Error, Limits};

use super::document::{ByteSpan, ConfigError, ConfigKey, ConfigSection, ConfigValue};
use crate::cli::commands::serve::args::ServeArgs;
use crate::cli::commands::serve::limits;
use crate::cli::commands::serve::plan::{PlannedService, ServePlan};
use crate::cli::commands::serve::services::{self, BuiltinService};
use crate::cli::error::first_line;

/// The section with the limits, and the help headings of its keys.
const LIMITS: &str = "limits";
const LIMIT_HEADINGS: [&str; 2] = ["Limits", limits::ADVANCED];

/// Keys of every service.
const COMMON_KEYS: [&str; 2] = ["listen", "framing"];

/// Makes a plan of all sections, or returns all errors: `errors` and those found here.
pub(super) fn plan(sections: &[ConfigSection], mut errors: Vec<ConfigError>) -> Result<ServePlan, Vec<ConfigError>> {
    let definition = definition();
    let (mut engine, mut limits, mut services) = (None, None, Vec::new());
    for section in sections {
        let result = match section.name.as_str() {
            "" => parse_section(section, None, &["engine"], &definition).map(|args| engine = Some(args.engine)),
            LIMITS if limits.is_some() => {
                Err(vec![error_at(&section.span, format!("duplicate section {LIMITS}: it applies to all services"))])
            }
            LIMITS => parse_section(section, None, &flags_under(&definition, &LIMIT_HEADINGS), &definition)
                .map(|args| limits = Some((section, Limits::from(args.limits)))),
            name => plan_service(section, name, &definition).map(|planned| services.push((section, planned))),
        };
        errors.extend(result.err().into_iter().flatten());
    }
    let limits = limits.map(|(section, limits)| {
        errors.extend(invalid_limits(section, &limits));
        limits
    });
    errors.extend(conflicts(&services));
    if services.is_empty() && errors.is_empty() {
        errors.push(ConfigError {
            span: 0..0,
            message: format!("no service is named: add a section, such as [{}]", services::ALL[0].name),
        });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(ServePlan {
        engine: engine.unwrap_or_default(),
        limits: limits.unwrap_or_default(),
        services: services.into_iter().map(|(_, planned)| planned).collect(),
        prints_examples: true,
    })
}

/// Makes the plan of one service.
fn plan_service(
    section: &ConfigSection,
    name: &str,
    definition: &clap::Command,
) -> Result<PlannedService, Vec<ConfigError>> {
    let Some(builtin) = services::find(name) else {
        let names = services::ALL.each_ref().map(|builtin| builtin.name).join(", ");
        return Err(vec![error_at(&section.span, format!("unknown section {name}: use {LIMITS} or one of {names}"))]);
    };
    let keys = keys_of(builtin, definition);
    let args = parse_section(section, Some(builtin), &keys, definition)?;
    let planned = PlannedService::new(builtin, &args.listen, args.framing, &Rc::new(args.service_args));
    planned.map_err(|error| vec![locate(section, &error.to_string(), &keys)])
}

/// Returns the error `text` of a service with its position: that of the value or the key that the
/// text names, or else that of the section. Flags in the text become keys.
fn locate(section: &ConfigSection, text: &str, keys: &[String]) -> ConfigError {
    let arguments = |key: &'_ ConfigKey| match &key.value {
        ConfigValue::Arguments(arguments) => arguments.clone(),
        ConfigValue::Switch(_) => Vec::new(),
    };
    // An error shows an endpoint with a space between transport and address.
    let is_named = |word: &str| {
        let word = address(word);
        contains_word(text, word) || contains_word(text, &word.replacen(':', " ", 1))
    };
    let named = section.keys.iter().flat_map(arguments).filter(|(word, _)| is_named(word));
    let of_value = named.max_by_key(|(word, _)| word.len()).map(|(_, span)| span);
    let of_key =
        || section.keys.iter().find(|key| text.contains(&format!("--{}", key.name))).map(|key| key.span.clone());
    let span = of_value.or_else(of_key).unwrap_or_else(|| section.span.clone());
    error_at(&span, keys.iter().fold(text.to_owned(), |text, key| text.replace(&format!("--{key}"), key)))
}

/// Returns true if `text` contains `word` with no letter or digit next to it.
fn contains_word(text: &str, word: &str) -> bool {
    let is_boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let mut matches = text.match_indices(word).filter(|_| !word.is_empty());
    matches.any(|(at, _)| {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + word.len()..).unwrap_or_default());
        is_boundary(before.chars().next_back()) && is_boundary(after.chars().next())
    })
}

/// Returns a listener's address without its framing.
fn address(word: &str) -> &str {
    word.split_once('@').map_or(word, |(_, address)| address)
}

/// Returns the keys that a service's section may have.
pub(super) fn keys_of(builtin: &BuiltinService, definition: &clap::Command) -> Vec<String> {
    let own = flags_under(definition, builtin.headings);
    COMMON_KEYS.map(str::to_owned).into_iter().chain(own).collect()
}

/// Returns the definition of the command whose flags are the keys.
pub(super) fn definition() -> clap::Command {
    let mut command = ServeArgs::command();
    command.build();
    command
}

/// Returns the flags that the help lists under one of the headings.
fn flags_under(definition: &clap::Command, headings: &[&str]) -> Vec<String> {
    let is_listed = |arg: &&clap::Arg| arg.get_help_heading().is_some_and(|heading| headings.contains(&heading));
    let arguments = definition.get_arguments().filter(|arg| !arg.is_hide_set());
    arguments.filter(is_listed).filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

/// Parses a section's keys as flags: each by itself, to find the position of an error, and then all
/// together.
fn parse_section(
    section: &ConfigSection,
    builtin: Option<&BuiltinService>,
    known: &[impl AsRef<str>],
    definition: &clap::Command,
) -> Result<ServeArgs, Vec<ConfigError>> {
    let (mut errors, mut all) = (Vec::new(), Vec::new());
    for key in &section.keys {
        match flags(key, known, &section.name, definition) {
            Ok(flags) => {
                for (flag, span) in flags {
                    // A required other flag is checked when all are parsed together.
                    if let Err((kind, message)) = parse(builtin, [flag.clone()])
                        && kind != ErrorKind::MissingRequiredArgument
                    {
                        errors.push(error_at(
                            &span,
                            message.replace(&format!("'--{} ", key.name), &format!("'{} ", key.name)),
                        ));
                    }
                    all.push(flag);
                }
            }
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    parse(builtin, all).map_err(|(_, message)| vec![error_at(&section.span, message)])
}

/// Returns a key as the flags that would be typed, each with its position.
fn flags(
    key: &ConfigKey,
    known: &[impl AsRef<str>],
    section: &str,
    definition: &clap::Command,
) -> Result<Vec<(OsString, ByteSpan)>, ConfigError> {
    let name = &key.name;
    if !known.iter().any(|known| known.as_ref() == name) {
        let known = known.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
        if section.is_empty() && (name == LIMITS || services::find(name).is_some()) {
            return Err(error_at(&key.span, format!("{name} is a section: write [{name}] on its own line")));
        }
        let section = if section.is_empty() { "the top level" } else { section };
        return Err(error_at(&key.span, format!("unknown key {name} in {section}: its keys are {known}")));
    }
    let arg = definition.get_arguments().find(|arg| arg.get_long() == Some(name));
    let takes_value = arg.is_some_and(|arg| arg.get_action().takes_values());
    let takes_many = arg.is_some_and(|arg| matches!(arg.get_action(), clap::ArgAction::Append));
    match &key.value {
        ConfigValue::Switch(given) if !takes_value => {
            Ok(given.then(|| (format!("--{name}").into(), key.span.clone())).into_iter().collect())
        }
        ConfigValue::Arguments(values) if takes_value && (takes_many || values.len() == 1) => {
            Ok(values.iter().map(|(value, span)| (format!("--{name}={value}").into(), span.clone())).collect())
        }
        ConfigValue::Arguments(_) if takes_value => Err(error_at(&key.value_span, format!("{name} takes one value"))),
        ConfigValue::Arguments(_) => Err(error_at(&key.value_span, format!("{name} must be true or false"))),
        ConfigValue::Switch(_) => Err(error_at(&key.value_span, format!("{name} takes a value, not true or false"))),
    }
}

fn parse(
    builtin: Option<&BuiltinService>,
    flags: impl IntoIterator<Item = OsString>,
) -> Result<ServeArgs, (ErrorKind, String)> {
    let words = ["serve"].into_iter().chain(builtin.map(|builtin| builtin.name));
    ServeArgs::parse(words.map(OsString::from).chain(flags))
        .map_err(|error| (error.kind(), first_line(&error.to_string())))
}

/// Returns an error if the limits contradict each other.
fn invalid_limits(section: &ConfigSection, limits: &Limits) -> Option<ConfigError> {
    let message = match limits.validate() {
        Err(Error::Limits(message)) => message.to_owned(),
        other => other.err()?.to_string(),
    };
    let key = section.keys.iter().find(|key| message.starts_with(&key.name));
    Some(error_at(key.map_or(&section.span, |key| &key.value_span), message))
}

/// Returns an error for each address and console that two services share.
fn conflicts(services: &[(&ConfigSection, PlannedService)]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut consoles = services.iter().filter(|(_, planned)| planned.args.has_console()).skip(1);
    if let Some((section, _)) = consoles.next() {
        errors.push(error_at(&section.span, "the terminal is already the console of another chat".to_owned()));
    }
    let mut taken = Vec::new();
    for (section, planned) in services {
        for (endpoint, _) in &planned.listeners {
            if taken.contains(&endpoint) && !has_any_port(endpoint) {
                errors.push(error_at(&section.span, format!("another section already listens on {endpoint}")));
            }
            taken.push(endpoint);
        }
    }
    errors
}

fn has_any_port(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Tcp(addr) | Endpoint::Udp(addr) if addr.port() == 0)
}

fn error_at(span: &ByteSpan, message: String) -> ConfigError {
    ConfigError { span: span.clone(), message }
}
