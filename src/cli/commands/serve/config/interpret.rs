//! From sections to a plan. Each key is the flag of the same name, so clap parses its values and
//! reports their errors. The keys that a section may have follow from clap's definition of `serve`.

use std::ffi::OsString;
use std::rc::Rc;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction};
use switchboard::{Endpoint, Error, Limits};

use super::document::{ByteSpan, ConfigError, ConfigKey, ConfigSection, ConfigValue};
use crate::cli::commands::serve::args::{REPORTS, ServeArgs, ServeFlags, definition};
use crate::cli::commands::serve::limits;
use crate::cli::commands::serve::plan::{PlannedService, ServePlan};
use crate::cli::commands::serve::ports;
use crate::cli::commands::serve::services::{self, BuiltinService, Culprit, ListenSource, Origin, ServiceArgError};
use crate::cli::error::{CliError, first_line};

/// The section with the limits.
const LIMITS: &str = "limits";

/// Keys of every service.
const COMMON_KEYS: [&str; 2] = ["listen", "framing"];

/// Makes a plan of all sections, or returns all errors: `errors` and those found here.
/// `position` returns `FILE:LINE` of a byte range.
pub(super) fn plan(
    sections: &[ConfigSection],
    mut errors: Vec<ConfigError>,
    position: &dyn Fn(&ByteSpan) -> String,
) -> Result<ServePlan, Vec<ConfigError>> {
    let (mut process, mut limits, mut services) = (None, None, Vec::new());
    for section in sections {
        let result = match section.name.as_str() {
            "" => {
                parse_section(section, None, is_of_process).map(|flags| process = Some((flags.engine, flags.reports)))
            }
            LIMITS if limits.is_some() => {
                Err(vec![error_at(&section.span, format!("duplicate section {LIMITS}: it applies to all services"))])
            }
            LIMITS => {
                parse_section(section, None, is_limit).map(|flags| limits = Some((section, Limits::from(flags.limits))))
            }
            name => plan_service(section, name, position).map(|planned| services.push((section, planned))),
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
            is_unreadable: false,
        });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let (engine, reports) = process.unwrap_or_default();
    Ok(ServePlan {
        engine,
        reports,
        limits: limits.unwrap_or_default(),
        services: services.into_iter().map(|(_, planned)| planned).collect(),
        prints_examples: true,
        skips_unavailable: false,
    })
}

/// Makes the plan of one service.
fn plan_service(
    section: &ConfigSection,
    name: &str,
    position: &dyn Fn(&ByteSpan) -> String,
) -> Result<PlannedService, Vec<ConfigError>> {
    let Some(builtin) = services::find(name) else {
        let names = services::names(", ");
        return Err(vec![error_at(&section.span, format!("unknown section {name}: use {LIMITS} or one of {names}"))]);
    };
    let ServeFlags { listen, framing, mut service_args, .. } =
        parse_section(section, Some(builtin), |option| is_key_of(builtin, option))?;
    service_args.origin = Origin::ConfigFile;
    let args = Rc::new(service_args);
    let source = |index| ListenSource::File(position(span_of(section, Culprit::Value("listen", index))));
    let listen = if listen.is_empty() { ports::defaults(builtin) } else { Ok(listen) };
    let planned = listen.map_err(|error| Culprit::Service.error(error));
    let planned = planned.and_then(|listen| PlannedService::new(builtin, &listen, framing, &args, &source));
    planned.map_err(|ServiceArgError { culprit, error }| {
        let is_unreadable = matches!(error, CliError::Failed(_));
        vec![ConfigError { is_unreadable, ..error_at(span_of(section, culprit), error.to_string()) }]
    })
}

/// Returns the position of the part of a section that an error is about.
fn span_of(section: &ConfigSection, culprit: Culprit) -> &ByteSpan {
    let key = |name| section.keys.iter().find(|key| key.name == name);
    let span = match culprit {
        Culprit::Service | Culprit::Listener(_) | Culprit::Framing(_) => None,
        Culprit::Option(name) => key(name).map(|key| &key.span),
        Culprit::Value(name, index) => key(name).map(|key| match &key.value {
            ConfigValue::Arguments(values) => values.get(index).map_or(&key.value_span, |(_, span)| span),
            ConfigValue::Switch(_) => &key.value_span,
        }),
    };
    span.unwrap_or(&section.span)
}

/// Returns true if the section of a service may have the key `option`.
pub(super) fn is_key_of(builtin: &BuiltinService, option: &Arg) -> bool {
    let name = option.get_long().unwrap_or_default();
    COMMON_KEYS.contains(&name) || builtin.options.contains(&name)
}

