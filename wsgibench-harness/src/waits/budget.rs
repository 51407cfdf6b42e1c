//! CPU time that the observer of a server may take.

use std::time::Duration;

/// Divisor of the time that passes: the observer takes at most 1/250 of one CPU, 0.4 %. Without optimization, a look takes several
/// times as long, and as many are paid for.
const SHARE: u32 = if cfg!(debug_assertions) { 40 } else { 250 };

/// Accounts for all CPU time of an observer over the rounds of a launch, their beginnings and ends included.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Divisor of the time that passes.
    share: u32,
    /// CPU time that earlier rounds took beyond their share.
    debt: Duration,
    /// CPU time in this round.
    spent: Duration,
    /// CPU time of the last end of a round.
    end: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(SHARE)
    }
}

impl Budget {
    fn of(share: u32) -> Self {
        Self {
            share,
            debt: Duration::ZERO,
            spent: Duration::ZERO,
            end: Duration::ZERO,
        }
    }

    /// Whether a round of this length can be observed: its beginning and end, and what earlier rounds took too much, must fit
    /// in the round's share. A round that is not observed pays the debt off.
    pub fn begin(&mut self, length: Duration) -> bool {
        let share = length / self.share;
        // A beginning and an end do about the same.
        if self.debt + self.end * 2 > share && !self.debt.is_zero() {
            self.debt = self.debt.saturating_sub(share);
            return false;
        }
        self.spent = Duration::ZERO;
        true
    }

    /// Adds the CPU time of the begin of a round, about which its end takes too, and a part of the preparations.
    pub fn begun(&mut self, begin: Duration, preparation: Duration) {
        self.spend(begin + preparation);
        if self.end.is_zero() {
            self.end = begin;
        }
    }

    /// Adds CPU time.
    pub fn spend(&mut self, cpu: Duration) {
        self.spent += cpu;
    }

    /// Returns the time into the round from which another look is paid for, with enough left for the round's end.
    #[must_use]
    pub fn due(&self) -> Duration {
        (self.debt + self.spent + self.end) * self.share
    }

    /// Ends a round that took `elapsed`, of whose CPU time the end took `end`, and returns the CPU time of the whole round.
    pub fn finish(&mut self, elapsed: Duration, end: Duration) -> Duration {
        self.spent += end;
        self.end = end;
        self.debt = (self.debt + self.spent).saturating_sub(elapsed / self.share);
        self.spent
    }
}

/// Most CPU time for preparations before the rounds of a launch, which take `planned` together: 3/8 of the observer's share of it.
#[must_use]
pub fn preparation(planned: Duration) -> Duration {
    planned * 3 / (8 * SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const US: Duration = Duration::from_micros(1);

    #[test]
    fn looks_wait_until_they_are_paid_for() {
        let mut budget = Budget::of(250);
        assert!(budget.begin(MS * 1_000));
        assert_eq!(budget.due(), Duration::ZERO);
        budget.spend(US * 100);
        assert_eq!(budget.due(), MS * 25);
        assert_eq!(budget.finish(MS * 1_000, US * 200), US * 300);
        // The next round keeps something for its end.
        assert!(budget.begin(MS * 1_000));
        assert_eq!(budget.due(), MS * 50);
        // So does a first one, as much as its begin took.
        let mut budget = Budget::of(250);
        assert!(budget.begin(MS * 1_000));
        budget.begun(US * 100, US * 20);
        assert_eq!(budget.due(), MS * 55);
    }

    #[test]
    fn any_rounds_together_keep_to_the_share() {
        for (length, edge) in [(MS * 1_000, US * 150), (MS * 100, US * 150), (MS * 50, MS)] {
            let mut budget = Budget::of(250);
            let (mut spent, mut passed) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..2_000 {
                passed += length;
                if !budget.begin(length) {
                    continue;
                }
                budget.spend(edge);
                let mut at = MS * 25;
                loop {
                    at = at.max(budget.due());
                    if at >= length {
                        break;
                    }
                    budget.spend(US * 40);
                    at += MS * 25;
                }
                spent += budget.finish(length, edge);
            }
            let share = spent.as_secs_f64() / passed.as_secs_f64();
            assert!(share <= 0.0041, "{length:?} {edge:?}: {share}");
            assert!(share >= 0.001, "{length:?} {edge:?}: {share}");
        }
    }
}
