//! The evidence of one series at one look: p-values, equivalence, minimum detectable effect.

use super::Series;
use super::design::{Design, EQUIVALENCE_ALPHA, Look};
use super::sign_flip::{sign_flip, smallest_p};
use crate::distribution::{normal_quantile, t_quantile, t_statistic, t_upper_tail};
use crate::metric::Margin;
use crate::sample::{float, mean, std_dev};

/// The probability of detecting a change as large as the minimum detectable effect.
pub const POWER: f64 = 0.8;

/// The extent of a computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// All printed values.
    Full,
    /// Verdicts alone: if Student's t rules out a rejection, the p-value is not computed and set to 1. The verdicts
    /// are the same.
    Verdicts,
}

/// A look with its precomputed quantiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prepared {
    pub(super) look: Look,
    /// Student's t below which no family, however small, rejects at this look: the quantile of alpha x share.
    hopeless: f64,
    /// Half-width, in standard errors, of the interval that must lie within the margin; `None` if
    /// this look does not decide equivalence.
    equivalence: Option<f64>,
}

impl Prepared {
    pub(super) fn of(design: &Design) -> Vec<Self> {
        let prepare = |(index, look): (usize, &Look)| {
            let freedom = float(look.blocks) - 1.0;
            let is_last = index + 1 == design.looks.len();
            let level = match (design.stop_when_equivalent, is_last) {
                (true, _) => Some(EQUIVALENCE_ALPHA * look.share),
                (false, true) => Some(EQUIVALENCE_ALPHA),
                (false, false) => None,
            };
            Self {
                look: *look,
                hopeless: t_quantile(1.0 - design.alpha * look.share, freedom),
                equivalence: level.map(|level| t_quantile(1.0 - level, freedom)),
            }
        };
        design.looks.iter().enumerate().map(prepare).collect()
    }

    /// Returns whether the mean of this look's blocks is significantly within the margin (two one-sided t tests).
    pub(super) fn equivalent(&self, values: &[f64], margin: Margin) -> bool {
        let reach = reach(margin);
        let centre = mean(values);
        self.equivalence.is_some_and(|quantile| {
            let half_width = quantile * std_dev(values) / float(values.len()).sqrt();
            -reach < centre - half_width && centre + half_width < reach
        })
    }
}

/// A series reduced to one number per usable block; + is worse.
#[derive(Clone, Debug)]
pub(super) struct Differences {
    /// Differences, in the order of the blocks.
    pub(super) values: Vec<f64>,
    /// The (base, candidate) values of these blocks.
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
        let mut found = Self {
            values: Vec::with_capacity(series.blocks.len()),
            used: Vec::new(),
            unusable: 0,
        };
        for block in &series.blocks {
            if usable(series.margin, *block) {
                found.values.push(difference(series, *block));
                found.used.push(*block);
            } else {
                found.unusable += 1;
            }
        }
        found
    }

    /// Returns the number of usable blocks of a series.
    pub(super) fn count(series: &Series) -> usize {
        series
            .blocks
            .iter()
            .filter(|&&block| usable(series.margin, block))
            .count()
    }
}

/// Returns whether both arms have a value, and positive ones if a ratio is required.
fn usable(margin: Margin, (base, candidate): (f64, f64)) -> bool {
    let positive = base > 0.0 && candidate > 0.0;
    base.is_finite() && candidate.is_finite() && (positive || matches!(margin, Margin::Absolute(_)))
}

fn difference(series: &Series, (base, candidate): (f64, f64)) -> f64 {
    let sign = series.metric.direction().worse();
    match series.margin {
        Margin::Relative(_) => sign * (candidate / base).ln(),
        Margin::Absolute(_) => sign * (candidate - base),
    }
}

/// Returns the margin on the scale of the differences.
#[must_use]
pub fn reach(margin: Margin) -> f64 {
    match margin {
        Margin::Relative(value) => value.ln_1p(),
        Margin::Absolute(value) => value,
    }
}

/// Returns the mean beyond which a significant change matters, on the same scale: half of a relative margin, a whole
/// absolute one.
#[must_use]
pub fn floor(margin: Margin) -> f64 {
    match margin {
        Margin::Relative(_) => 0.5 * reach(margin),
        Margin::Absolute(value) => value,
    }
}

