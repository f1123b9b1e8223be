//! Makes a failing scenario shorter.

use super::scenario::Scenario;

/// Runs of shorter scenarios that one failure is worth.
const MAX_RUNS: usize = 2_000;

/// Returns a scenario that fails, too, and from which no operation can be left out, as far as
/// [`MAX_RUNS`] runs can tell.
pub(super) fn shrink(scenario: &Scenario, fails: impl Fn(&Scenario) -> bool) -> Scenario {
    let mut shortest = scenario.clone();
    let mut runs = 0;
    let mut length = shortest.ops.len().div_ceil(2);
    while length > 0 {
        let mut start = 0;
        let mut found = false;
        while start < shortest.ops.len() && runs < MAX_RUNS {
            let mut shorter = shortest.clone();
            shorter.ops.drain(start..shortest.ops.len().min(start + length));
            runs += 1;
            if fails(&shorter) {
                shortest = shorter;
                found = true;
            } else {
                start += length;
            }
        }
        // What could not be left out alone may be left out once something else is gone.
        length = if found && length == 1 && runs < MAX_RUNS { 1 } else { length / 2 };
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::tests::sim::scenario::Op;

    #[test]
    fn a_failure_shrinks_to_the_operations_that_it_needs() {
        let scenario = (0..1_000).map(Scenario::of).find(|scenario| scenario.ops.len() > 40).unwrap();
        let count = |scenario: &Scenario| scenario.ops.iter().filter(|op| matches!(op, Op::Turn)).count();
        let shortest = shrink(&scenario, |shorter| count(shorter) >= 2);
        assert_eq!((shortest.ops.len(), count(&shortest)), (2, 2));
    }
}
