//! The counters of a running server: on SIGUSR1, at an interval, and in a file.
//!
//! [`StatsReporter`] is a service without listeners. It requests the counters from its engine, so
//! no other thread reads them, and it writes the file on a worker thread, so the loop waits for no
//! disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::kv::Value;
use log::{Level, Record};
use serde::ser::{Serialize, SerializeMap, Serializer};
use switchboard::{Context, JobId, JobOutput, Message, Service, Stats, TimerId};

use super::args::ReportArgs;
use crate::cli::engine::EngineName;
use crate::cli::logging::{self, REQUESTED};
use crate::cli::process::own_rss_bytes;
use crate::cli::terminal::stderr;

/// The interval of the file without `--stats-every`.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// The file has been written for the last time. Locked while it is written, so that the end of the
/// process does not leave a temporary file of a worker thread.
static HAS_ENDED: Mutex<bool> = Mutex::new(false);

/// The message that starts the interval.
pub(super) struct Start;

/// The description of the reports of one server.
#[derive(Clone)]
pub(super) struct StatsReports {
    engine: EngineName,
    started: Instant,
    every: Option<Duration>,
    file: Option<PathBuf>,
}

impl StatsReports {
    pub(super) fn new(engine: EngineName, args: &ReportArgs) -> Self {
        Self {
            engine,
            started: Instant::now(),
            every: args.stats_every.map(|every| every.0),
            file: args.stats_file.clone(),
        }
    }

    /// Returns the time between two reports, if there are any.
    fn interval(&self) -> Option<Duration> {
        self.every.or_else(|| self.file.is_some().then_some(DEFAULT_INTERVAL))
    }

    fn snapshot(&self, stats: Stats) -> Snapshot {
        Snapshot {
            time: logging::now(),
            engine: self.engine.name(),
            uptime: self.started.elapsed(),
            rss_bytes: own_rss_bytes(),
            log_lines_lost: stderr::lost_lines(),
            stats,
        }
    }

    /// Writes the file for the last time, after the engine has ended.
    pub(super) fn write_last(&self, stats: Stats) {
        let mut has_ended = HAS_ENDED.lock().unwrap_or_else(PoisonError::into_inner);
        *has_ended = true;
        if let Some(path) = &self.file
            && let Err(error) = write_file(path, &self.snapshot(stats))
        {
            log::warn!("{}", not_written(path, &error));
        }
    }
}

/// The service that reports the counters.
pub(super) struct StatsReporter {
    reports: StatsReports,
    /// The requests for counters, and whether each is of the interval. The engine answers in the
    /// turn of the request or the next one.
    requests: Vec<(JobId, bool)>,
    /// The job that writes the file.
    writing: Option<JobId>,
    /// The last report of the interval.
    previous: Option<(Instant, Stats)>,
}

impl StatsReporter {
    pub(super) fn new(reports: StatsReports) -> Self {
        Self { reports, requests: Vec::new(), writing: None, previous: None }
    }

    /// Reports the counters that were requested.
    fn report(&mut self, cx: &mut Context<'_>, stats: Stats, is_periodic: bool) {
        let snapshot = self.reports.snapshot(stats);
        if !is_periodic {
            snapshot.log_all();
        } else if self.reports.every.is_some() {
            if let Some((since, before)) = &self.previous {
                snapshot.log_rates(cx.now().duration_since(*since), before);
            }
            self.previous = Some((cx.now(), snapshot.stats.clone()));
        }
        // A disk that does not answer must not collect jobs.
        if let Some(path) = self.reports.file.clone().filter(|_| self.writing.is_none()) {
            self.writing = Some(cx.offload(move || write_unless_ended(&path, &snapshot)));
        }
    }
}

impl Service for StatsReporter {
    fn on_frame(&mut self, _cx: &mut Context<'_>, _payload: &[u8]) {}

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        let is_start = message.is::<Start>();
        if is_start {
            let Some(interval) = self.reports.interval() else { return };
            cx.set_timer(interval);
        }
        self.requests.push((cx.request_stats(), is_start));
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, _timer: TimerId) {
        let Some(interval) = self.reports.interval() else { return };
        cx.set_timer(interval);
        self.requests.push((cx.request_stats(), true));
    }

    fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        if self.writing == Some(job) {
            self.writing = None;
            let written = output.take::<io::Result<()>>().map_err(io::Error::from).flatten();
            if let (Err(error), Some(path)) = (written, &self.reports.file) {
                cx.warn("stats file", not_written(path, &error));
            }
            return;
        }
        let Some(at) = self.requests.iter().position(|(request, _)| *request == job) else { return };
        let (_, is_periodic) = self.requests.swap_remove(at);
        if let Ok(stats) = output.take::<Stats>() {
            self.report(cx, stats, is_periodic);
        }
    }
}

/// The counters of the engine and of the process at one time.
struct Snapshot {
    time: String,
    engine: &'static str,
    uptime: Duration,
    /// Bytes of memory that the process uses; `None` if the system does not say.
    rss_bytes: Option<u64>,
    log_lines_lost: u64,
    stats: Stats,
}

