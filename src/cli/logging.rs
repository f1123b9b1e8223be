//! The log, on standard error: as text for readers, or as one JSON object a line.

use std::backtrace::Backtrace;
use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::sync::OnceLock;

use anstyle::{AnsiColor, Color, Style};
use clap::ValueEnum;
use env_filter::Filter;
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use switchboard::escape;

use super::terminal::capabilities::has_colors;
use super::terminal::stderr;

/// The target of lines that were asked for, such as the counters after SIGUSR1. `--quiet` does not
/// silence them.
pub(in crate::cli) const REQUESTED: &str = "stats";

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    /// lines for readers
    #[default]
    Text,
    /// one JSON object a line
    Json,
}

/// The logger. There is one, and it is set once.
static LOGGER: OnceLock<Logger> = OnceLock::new();

struct Logger {
    filter: Filter,
    format: LogFormat,
    has_colors: bool,
}

/// Starts the log as text at `level`. A non-empty `RUST_LOG` overrides it.
pub(in crate::cli) fn start(level: LevelFilter) {
    start_as(LogFormat::Text, level);
}

/// Starts the log in a format, as [`start`] does.
pub(in crate::cli) fn start_as(format: LogFormat, level: LevelFilter) {
    let mut filter = env_filter::Builder::new();
    filter.filter_module(REQUESTED, LevelFilter::Info);
    match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => filter.parse(&directives),
        _ => filter.filter_level(level),
    };
    let logger = Logger { filter: filter.build(), format, has_colors: has_colors(&io::stderr()) };
    let logger = LOGGER.get_or_init(|| logger);
    stderr::set_format_lost(|count| {
        let what = format!("standard error was not read: {count} lines of the log are lost");
        let args = format_args!("{what}");
        let record = Record::builder().level(Level::Warn).target("log").args(args).build();
        LOGGER.get().map_or_else(String::new, |logger| logger.format(&record))
    });
    // Fails only if a logger is set already, which is this one.
    if log::set_logger(logger).is_ok() {
        log::set_max_level(logger.filter.filter());
    }
}

/// Logs a panic that no engine catches. The standard library's own hook would wait for the reader
/// of standard error.
pub(in crate::cli) fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let (name, backtrace) = (thread.name().unwrap_or("unnamed"), Backtrace::capture());
        log::error!("thread '{name}' {info}\n{backtrace}");
    }));
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.filter.matches(record) {
            stderr::print(&self.format(record));
        }
    }

    fn flush(&self) {}
}

impl Logger {
    fn format(&self, record: &Record<'_>) -> String {
        match self.format {
            LogFormat::Text => text_line(&now(), record, self.has_colors),
            LogFormat::Json => json_line(&now(), record),
        }
    }
}

/// Returns the time in UTC, to the millisecond.
pub(in crate::cli) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// Formats a record for readers. Control characters are escaped, and further lines are indented, so
/// that a peer's text can neither command the terminal nor imitate another line.
fn text_line(time: &str, record: &Record<'_>, has_colors: bool) -> String {
    let (dim, style) =
        if has_colors { (color(AnsiColor::BrightBlack), level_style(record.level())) } else { Default::default() };
    let (level, message) = (record.level(), record.args().to_string());
    let message = escape::text(&message);
    // A message names its connection or service. The module that logged it is of no use to an
    // operator.
    format!("{dim}[{dim:#}{time} {style}{level:<5}{style:#}{dim}]{dim:#} {message}\n")
}

fn level_style(level: Level) -> Style {
    match level {
        Level::Error => color(AnsiColor::Red).bold(),
        Level::Warn => color(AnsiColor::Yellow),
        Level::Info => color(AnsiColor::Green),
        Level::Debug => color(AnsiColor::Blue),
        Level::Trace => color(AnsiColor::Cyan),
    }
}

fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(color)))
}

/// Formats a record as a JSON object on one line: time, level, module, message, and the fields that
/// the record has.
fn json_line(time: &str, record: &Record<'_>) -> String {
    let mut object = JsonObject::new();
    object.text("time", time);
    object.text("level", record.level().as_str());
    object.text("target", record.target());
    object.text("message", &record.args().to_string());
    // This visitor returns no error.
    let _ = record.key_values().visit(&mut object);
    object.finish()
}

/// A JSON object that is being written.
struct JsonObject(String);

impl JsonObject {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn text(&mut self, key: &str, value: &str) {
        self.raw(key, &serde_json::Value::from(value));
    }

    fn raw(&mut self, key: &str, value: &impl fmt::Display) {
        let gap = if self.0.len() == 1 { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(self.0, "{gap}{}:{value}", serde_json::Value::from(key));
    }

    fn finish(self) -> String {
        self.0 + "}\n"
    }
}

impl<'kvs> VisitSource<'kvs> for JsonObject {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        match value.to_u64() {
            Some(number) => self.raw(key.as_str(), &number),
            None => self.text(key.as_str(), &value.to_string()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-28T08:31:51.123Z";

    #[test]
    fn a_text_line_has_time_level_and_message() {
        let args = format_args!("echo {} closed: {}\nx", "127.0.0.1:1", "\u{1b}[2J");
        let record = Record::builder().level(Level::Warn).target("switchboard").args(args).build();
        let line = "[2026-11-28T08:31:51.123Z WARN ] echo 127.0.0.1:1 closed: \\u{1b}[2J\n    x\n";
        assert_eq!(text_line(TIME, &record, false), line);
        assert!(text_line(TIME, &record, true).contains("\u{1b}[33mWARN \u{1b}[0m"));
    }

    #[test]
    fn a_json_line_is_one_object_with_the_fields() {
        let fields = [("service", Value::from("echo")), ("count", Value::from(7_u64))];
        let args = format_args!("say \"{}\"\n", "hello");
        let mut builder = Record::builder();
        let record = builder.level(Level::Info).target("stats").key_values(&fields).args(args).build();
        assert_eq!(
            json_line(TIME, &record),
            r#"{"time":"2026-11-28T08:31:51.123Z","level":"INFO","target":"stats","message":"say \"hello\"\n","service":"echo","count":7}"#
                .to_owned()
                + "\n"
        );
    }

    #[test]
    fn the_time_has_milliseconds() {
        let now = now();
        assert!(now.len() == TIME.len() && now.ends_with('Z') && now.as_bytes()[19] == b'.', "{now}");
    }
}