/// Returns the p-values of the blocks of one look. `seed` is used by the sign-flip test.
pub(super) fn tails(values: &[f64], margin: Margin, prepared: &Prepared, seed: u64, effort: Effort) -> Tails {
    if let Margin::Absolute(margin) = margin {
        return sign_test(values, margin);
    }
    let nothing = Tails {
        worse: 1.0,
        better: 1.0,
    };
    let t = t_statistic(values);
    if t.is_nan() || (effort == Effort::Verdicts && t.abs() < prepared.hopeless) {
        return nothing;
    }
    let freedom = float(values.len()) - 1.0;
    let flipped = sign_flip(values, seed);
    Tails {
        worse: t_upper_tail(t, freedom).max(flipped.positive),
        better: t_upper_tail(-t, freedom).max(flipped.negative),
    }
}

/// Returns the two-sided p-value of the hypothesis that the arms are equal: twice the smaller tail of the exact sign-flip
/// test (of the sign test, if the margin is absolute). Exact for any noise if the arms were launched in random order.
pub(crate) fn two_sided_p(values: &[f64], margin: Margin, seed: u64) -> f64 {
    let smaller = match margin {
        Margin::Relative(_) => {
            let tails = sign_flip(values, seed);
            tails.positive.min(tails.negative)
        }
        Margin::Absolute(margin) => {
            let tails = sign_test(values, margin);
            tails.worse.min(tails.better)
        }
    };
    (2.0 * smaller).min(1.0)
}

/// Compares the number of blocks that rose by more than the margin with those that fell by more, by a binomial test.
fn sign_test(values: &[f64], margin: f64) -> Tails {
    let risen = values.iter().filter(|&&value| value > margin).count();
    let fallen = values.iter().filter(|&&value| value < -margin).count();
    Tails {
        worse: fair_tail(risen, risen + fallen),
        better: fair_tail(fallen, risen + fallen),
    }
}

/// Returns `P(at least k heads in n tosses)`.
fn fair_tail(heads: usize, tosses: usize) -> f64 {
    let mut probability = 0.5_f64.powf(float(tosses));
    let mut below = 0.0;
    for count in 0..heads {
        below += probability;
        probability *= float(tosses - count) / float(count + 1);
    }
    // Sum the side with fewer terms, to keep the precision of small tails.
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

/// Returns the minimum detectable effect on the scale of the differences, given their standard deviation: the smallest
/// change for the worse that the plan detects with probability [`POWER`] in a pair with this share of the error rate.
/// `None` if the plan cannot detect any change.
#[must_use]
pub fn detectable(deviation: f64, margin: Margin, design: &Design, weight: f64) -> Option<f64> {
    let last = design.looks.last()?;
    let level = design.level(last, weight);
    if smallest_p(last.blocks) > level {
        return None;
    }
    if let Margin::Absolute(value) = margin {
        // The sign test needs a rise of the margin in every block.
        return Some(value);
    }
    let freedom = float(last.blocks) - 1.0;
    let error = deviation / float(last.blocks).sqrt();
    // Normal approximation of the noncentral t (Johnson and Welch 1940); the simulation shows that it is accurate enough.
    let found = normal_quantile(POWER);
    let critical = t_quantile(1.0 - level, freedom);
    let student = critical * (1.0 - 0.25 / freedom) + found * (1.0 + 0.5 * critical * critical / freedom).sqrt();
    // The fewer sign patterns may reach the observed sum, the more the sign-flip test requires beyond Student's t. Fitted
    // to the simulation: 20 % if only the observed pattern may, 6 % for a dozen, nothing for thousands.
    let certain = student * (1.0 + 0.2 / (level / smallest_p(last.blocks)).sqrt());
    let matters = floor(margin) + found * error;
    Some((certain * error).max(matters))
}

/// Returns the mean of the first `blocks` differences; 0 if there are none.
pub(super) fn mean_of(values: &[f64], blocks: usize) -> f64 {
    let used = &values[..blocks.min(values.len())];
    if used.is_empty() { 0.0 } else { mean(used) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_tails_match_published_values() {
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
    fn sign_test_ignores_rises_within_the_margin() {
        let none = sign_test(&[0.0005; 26], 0.001);
        assert!((none.worse - 1.0).abs() < 1e-12);
        let all = sign_test(&[0.002; 16], 0.001);
        assert!((all.worse - 0.5_f64.powi(16)).abs() < 1e-12);
    }
}