impl Snapshot {
    /// Returns all values, each with its group.
    fn values(&self) -> Vec<(&'static str, &'static str, u64)> {
        let mut values: Vec<_> = self.stats.values().map(|it| (it.group, it.name, it.value)).collect();
        values.extend(self.rss_bytes.map(|bytes| ("memory", "rss_bytes", bytes)));
        values.push(("log", "log_lines_lost", self.log_lines_lost));
        values
    }

    /// Logs all values: one line for each group and each table that is not empty.
    fn log_all(&self) {
        let values = self.values();
        let mut groups = Vec::new();
        for (group, ..) in &values {
            if !groups.contains(group) {
                groups.push(*group);
            }
        }
        for group in groups {
            let of_group = values.iter().filter(|(of, ..)| *of == group);
            log_values(group, &of_group.map(|(_, name, value)| ((*name).to_owned(), *value)).collect::<Vec<_>>());
        }
        for (table, counts) in self.stats.tables().iter().filter(|(_, counts)| !counts.is_empty()) {
            log_values(table, counts);
        }
    }

    /// Logs the gauges, and the rates of the counters that have changed since `before`.
    fn log_rates(&self, passed: Duration, before: &Stats) {
        let earlier = |name| before.values().find(|it| it.name == name && !it.is_gauge).map(|it| it.value);
        let mut text = String::new();
        for (_, name, value) in self.values() {
            let old = earlier(name);
            // Writing to a string does not fail.
            let _ = match old {
                None => write!(text, " {name}={value}"),
                Some(old) if old == value => Ok(()),
                Some(old) => write!(text, " {name}={}/s", rate(value.saturating_sub(old), passed)),
            };
        }
        let fields: Vec<_> = self.values().into_iter().map(|(_, name, value)| (name.to_owned(), value)).collect();
        log_fields(&format!("last {}s:{text}", passed.as_secs_f64().round()), &fields);
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &self.time)?;
        map.serialize_entry("version", env!("CARGO_PKG_VERSION"))?;
        map.serialize_entry("pid", &std::process::id())?;
        map.serialize_entry("engine", self.engine)?;
        map.serialize_entry("uptime_seconds", &self.uptime.as_secs())?;
        for (_, name, value) in self.values() {
            map.serialize_entry(name, &value)?;
        }
        for (table, counts) in self.stats.tables() {
            map.serialize_entry(table, &counts.into_iter().collect::<BTreeMap<_, _>>())?;
        }
        map.end()
    }
}

/// Logs values as `subject: name=value name=value`.
fn log_values(subject: &str, values: &[(String, u64)]) {
    let text: Vec<_> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    log_fields(&format!("{subject}: {}", text.join(" ")), values);
}

/// Logs a line that was asked for, with its fields.
fn log_fields(message: &str, fields: &[(String, u64)]) {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), Value::from(*value))).collect();
    let args = format_args!("{message}");
    let record = Record::builder().level(Level::Info).target(REQUESTED).key_values(&fields).args(args).build();
    log::logger().log(&record);
}

/// Returns a number of events per second, with a digit after the point if it is small.
fn rate(count: u64, passed: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate is rounded")]
    let rate = count as f64 / passed.as_secs_f64().max(0.001);
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// Writes the file on a worker thread, unless it has been written for the last time.
fn write_unless_ended(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let has_ended = HAS_ENDED.lock().unwrap_or_else(PoisonError::into_inner);
    if *has_ended { Ok(()) } else { write_file(path, snapshot) }
}

/// Writes the file whole or not at all: a reader never sees half of it.
fn write_file(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    // The rename would replace a device, such as /dev/null.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::other("it is no regular file"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let readable = Permissions::from_mode(0o644);
    let mut file = tempfile::Builder::new().prefix(".stats-").permissions(readable).tempfile_in(folder)?;
    writeln!(file, "{}", serde_json::to_string(snapshot)?)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn not_written(path: &Path, error: &io::Error) -> String {
    format!("statistics not written to {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let reports = StatsReports { engine: EngineName::Reactor, started: Instant::now(), every: None, file: None };
        reports.snapshot(Stats::default())
    }

    #[test]
    fn the_file_is_replaced_whole_and_a_device_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stats.json");
        for _ in 0..2 {
            write_file(&path, &snapshot()).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert_eq!((json["open"].as_u64(), json["ends"].as_object().unwrap().len()), (Some(0), 0));
            assert_eq!(json["engine"], "reactor");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        }
        assert!(write_file(folder.path(), &snapshot()).unwrap_err().to_string().contains("no regular file"));
        assert!(write_file(&folder.path().join("no/such"), &snapshot()).is_err());
    }

    #[test]
    fn each_value_has_a_name_of_its_own() {
        let mut names: Vec<_> = snapshot().values().into_iter().map(|(_, name, _)| name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn small_rates_have_a_digit_after_the_point() {
        assert_eq!(rate(5, Duration::from_secs(10)), "0.5");
        assert_eq!(rate(120_000, Duration::from_secs(10)), "12000");
    }
}
