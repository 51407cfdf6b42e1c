//! What one series shows at one look.

use super::Series;
use super::design::{Design, Look};
use super::sign_flip::{sign_flip, smallest_p};
use crate::stats::distribution::{t_quantile, t_test};
use crate::stats::metric::Margin;
use crate::stats::sample::{float, mean};

/// The probability with which a change of the minimum detectable effect is found.
pub const POWER: f64 = 0.8;

/// How much is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Everything that is printed.
    Full,
    /// Verdicts alone: a p-value that Student's t already puts out of reach of a rejection is not sharpened by the
    /// sign-flip test. The verdicts are the same.
    Verdicts,
}

/// A series as the decision sees it: one number a usable block, + is worse.
#[derive(Clone, Debug)]
pub(super) struct Differences {
    /// In the order of the blocks.
    pub(super) values: Vec<f64>,
    /// The blocks they came from.
    pub(super) used: Vec<(f64, f64)>,
    pub(super) unusable: usize,
}

/// One-sided p-values at a look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tails {
    pub(super) worse: f64,
    pub(super) better: f64,
}

impl Differences {
    pub(super) fn of(series: &Series) -> Self {
        let sign = series.metric.direction().worse();
        let difference = |&(base, candidate): &(f64, f64)| match series.margin {
            Margin::Relative(_) if base > 0.0 && candidate > 0.0 => sign * (candidate / base).ln(),
            Margin::Relative(_) => f64::NAN,
            Margin::Absolute(_) => sign * (candidate - base),
        };
        let mut found = Self {
            values: Vec::with_capacity(series.blocks.len()),
            used: Vec::new(),
            unusable: 0,
        };
        for block in &series.blocks {
            let value = difference(block);
            if value.is_finite() {
                found.values.push(value);
                found.used.push(*block);
            } else {
                found.unusable += 1;
            }
        }
        found
    }

    /// The looks that it has blocks for.
    pub(super) fn looks<'a>(&self, design: &'a Design) -> impl Iterator<Item = &'a Look> + use<'a> {
        let count = self.values.len();
        design.looks.iter().take_while(move |look| look.blocks <= count)
    }
}

/// The margin on the scale of the differences.
pub(super) fn reach(margin: Margin) -> f64 {
    match margin {
        Margin::Relative(value) => value.ln_1p(),
        Margin::Absolute(value) => value,
    }
}

/// The mean beyond which a certain change matters: half a relative margin, a whole absolute one.
pub(super) fn floor(margin: Margin) -> f64 {
    match margin {
        Margin::Relative(_) => 0.5 * reach(margin),
        Margin::Absolute(value) => value,
    }
}

/// The p-values of the blocks of one look.
pub(super) fn tails(values: &[f64], margin: Margin, look: &Look, design: &Design, effort: Effort) -> Tails {
    if let Margin::Absolute(margin) = margin {
        return sign_test(values, margin);
    }
    let student = t_test(values);
    let (worse, better) = (student, mirrored(values, student));
    // No family, however small, rejects at this look above alpha x share.
    let hopeless = design.alpha * look.share;
    if effort == Effort::Verdicts && worse.min(better) > hopeless {
        return Tails { worse, better };
    }
    let flipped = sign_flip(values, design.seed);
    Tails {
        worse: worse.max(flipped.positive),
        better: better.max(flipped.negative),
    }
}

/// The t test's other side; a sample that says nothing says nothing on either.
fn mirrored(values: &[f64], student: f64) -> f64 {
    let all_zero = values.iter().all(|value| value.abs() < f64::MIN_POSITIVE);
    if values.len() < 2 || all_zero {
        1.0
    } else {
        1.0 - student
    }
}

/// Blocks that rose by more than the margin against those that fell by more: the binomial tail of fair coins.
fn sign_test(values: &[f64], margin: f64) -> Tails {
    let risen = values.iter().filter(|&&value| value > margin).count();
    let fallen = values.iter().filter(|&&value| value < -margin).count();
    Tails {
        worse: fair_tail(risen, risen + fallen),
        better: fair_tail(fallen, risen + fallen),
    }
}

/// `P(at least k heads in n tosses)`.
fn fair_tail(heads: usize, tosses: usize) -> f64 {
    let mut probability = 0.5_f64.powf(float(tosses));
    let mut below = 0.0;
    for count in 0..heads {
        below += probability;
        probability *= float(tosses - count) / float(count + 1);
    }
    // From the side with fewer terms, so that small tails keep their digits.
    if 2 * heads <= tosses {
        return 1.0 - below;
    }
    let mut tail = 0.0;
    for count in heads..=tosses {
        tail += probability;
        probability *= float(tosses - count) / float(count + 1);
    }
    tail
}

/// The smallest change for the worse that the plan finds with [`POWER`], on the scale of the differences, from their
/// standard deviation; `None` where the plan can find none.
#[must_use]
pub fn detectable(deviation: f64, margin: Margin, design: &Design) -> Option<f64> {
    let last = design.looks.last()?;
    let level = design.level(last);
    if smallest_p(last.blocks) > level {
        return None;
    }
    if let Margin::Absolute(value) = margin {
        // A rise of the margin in every block is what the sign test needs.
        return Some(value);
    }
    let freedom = float(last.blocks) - 1.0;
    let error = deviation / float(last.blocks).sqrt();
    let certain = (t_quantile(1.0 - level, freedom) + t_quantile(POWER, freedom)) * error;
    let matters = floor(margin) + t_quantile(POWER, freedom) * error;
    Some(certain.max(matters))
}

/// The mean of the first `blocks` differences; 0 where there is none.
pub(super) fn mean_of(values: &[f64], blocks: usize) -> f64 {
    let used = &values[..blocks.min(values.len())];
    if used.is_empty() { 0.0 } else { mean(used) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fair_coins_agree_with_the_table() {
        for (heads, tosses, expected) in [
            (10, 10, 1.0 / 1024.0),
            (9, 10, 11.0 / 1024.0),
            (5, 10, 638.0 / 1024.0),
            (0, 10, 1.0),
            (0, 0, 1.0),
            (20, 26, 313_912.0 / 67_108_864.0),
        ] {
            let got = fair_tail(heads, tosses);
            assert!(
                (got - expected).abs() < 1e-12,
                "P({heads} of {tosses}) = {got}, expected {expected}"
            );
        }
    }

    #[test]
    fn small_rises_of_errors_do_not_count() {
        let none = sign_test(&[0.0005; 26], 0.001);
        assert!((none.worse - 1.0).abs() < 1e-12);
        let all = sign_test(&[0.002; 16], 0.001);
        assert!((all.worse - 0.5_f64.powi(16)).abs() < 1e-12);
    }
}
