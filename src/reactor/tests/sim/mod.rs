//! The simulator: the loop that serves, and the services of this crate, over a simulated system.
//!
//! A seed decides everything that the system and the peers do: short reads and writes, late and
//! spurious events, resets, ends of streams, failing accepts, full UDP sockets, the order in which
//! jobs end, pauses of the process, drains and stops ([`scenario`]). The scripted driver keeps the
//! rules of epoll(7). After every turn the invariants are checked
//! ([`scripted_check`](super::super::scripted_check)), every byte that a peer receives is compared
//! with a reference model ([`peer`]), and every callback with what a service is promised
//! ([`watch`]). There are no threads and no clock, so a seed always gives the same run.
//!
//! `SIM_SEEDS=100000` runs more seeds, `SIM_SEED=17` runs one. `tests/planted/` has bugs that the
//! simulator must find.

mod chat_model;
mod ending;
mod files_model;
mod model;
mod peer;
mod peer_times;
mod planted;
mod scenario;
mod shrink;
mod turns;
mod watch;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use scenario::Scenario;
use world::World;

/// The seeds of one `cargo test`.
const SEEDS: u64 = 5_000;

#[test]
fn no_seed_breaks_an_invariant() {
    let seeds = match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(SEEDS),
    };
    let next = AtomicU64::new(seeds.start);
    let failing = AtomicU64::new(u64::MAX);
    let run_seeds = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            // The report is about the lowest seed that fails, however many threads there are.
            if seed >= seeds.end.min(failing.load(Ordering::Relaxed)) {
                return;
            }
            if outcome(&Scenario::of(seed)).is_err() {
                failing.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(run_seeds)));
    let seed = failing.into_inner();
    assert!(seed == u64::MAX, "{}", report(seed));
}

#[test]
fn a_seed_always_gives_the_same_run() {
    for seed in 0..50 {
        assert_eq!(outcome(&Scenario::of(seed)), outcome(&Scenario::of(seed)), "seed {seed}");
    }
}

/// Returns the text of the failing `seed`: its error, and the shortest scenario that fails, too.
fn report(seed: u64) -> String {
    let scenario = Scenario::of(seed);
    let first = outcome(&scenario).unwrap_err();
    let shortest =
        shrink::shrink(&scenario, |shorter| outcome(shorter).is_err_and(|error| kind(&error) == kind(&first)));
    let last = outcome(&shortest).unwrap_err();
    format!(
        "simulated seed {seed} failed: {first}\n\
         replay it with: SIM_SEED={seed} cargo test --lib no_seed_breaks_an_invariant\n\
         the shortest scenario that fails, too: {last}\n{shortest:?}"
    )
}

/// Returns the part of an error that does not depend on the operations.
fn kind(error: &str) -> String {
    let detail = error.split_once("): ").or_else(|| error.split_once(": ")).map_or(error, |(_, detail)| detail);
    detail.chars().filter(|c| !c.is_ascii_digit()).take(30).collect()
}

/// Runs a scenario. A panic is a failure of the scenario, too.
fn outcome(scenario: &Scenario) -> Result<String, String> {
    catch_unwind(AssertUnwindSafe(|| World::run(scenario))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}
