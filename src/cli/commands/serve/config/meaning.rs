//! What a configuration means: each key is the flag of the same name, so its values are read, and refused, as on the command
//! line. Which keys a section may have follows from the one definition of the command line.

use std::ffi::OsString;
use std::rc::Rc;

use clap::error::ErrorKind;
use switchboard::{Endpoint, Error, Limits};

use super::document::{Fault, Key, Place, Section, Value};
use crate::cli::commands::serve::args::ServeArgs;
use crate::cli::commands::serve::limits;
use crate::cli::commands::serve::plan::{PlannedService, ServePlan};
use crate::cli::commands::serve::services::{self, BuiltinService};
use crate::cli::error::first_line;

/// The section with the limits, and the headings of the help under which they stand.
const LIMITS: &str = "limits";
const LIMIT_HEADINGS: [&str; 2] = ["Limits", limits::ADVANCED];

/// What every service has.
const OF_ALL_SERVICES: [&str; 2] = ["listen", "framing"];

/// Makes a plan of all sections, or says everything that is wrong.
pub(super) fn plan(sections: &[Section], mut faults: Vec<Fault>) -> Result<ServePlan, Vec<Fault>> {
    let definition = definition();
    let (mut engine, mut limits, mut services) = (None, None, Vec::new());
    for section in sections {
        let understood = match section.name.as_str() {
            "" => read(section, None, &["engine"], &definition).map(|typed| engine = Some(typed.engine)),
            LIMITS if limits.is_some() => {
                Err(vec![at(&section.at, format!("{LIMITS} are there already, further up: they are the same for all"))])
            }
            LIMITS => read(section, None, &flags_under(&definition, &LIMIT_HEADINGS), &definition)
                .map(|typed| limits = Some((section, Limits::from(typed.limits)))),
            name => service(section, name, &definition).map(|planned| services.push((section, planned))),
        };
        faults.extend(understood.err().into_iter().flatten());
    }
    let limits = limits.map(|(section, limits)| {
        faults.extend(contradiction(section, &limits));
        limits
    });
    faults.extend(clashes(&services));
    if services.is_empty() && faults.is_empty() {
        faults.push(Fault { at: 0..0, what: format!("no service is named: write [{}], say", services::ALL[0].name) });
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(ServePlan {
        engine: engine.unwrap_or_default(),
        limits: limits.unwrap_or_default(),
        services: services.into_iter().map(|(_, planned)| planned).collect(),
        has_table: true,
    })
}

fn service(section: &Section, name: &str, definition: &clap::Command) -> Result<PlannedService, Vec<Fault>> {
    let Some(builtin) = services::find(name) else {
        let names = services::ALL.each_ref().map(|builtin| builtin.name).join(", ");
        return Err(vec![at(&section.at, format!("no section is called {name}: write {LIMITS}, or one of {names}"))]);
    };
    let keys = keys_of(builtin, definition);
    let typed = read(section, Some(builtin), &keys, definition)?;
    let planned = PlannedService::new(builtin, &typed.listen, typed.framing, &Rc::new(typed.service_args));
    planned.map_err(|failure| vec![complaint(section, &failure.to_string(), &keys)])
}

/// What is wrong with a service, at the value or the key that it is about if it names one, and in a file's words: a key is no flag.
fn complaint(section: &Section, text: &str, keys: &[String]) -> Fault {
    let words = |key: &'_ Key| match &key.value {
        Value::Words(words) => words.clone(),
        Value::Switch(_) => Vec::new(),
    };
    // An endpoint is shown with a space behind its transport.
    let is_named = |word: &str| {
        let word = address(word);
        stands_in(text, word) || stands_in(text, &word.replacen(':', " ", 1))
    };
    let named = section.keys.iter().flat_map(words).filter(|(word, _)| is_named(word));
    let of_value = named.max_by_key(|(word, _)| word.len()).map(|(_, place)| place);
    let of_key = || section.keys.iter().find(|key| text.contains(&format!("--{}", key.name))).map(|key| key.at.clone());
    let place = of_value.or_else(of_key).unwrap_or_else(|| section.at.clone());
    at(&place, keys.iter().fold(text.to_owned(), |text, key| text.replace(&format!("--{key}"), key)))
}

/// Whether `word` stands in `text` by itself, not as a part of another.
fn stands_in(text: &str, word: &str) -> bool {
    let is_apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let mut places = text.match_indices(word).filter(|_| !word.is_empty());
    places.any(|(at, _)| {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + word.len()..).unwrap_or_default());
        is_apart(before.chars().next_back()) && is_apart(after.chars().next())
    })
}

/// A listener without its framing.
fn address(word: &str) -> &str {
    word.split_once('@').map_or(word, |(_, address)| address)
}