/// Returns true if `option` is a limit.
fn is_limit(option: &Arg) -> bool {
    option.get_help_heading().is_some_and(|heading| limits::HEADINGS.contains(&heading))
}

/// Returns true if `option` is of the process, and stands above all sections.
fn is_of_process(option: &Arg) -> bool {
    option.get_long() == Some("engine") || option.get_help_heading() == Some(REPORTS)
}

/// Parses a section's keys as flags: each value by itself, so that an error has its position, and
/// then all together. `is_key` selects the flags that the section may have.
fn parse_section(
    section: &ConfigSection,
    builtin: Option<&'static BuiltinService>,
    is_key: impl Fn(&Arg) -> bool,
) -> Result<ServeFlags, Vec<ConfigError>> {
    let definition = definition(builtin);
    let known: Vec<_> = definition.get_arguments().filter(|option| is_key(option)).collect();
    let (mut errors, mut all) = (Vec::new(), Vec::new());
    for key in &section.keys {
        match flags(key, &known, &section.name) {
            Ok(flags) => {
                for (flag, span) in flags {
                    if let Err(error) = ServeArgs::parse(builtin, [flag.clone()]) {
                        errors.push(error_at(span, in_keys(error)));
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
    let parsed = ServeArgs::parse(builtin, all).map_err(|error| vec![error_at(&section.span, in_keys(error))])?;
    Ok(parsed.flags)
}

/// Returns a key as the flags that would be typed, each with its position.
fn flags<'a>(key: &'a ConfigKey, known: &[&Arg], section: &str) -> Result<Vec<(OsString, &'a ByteSpan)>, ConfigError> {
    let name = &key.name;
    let Some(option) = known.iter().find(|option| option.get_long() == Some(name)) else {
        if section.is_empty() && (name == LIMITS || services::find(name).is_some()) {
            return Err(error_at(&key.span, format!("{name} is a section: write [{name}] on its own line")));
        }
        let known = known.iter().filter_map(|option| option.get_long()).collect::<Vec<_>>().join(", ");
        let section = if section.is_empty() { "the top level" } else { section };
        return Err(error_at(&key.span, format!("unknown key {name} in {section}: its keys are {known}")));
    };
    let takes_value = option.get_action().takes_values();
    let takes_many = matches!(option.get_action(), ArgAction::Append);
    match &key.value {
        ConfigValue::Switch(given) if !takes_value => {
            Ok(given.then(|| (format!("--{name}").into(), &key.span)).into_iter().collect())
        }
        ConfigValue::Arguments(values) if takes_many && values.is_empty() => {
            Err(error_at(&key.value_span, format!("{name} is an empty list: write a value, or remove the key")))
        }
        ConfigValue::Arguments(values) if takes_value && (takes_many || values.len() == 1) => {
            Ok(values.iter().map(|(value, span)| (format!("--{name}={value}").into(), span)).collect())
        }
        ConfigValue::Arguments(_) if takes_value => Err(error_at(&key.value_span, format!("{name} takes one value"))),
        ConfigValue::Arguments(_) => Err(error_at(&key.value_span, format!("{name} must be true or false"))),
        ConfigValue::Switch(_) => Err(error_at(&key.value_span, format!("{name} takes a value, not true or false"))),
    }
}

/// Returns the text of an error of the parser, with keys in the place of flags.
fn in_keys(mut error: clap::Error) -> String {
    let key = |flag: &String| flag.trim_start_matches("--").to_owned();
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) => Some(ContextValue::String(key(flag))),
        Some(ContextValue::Strings(flags)) => Some(ContextValue::Strings(flags.iter().map(key).collect())),
        _ => None,
    };
    if let Some(named) = named {
        error.insert(ContextKind::InvalidArg, named);
    }
    first_line(&error.to_string())
}

/// Returns an error if the limits contradict each other.
fn invalid_limits(section: &ConfigSection, limits: &Limits) -> Option<ConfigError> {
    let error = limits.validate().err()?;
    let Error::Limits { name, requirement } = error else {
        return Some(error_at(&section.span, error.to_string()));
    };
    let key = section.keys.iter().find(|key| key.name == name);
    Some(error_at(key.map_or(&section.span, |key| &key.value_span), format!("{name} {requirement}")))
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
        for endpoint in planned.listeners.iter().map(|listener| &listener.endpoint) {
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
    ConfigError { span: span.clone(), message, is_unreadable: false }
}
