//! The result of a soak, as it is written in JSON.

use serde::Serialize;

use super::actors::ACTORS;
use super::context::ANSWER_TIMEOUT;
use super::resources::Resources;
use super::run::SoakOutcome;
use crate::cli::commands::bench::args::BenchSoakArgs;
use crate::cli::report::document::{Finding, Tone};
use crate::cli::report::figure;
use crate::cli::report::record::RecordHeader;

/// The result of one soak.
#[derive(Debug, Serialize)]
pub(super) struct SoakRecord {
    #[serde(flatten)]
    pub(super) header: RecordHeader,
    pub(super) engine: &'static str,
    pub(super) seed: u64,
    pub(super) elapsed_s: f64,
    /// The clients whose answers are checked.
    pub(super) clients: Vec<ClientRecord>,
    pub(super) attacks: Vec<AttackRecord>,
    /// The resources of the server before the load, and after it; null if not measured.
    pub(super) before: Option<Resources>,
    pub(super) after: Option<Resources>,
    pub(super) verdicts: Vec<Finding>,
}

#[derive(Debug, Serialize)]
pub(super) struct ClientRecord {
    pub(super) name: &'static str,
    /// Answers that were right.
    pub(super) answers: u64,
    pub(super) faults: u64,
    /// The first faults.
    pub(super) described: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct AttackRecord {
    pub(super) name: &'static str,
    pub(super) rounds: u64,
}

impl SoakRecord {
    pub(super) fn new(header: RecordHeader, args: &BenchSoakArgs, outcome: SoakOutcome) -> Self {
        let SoakOutcome { tallies, elapsed, resources, server_error } = outcome;
        let (mut clients, mut attacks) = (Vec::new(), Vec::new());
        for (actor, tally) in ACTORS.iter().zip(&tallies) {
            if actor.is_honest {
                clients.push(ClientRecord {
                    name: actor.name,
                    answers: tally.answers(),
                    faults: tally.faults(),
                    described: tally.described(),
                });
            } else {
                attacks.push(AttackRecord { name: actor.name, rounds: tally.rounds() });
            }
        }
        let mut verdicts = vec![answers_verdict(&clients)];
        verdicts.extend(clients.iter().filter(|client| client.faults > 0).map(faults_verdict));
        // A short soak may end before the first answer of a client has to be there.
        let tone = if elapsed < ANSWER_TIMEOUT { Tone::Note } else { Tone::Bad };
        let silent = clients.iter().filter(|client| client.answers == 0 && client.faults == 0);
        verdicts.extend(silent.map(|client| Finding::new(tone, format!("{}: no answer was checked.", client.name))));
        verdicts.extend(server_error.map(|text| Finding::new(Tone::Bad, format!("{text}."))));
        verdicts.extend(resources_verdicts(resources));
        Self {
            header,
            engine: args.engine.name(),
            seed: args.seed,
            elapsed_s: elapsed.as_secs_f64(),
            clients,
            attacks,
            before: resources.map(|(before, _)| before),
            after: resources.map(|(_, after)| after),
            verdicts,
        }
    }

    /// Returns the reason why the soak failed, in one line.
    pub(super) fn failure(&self) -> Option<String> {
        let bad = self.verdicts.iter().filter(|verdict| verdict.tone == Tone::Bad).count();
        (bad > 0).then(|| format!("the soak found {}", figure::counted(bad as u64, "fault", "faults")))
    }
}

fn answers_verdict(clients: &[ClientRecord]) -> Finding {
    let answers = clients.iter().map(|client| client.answers).sum();
    let faults: u64 = clients.iter().map(|client| client.faults).sum();
    let counted = figure::counted(answers, "answer", "answers");
    match faults {
        0 => Finding::new(Tone::Good, format!("Each of {counted} to honest clients was right.")),
        _ => Finding::new(Tone::Note, format!("{counted} to honest clients were right.")),
    }
}

fn faults_verdict(client: &ClientRecord) -> Finding {
    let described = client.described.join("; ");
    let counted = figure::counted(client.faults, "fault", "faults");
    Finding::new(Tone::Bad, format!("{}: {counted}: {described}.", client.name))
}

fn resources_verdicts(resources: Option<(Resources, Resources)>) -> Vec<Finding> {
    let Some((before, after)) = resources else {
        return vec![Finding::new(
            Tone::Note,
            "What the server held was not measured: this system does not report it.",
        )];
    };
    let excess = after.excess(&before);
    if excess.is_empty() {
        return vec![Finding::new(
            Tone::Good,
            "Descriptors, threads, connections, timers and memory are back where they began.",
        )];
    }
    excess.into_iter().map(|line| Finding::new(Tone::Bad, format!("Left behind: {line}."))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::resources::Gauges;
    use super::super::tally::Tally;
    use super::*;
    use crate::cli::commands::bench::args::ReportArgs;
    use crate::cli::engine::EngineName;

    fn record(elapsed: Duration, change: impl FnOnce(&[Tally], &mut Resources)) -> SoakRecord {
        let report = ReportArgs { json: false, html: None };
        let args = BenchSoakArgs { minutes: 1.0, engine: EngineName::Reactor, seed: 1, report };
        let tallies: Vec<_> = ACTORS.iter().map(|_| Tally::default()).collect();
        for tally in &tallies {
            tally.add_round(3);
        }
        let gauges = Gauges { open: 0, buffered_bytes: 0, shared_bytes: 0, timers: 3, jobs_queued: 0, jobs_running: 0 };
        let before = Resources { descriptors: 30, threads: 5, rss_bytes: 8 << 20, gauges };
        let mut after = before;
        change(&tallies, &mut after);
        let outcome = SoakOutcome { tallies, elapsed, resources: Some((before, after)), server_error: None };
        SoakRecord::new(RecordHeader::new(), &args, outcome)
    }

    fn bad(record: &SoakRecord) -> Vec<&str> {
        record.verdicts.iter().filter(|verdict| verdict.tone == Tone::Bad).map(|verdict| &*verdict.text).collect()
    }

    #[test]
    fn clean_soak_has_no_failure() {
        let record = record(Duration::from_secs(60), |_, _| ());
        assert_eq!(record.failure(), None);
        assert_eq!(record.clients.len() + record.attacks.len(), ACTORS.len());
        let answers = record.clients.len() * 3;
        assert_eq!(record.verdicts[0].text, format!("Each of {answers} answers to honest clients was right."));
    }

    #[test]
    fn faults_and_leaks_are_named() {
        let record = record(Duration::from_secs(60), |tallies, after| {
            tallies[0].add_faults(2, "2 corrupted");
            after.descriptors += 1;
        });
        assert_eq!(bad(&record), ["echo: 2 faults: 2 corrupted.", "Left behind: descriptors: 30 before, 31 after."]);
        assert_eq!(record.failure().as_deref(), Some("the soak found 2 faults"));
    }
}
