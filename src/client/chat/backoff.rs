//! How long to wait before the next attempt to connect: full jitter below a ceiling that doubles, so that the clients of a server
//! that comes back do not all come back at once.

use std::time::Duration;

use fastrand::Rng;

const FIRST: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_secs(30);

/// Attempts since the last success, and the dice.
#[derive(Debug)]
pub(super) struct Backoff {
    ceiling: Duration,
    dice: Rng,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { ceiling: FIRST, dice: Rng::with_seed(seed) }
    }

    pub(super) fn succeeded(&mut self) {
        self.ceiling = FIRST;
    }

    pub(super) fn next_wait(&mut self) -> Duration {
        let wait = self.ceiling.mul_f64(self.dice.f64());
        self.ceiling = MOST.min(self.ceiling * 2);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_half_a_minute_and_success_lowers_it() {
        let mut ceilings = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0].map(|ceiling| (ceiling, 0.0f64));
        for seed in 0..200 {
            let mut backoff = Backoff::new(seed);
            for (ceiling, longest) in &mut ceilings {
                let wait = backoff.next_wait().as_secs_f64();
                assert!(wait < *ceiling, "{wait} of {ceiling}");
                *longest = longest.max(wait);
            }
            backoff.succeeded();
            assert!(backoff.next_wait() < FIRST);
        }
        // The whole width is used.
        assert!(ceilings.iter().all(|(ceiling, longest)| longest / ceiling > 0.9), "{ceilings:?}");
    }
}
