//! The parser of a configuration: sections of keys, with values in the form of command-line
//! arguments. It knows the syntax only, not which sections and keys exist.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A range of bytes in the text.
pub(in crate::cli::commands::serve) type ByteSpan = Range<usize>;

/// An error in the configuration, with its position.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli::commands::serve) struct ConfigError {
    pub(in crate::cli::commands::serve) span: ByteSpan,
    pub(in crate::cli::commands::serve) message: String,
    /// True if the text is valid, but something that it names cannot be read.
    pub(in crate::cli::commands::serve) is_unreadable: bool,
}

/// A table of the file. The keys above the first table form a section with an empty name.
#[derive(Debug)]
pub(in crate::cli::commands::serve) struct ConfigSection {
    pub(in crate::cli::commands::serve) name: String,
    pub(in crate::cli::commands::serve) span: ByteSpan,
    pub(in crate::cli::commands::serve) keys: Vec<ConfigKey>,
}

/// A key and its value.
#[derive(Debug)]
pub(in crate::cli::commands::serve) struct ConfigKey {
    pub(in crate::cli::commands::serve) name: String,
    pub(in crate::cli::commands::serve) span: ByteSpan,
    pub(in crate::cli::commands::serve) value: ConfigValue,
    /// Position of the value.
    pub(in crate::cli::commands::serve) value_span: ByteSpan,
}

/// A value in the form of command-line arguments.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli::commands::serve) enum ConfigValue {
    /// A flag without a value: true if it is given.
    Switch(bool),
    /// One argument for each time the flag is given, with its position.
    Arguments(Vec<(String, ByteSpan)>),
}

/// Returns all sections in the order of the text, and the errors of syntax and of value types.
pub(in crate::cli::commands::serve) fn sections(text: &str) -> (Vec<ConfigSection>, Vec<ConfigError>) {
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    let describe = |error: &toml::de::Error| match error.message() {
        "duplicate key" => "duplicate name: write a section that occurs twice as [[name]] each time".to_owned(),
        other => other.to_owned(),
    };
    let mut errors: Vec<_> =
        syntax_errors.iter().map(|error| config_error(error.span().unwrap_or_default(), &describe(error))).collect();
    if !errors.is_empty() {
        return (Vec::new(), errors);
    }
    let mut top = ConfigSection { name: String::new(), span: 0..0, keys: Vec::new() };
    let mut sections = Vec::new();
    for (name, value) in document.into_inner() {
        let (span, name) = (name.span(), name.into_inner().into_owned());
        match value.get_ref() {
            DeValue::Table(table) => sections.push(section(&name, span, table, &mut errors)),
            DeValue::Array(tables) if is_array_of_tables(tables.iter()) => {
                for table in tables {
                    let DeValue::Table(inner) = table.get_ref() else { continue };
                    sections.push(section(&name, table.span(), inner, &mut errors));
                }
            }
            _ => top.keys.extend(key(name, span, &value, &mut errors)),
        }
    }
    sections.push(top);
    sections.sort_by_key(|section| section.span.start);
    (sections, errors)
}

fn is_array_of_tables<'a>(mut values: impl ExactSizeIterator<Item = &'a Spanned<DeValue<'a>>>) -> bool {
    values.len() > 0 && values.all(|value| matches!(value.get_ref(), DeValue::Table(_)))
}

fn section(name: &str, span: ByteSpan, table: &DeTable<'_>, errors: &mut Vec<ConfigError>) -> ConfigSection {
    // An empty name is that of the keys above the first section.
    if name.is_empty() {
        errors.push(config_error(span.clone(), "a section has no name: write that of a service, as in [echo]"));
    }
    let keys = table.iter().filter_map(|(name, value)| key(name.get_ref().to_string(), name.span(), value, errors));
    let mut keys: Vec<_> = keys.collect();
    keys.sort_by_key(|key| key.span.start);
    ConfigSection { name: name.to_owned(), span, keys }
}

fn key(name: String, span: ByteSpan, value: &Spanned<DeValue<'_>>, errors: &mut Vec<ConfigError>) -> Option<ConfigKey> {
    match config_value(value) {
        Ok(converted) => Some(ConfigKey { name, span, value: converted, value_span: value.span() }),
        Err(kind) => {
            errors.push(config_error(
                value.span(),
                &format!("{name} is {kind}: write a string, a number, true or false, or a list of those"),
            ));
            None
        }
    }
}

fn config_value(value: &Spanned<DeValue<'_>>) -> Result<ConfigValue, &'static str> {
    match value.get_ref() {
        DeValue::Boolean(given) => Ok(ConfigValue::Switch(*given)),
        DeValue::Array(values) => values.iter().map(argument).collect::<Result<_, _>>().map(ConfigValue::Arguments),
        _ => Ok(ConfigValue::Arguments(vec![argument(value)?])),
    }
}

/// Returns the value as an argument, or a description of a type that no argument has.
fn argument(value: &Spanned<DeValue<'_>>) -> Result<(String, ByteSpan), &'static str> {
    let argument = match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err("a number out of range"),
        },
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(_) => Err("a list with true or false in it"),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list of lists"),
        DeValue::Table(_) => Err("a table"),
    };
    Ok((argument?, value.span()))
}

fn config_error(span: ByteSpan, message: &str) -> ConfigError {
    ConfigError { span, message: message.trim().replace('\n', "; "), is_unreadable: false }
}