/// The keys that a service's section may have.
pub(super) fn keys_of(builtin: &BuiltinService, definition: &clap::Command) -> Vec<String> {
    let own = flags_under(definition, builtin.headings);
    OF_ALL_SERVICES.map(str::to_owned).into_iter().chain(own).collect()
}

/// Returns the definition of the command whose flags are the keys.
pub(super) fn definition() -> clap::Command {
    let mut command = ServeArgs::command();
    command.build();
    command
}

fn flags_under(definition: &clap::Command, headings: &[&str]) -> Vec<String> {
    let stands_there = |arg: &&clap::Arg| arg.get_help_heading().is_some_and(|heading| headings.contains(&heading));
    let arguments = definition.get_arguments().filter(|arg| !arg.is_hide_set());
    arguments.filter(stands_there).filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

/// Reads a section's keys as the flags that they are: each by itself, to know which is wrong, and all together.
fn read(
    section: &Section,
    builtin: Option<&BuiltinService>,
    known: &[impl AsRef<str>],
    definition: &clap::Command,
) -> Result<ServeArgs, Vec<Fault>> {
    let (mut faults, mut all) = (Vec::new(), Vec::new());
    for key in &section.keys {
        match flags(key, known, &section.name, definition) {
            Ok(flags) => {
                for (flag, place) in flags {
                    // What it needs beside it is seen when all are read together.
                    if let Err((kind, what)) = parse(builtin, [flag.clone()])
                        && kind != ErrorKind::MissingRequiredArgument
                    {
                        faults.push(at(&place, what.replace(&format!("'--{} ", key.name), &format!("'{} ", key.name))));
                    }
                    all.push(flag);
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    parse(builtin, all).map_err(|(_, what)| vec![at(&section.at, what)])
}

/// A key as it would be typed.
fn flags(
    key: &Key,
    known: &[impl AsRef<str>],
    section: &str,
    definition: &clap::Command,
) -> Result<Vec<(OsString, Place)>, Fault> {
    let name = &key.name;
    if !known.iter().any(|known| known.as_ref() == name) {
        let known = known.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
        if section.is_empty() && (name == LIMITS || services::find(name).is_some()) {
            return Err(at(&key.at, format!("{name} is a section: write [{name}] on a line of its own")));
        }
        let section = if section.is_empty() { "the file itself" } else { section };
        return Err(at(&key.at, format!("{section} has no key {name}: it has {known}")));
    }
    let arg = definition.get_arguments().find(|arg| arg.get_long() == Some(name));
    let takes_words = arg.is_some_and(|arg| arg.get_action().takes_values());
    let takes_many = arg.is_some_and(|arg| matches!(arg.get_action(), clap::ArgAction::Append));
    match &key.value {
        Value::Switch(given) if !takes_words => {
            Ok(given.then(|| (format!("--{name}").into(), key.at.clone())).into_iter().collect())
        }
        Value::Words(words) if takes_words && (takes_many || words.len() == 1) => {
            Ok(words.iter().map(|(word, at)| (format!("--{name}={word}").into(), at.clone())).collect())
        }
        Value::Words(_) if takes_words => Err(at(&key.value_at, format!("{name} takes one value"))),
        Value::Words(_) => Err(at(&key.value_at, format!("{name} is true or false"))),
        Value::Switch(_) => Err(at(&key.value_at, format!("{name} is neither true nor false: it takes a value"))),
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

/// Limits that make no sense together.
fn contradiction(section: &Section, limits: &Limits) -> Option<Fault> {
    let what = match limits.validate() {
        Err(Error::Limits(what)) => what.to_owned(),
        other => other.err()?.to_string(),
    };
    let about = section.keys.iter().find(|key| what.starts_with(&key.name));
    Some(at(about.map_or(&section.at, |key| &key.value_at), what))
}

/// What two services cannot both have: an address, and the terminal.
fn clashes(services: &[(&Section, PlannedService)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut consoles = services.iter().filter(|(_, planned)| planned.args.has_console()).skip(1);
    if let Some((section, _)) = consoles.next() {
        faults.push(at(&section.at, "the terminal is another chat's console already".to_owned()));
    }
    let mut taken = Vec::new();
    for (section, planned) in services {
        for (endpoint, _) in &planned.listeners {
            if taken.contains(&endpoint) && !has_any_port(endpoint) {
                faults.push(at(&section.at, format!("{endpoint} is listened on already, further up")));
            }
            taken.push(endpoint);
        }
    }
    faults
}

fn has_any_port(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Tcp(addr) | Endpoint::Udp(addr) if addr.port() == 0)
}

fn at(place: &Place, what: String) -> Fault {
    Fault { at: place.clone(), what }
}
