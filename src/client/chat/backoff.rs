//! Delays between connection attempts: a random delay between a minimum and a ceiling that doubles
//! ("full jitter"). It spreads the reconnects of many clients after a server restart.

use std::time::Duration;

use fastrand::Rng;

/// The shortest delay. A server that is being restarted is not there yet, and each attempt is
/// reported to the user.
const MIN_DELAY: Duration = Duration::from_millis(100);

const INITIAL_CEILING: Duration = Duration::from_millis(250);
const MAX_CEILING: Duration = Duration::from_secs(30);

/// The current ceiling, and the random generator.
#[derive(Debug)]
pub(super) struct Backoff {
    ceiling: Duration,
    rng: Rng,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { ceiling: INITIAL_CEILING, rng: Rng::with_seed(seed) }
    }

    pub(super) fn reset(&mut self) {
        self.ceiling = INITIAL_CEILING;
    }

    pub(super) fn next_delay(&mut self) -> Duration {
        let delay = MIN_DELAY + self.ceiling.saturating_sub(MIN_DELAY).mul_f64(self.rng.f64());
        self.ceiling = MAX_CEILING.min(self.ceiling * 2);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceiling_doubles_to_30_s_and_reset_lowers_it() {
        let mut ceilings = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0].map(|ceiling| (ceiling, 0.0f64));
        for seed in 0..200 {
            let mut backoff = Backoff::new(seed);
            for (ceiling, longest) in &mut ceilings {
                let delay = backoff.next_delay().as_secs_f64();
                assert!((0.1..*ceiling).contains(&delay), "{delay} of {ceiling}");
                *longest = longest.max(delay);
            }
            backoff.reset();
            assert!(backoff.next_delay() < INITIAL_CEILING);
        }
        // The delays use the whole range.
        assert!(ceilings.iter().all(|(ceiling, longest)| longest / ceiling > 0.9), "{ceilings:?}");
    }
}
