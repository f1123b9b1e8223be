//! Statistics of an engine since its start. Counters only grow; gauges hold current values.

use std::fmt;
use std::time::Duration;

use super::lag::{LongTurns, Work};

/// Defines [`Stats`]. Each value has its group, by which a reader finds it.
macro_rules! stats {
    (
        gauges { $($(#[$gauge_doc:meta])* $gauge:ident: $gauge_group:ident,)* }
        counters { $($(#[$counter_doc:meta])* $counter:ident: $counter_group:ident,)* }
    ) => {
        /// Counters and gauges of one engine.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$gauge_doc])* pub $gauge: u64,)*
            $($(#[$counter_doc])* pub $counter: u64,)*
            /// Ends of open connections by cause. Their sum is `closed` and `faulted`.
            pub ends: CauseCounts,
            /// Rejected connections by cause. Their sum is `refused`.
            pub refusals: CauseCounts,
            /// The longest turn.
            pub longest_turn: Duration,
            /// The turns longer than 10 ms by what they spent most of their time on, as far as it
            /// is known.
            pub long_turns_by_work: Vec<LongTurns>,
        }

        impl Stats {
            /// The number of counters, without the gauges and the tables.
            pub(crate) const COUNTERS: usize = [$(stringify!($counter)),*].len();

            /// Returns the counters, without the gauges and the tables.
            pub(crate) fn counters(&mut self) -> [&mut u64; Self::COUNTERS] {
                [$(&mut self.$counter),*]
            }

            /// Returns the gauges, then the counters, each with its name and group. The tables are
            /// not among them.
            pub fn values(&self) -> impl Iterator<Item = StatsValue> + use<> {
                [
                    $(StatsValue {
                        group: stringify!($gauge_group),
                        name: stringify!($gauge),
                        value: self.$gauge,
                        is_gauge: true,
                    },)*
                    $(StatsValue {
                        group: stringify!($counter_group),
                        name: stringify!($counter),
                        value: self.$counter,
                        is_gauge: false,
                    },)*
                    StatsValue {
                        group: "turns",
                        name: "longest_turn_us",
                        value: u64::try_from(self.longest_turn.as_micros()).unwrap_or(u64::MAX),
                        is_gauge: true,
                    },
                ]
                .into_iter()
            }
        }
    };
}

stats! {
    gauges {
        /// Gauge: open connections.
        open: connections,
        /// Gauge: bytes that connections hold, received or queued, and that services keep for them.
        buffered_bytes: memory,
        /// Gauge: bytes of messages that are queued for several connections, each counted once.
        /// With `buffered_bytes` it is the sum that `Limits::max_buffered_bytes` bounds.
        shared_bytes: memory,
        /// Gauge: timers that services have set and that have not fired.
        timers: timers,
        /// Gauge: jobs that wait for a worker thread.
        jobs_queued: jobs,
        /// Gauge: jobs that run.
        jobs_running: jobs,
    }
    counters {
        /// Connections accepted and opened.
        accepted: connections,
        /// Connections rejected because a limit was reached.
        refused: connections,
        /// Connections closed for a reason that is not a fault, see `CloseReason::is_fault`.
        closed: connections,
        /// Connections closed because of a fault.
        faulted: connections,
        /// Pauses of accepting because no descriptor was free.
        accept_pauses: connections,
        /// Pauses of reading one connection because it had too many bytes queued or held.
        read_pauses: memory,
        /// Connections whose output was cut after a whole frame, because a drain was about to end.
        drain_cuts: connections,
        /// Frames passed to services.
        frames_in: traffic,
        /// Bytes received over connections.
        bytes_in: traffic,
        /// Bytes sent over connections.
        bytes_out: traffic,
        /// Frames dropped for slow consumers.
        frames_dropped: traffic,
        /// Datagrams received.
        datagrams_in: datagrams,
        /// Datagrams sent.
        datagrams_out: datagrams,
        /// Datagrams that could not be sent.
        datagrams_dropped: datagrams,
        /// Datagrams that were not answered because their source exceeded the rate of
        /// [`ServiceOptions::answers_per_second`](crate::ServiceOptions::answers_per_second).
        datagrams_limited: datagrams,
        /// Jobs offloaded.
        jobs: jobs,
        /// Jobs rejected, because the queue was full or no worker thread could be started.
        jobs_refused: jobs,
        /// Panics in callbacks and jobs of services.
        panics: faults,
        /// Services stopped because they panicked repeatedly, see `PanicPolicy::MAX_PANICS`.
        services_stopped: faults,
        /// Lines about peers that the log's rate limit has left out.
        log_lines_left_out: log,
        /// Turns of the event loop; on `Threaded`, of the loops of all threads.
        turns: turns,
        /// Turns that took longer than 10 ms. On `Threaded`, a turn is a group of callbacks that
        /// one thread makes while no other can call the service.
        long_turns: turns,
    }
}

/// One counter or gauge of [`Stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsValue {
    /// The subject of the value, such as `memory`.
    pub group: &'static str,
    /// The name of the field in [`Stats`].
    pub name: &'static str,
    /// The value itself.
    pub value: u64,
    /// True if the value is a current one, which may fall.
    pub is_gauge: bool,
}

impl Stats {
    /// Returns the tables with their names. The keys of a table have no spaces, such as `bad_frame`
    /// or `step/work/service`.
    pub fn tables(&self) -> [(&'static str, Vec<(String, u64)>); 3] {
        let long_turns = self.long_turns_by_work.iter().map(|it| {
            let LongTurns { service, step, work, turns, .. } = it;
            (format!("{step}/{work}/{service}"), *turns)
        });
        [("ends", self.ends.keyed()), ("refusals", self.refusals.keyed()), ("long_turns_by_work", long_turns.collect())]
    }

    /// Counts a turn that took longer than 10 ms, most of it for `work`.
    pub(crate) fn count_long_turn(&mut self, service: &str, work: Work, took: Duration) {
        self.long_turns += 1;
        LongTurns::count(&mut self.long_turns_by_work, service, work, took);
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, StatsValue { name, value, .. }) in self.values().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            write!(f, "{gap}{name}={value}")?;
        }
        for (table, counts) in self.tables() {
            counts.iter().try_for_each(|(key, count)| write!(f, " {table}/{key}={count}"))?;
        }
        Ok(())
    }
}

/// A number for each cause. Causes are constants of the program, so there are few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CauseCounts(Vec<(&'static str, u64)>);

impl CauseCounts {
    /// Adds `count` to the number of `cause`.
    pub(crate) fn add(&mut self, cause: &'static str, count: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, sum)) => *sum += count,
            None => self.0.push((cause, count)),
        }
    }

    /// Moves the numbers of `other` into this table.
    pub(crate) fn append(&mut self, other: &mut Self) {
        other.0.drain(..).for_each(|(cause, count)| self.add(cause, count));
    }

    /// Returns the numbers with causes of one word, such as `bad_frame`.
    fn keyed(&self) -> Vec<(String, u64)> {
        self.iter().map(|(cause, count)| (cause.replace(' ', "_"), count)).collect()
    }

    /// Returns true if no cause has a number.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of `cause`.
    pub fn get(&self, cause: &str) -> u64 {
        self.iter().find(|(known, _)| *known == cause).map_or(0, |(_, count)| count)
    }

    /// Returns each cause and its number, in the order of their first appearance.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_place_and_one_name() {
        let mut stats = Stats { open: 1, ..Stats::default() };
        for (at, counter) in stats.counters().into_iter().enumerate() {
            *counter = 100 + at as u64;
        }
        let values: Vec<_> = stats.values().filter(|value| value.value >= 100).collect();
        assert_eq!(values.len(), Stats::COUNTERS);
        let mut names: Vec<_> = stats.values().map(|value| value.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), stats.values().count());
    }

    #[test]
    fn the_text_starts_with_open_and_ends_with_the_causes() {
        let mut stats = Stats { open: 2, turns: 7, ..Stats::default() };
        stats.ends.add("bad frame", 1);
        stats.ends.append(&mut CauseCounts(vec![("peer closed", 2), ("bad frame", 3)]));
        stats.refusals.add("memory limit", 5);
        let text = stats.to_string();
        assert!(text.starts_with("open=2 buffered_bytes=0 "), "{text}");
        assert!(text.contains(" turns=7 "), "{text}");
        assert!(text.ends_with(" ends/bad_frame=4 ends/peer_closed=2 refusals/memory_limit=5"), "{text}");
        assert_eq!((stats.ends.get("bad frame"), stats.ends.get("other")), (4, 0));
    }
}
