//! A configuration as TOML has it: sections of keys with their values in words, each with its place. What they mean it does
//! not know.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where something stands in the text, in bytes.
pub(super) type Place = Range<usize>;

/// Something is wrong at some place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: Place,
    pub(super) what: String,
}

/// A table, or what stands above all tables, whose name is empty.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) at: Place,
    pub(super) keys: Vec<Key>,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) at: Place,
    pub(super) value: Value,
    /// Where the value stands.
    pub(super) value_at: Place,
}

/// A value in the words of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Given or not.
    Switch(bool),
    /// One word, or one for each time it is given, and where each stands.
    Words(Vec<(String, Place)>),
}

/// All sections in the order of the text, and what is wrong with it as TOML or has no meaning in any section.
pub(super) fn sections(text: &str) -> (Vec<Section>, Vec<Fault>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let said = |error: &toml::de::Error| match error.message() {
        "duplicate key" => {
            "it is there already; a section that is there twice is written [[name]] each time".to_owned()
        }
        other => other.to_owned(),
    };
    let mut faults: Vec<_> = errors.iter().map(|error| fault(error.span().unwrap_or_default(), &said(error))).collect();
    if !faults.is_empty() {
        return (Vec::new(), faults);
    }
    let mut top = Section { name: String::new(), at: 0..0, keys: Vec::new() };
    let mut sections = Vec::new();
    for (name, value) in document.into_inner() {
        let (at, name) = (name.span(), name.into_inner().into_owned());
        match value.get_ref() {
            DeValue::Table(table) => sections.push(section(&name, at, table, &mut faults)),
            DeValue::Array(tables) if is_array_of_tables(tables.iter()) => {
                for table in tables {
                    let DeValue::Table(inner) = table.get_ref() else { continue };
                    sections.push(section(&name, table.span(), inner, &mut faults));
                }
            }
            _ => top.keys.extend(key(name, at, &value, &mut faults)),
        }
    }
    sections.push(top);
    sections.sort_by_key(|section| section.at.start);
    (sections, faults)
}

fn is_array_of_tables<'a>(mut values: impl ExactSizeIterator<Item = &'a Spanned<DeValue<'a>>>) -> bool {
    values.len() > 0 && values.all(|value| matches!(value.get_ref(), DeValue::Table(_)))
}

fn section(name: &str, at: Place, table: &DeTable<'_>, faults: &mut Vec<Fault>) -> Section {
    let keys = table.iter().filter_map(|(name, value)| key(name.get_ref().to_string(), name.span(), value, faults));
    let mut keys: Vec<_> = keys.collect();
    keys.sort_by_key(|key| key.at.start);
    Section { name: name.to_owned(), at, keys }
}

fn key(name: String, at: Place, value: &Spanned<DeValue<'_>>, faults: &mut Vec<Fault>) -> Option<Key> {
    match words(value) {
        Ok(understood) => Some(Key { name, at, value: understood, value_at: value.span() }),
        Err(kind) => {
            faults.push(fault(
                value.span(),
                &format!("{name} is {kind}: write a string, a number, true or false, or a list of those"),
            ));
            None
        }
    }
}

fn words(value: &Spanned<DeValue<'_>>) -> Result<Value, &'static str> {
    match value.get_ref() {
        DeValue::Boolean(given) => Ok(Value::Switch(*given)),
        DeValue::Array(values) => values.iter().map(word).collect::<Result<_, _>>().map(Value::Words),
        _ => Ok(Value::Words(vec![word(value)?])),
    }
}

fn word(value: &Spanned<DeValue<'_>>) -> Result<(String, Place), &'static str> {
    let word = match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err("a number that nobody can count"),
        },
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(_) => Err("a list with true or false in it"),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list of lists"),
        DeValue::Table(_) => Err("a table"),
    };
    Ok((word?, value.span()))
}

fn fault(at: Place, what: &str) -> Fault {
    Fault { at, what: what.trim().replace('\n', "; ") }
}
