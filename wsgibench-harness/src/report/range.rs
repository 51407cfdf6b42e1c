//! Minimum, median and maximum over launches, for figures with too few samples for a confidence interval.

/// Minimum, median and maximum of a figure over launches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LaunchRange {
    /// Smallest.
    pub min: f64,
    /// Median.
    pub median: f64,
    /// Largest.
    pub max: f64,
}

impl LaunchRange {
    /// Computes the range; `None` without values.
    #[must_use]
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Some(Self {
            min: *values.first()?,
            median: crate::stats::sample::median(&values),
            max: *values.last()?,
        })
    }

    /// Formats `3`, or `3 (1 to 9)` if launches differ.
    #[must_use]
    pub fn text(self, format: impl Fn(f64) -> String) -> String {
        match self.ends(&format) {
            Some(ends) => format!("{} ({ends})", format(self.median)),
            None => format(self.median),
        }
    }

    /// Formats `1 to 9` if launches differ.
    #[must_use]
    pub fn ends(self, format: impl Fn(f64) -> String) -> Option<String> {
        let (min, max) = (format(self.min), format(self.max));
        (min != max).then(|| format!("{min} to {max}"))
    }
}

/// Formats the median of a count.
#[must_use]
pub fn count(n: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a median of counts, rounded"
    )]
    let whole = n.round().max(0.0) as u64;
    super::units::grouped(whole)
}

/// Formats seconds to one decimal, the resolution of recovery detection.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// Formats the time to recovery; `back` holds the seconds of the launches that recovered.
pub(super) fn recovered(back: Option<LaunchRange>, (count, of, what): (usize, usize, &str), watched: f64) -> String {
    let never = if watched > 0.0 {
        format!("not within {}", seconds(watched))
    } else {
        "not observed for long enough".to_owned()
    };
    match back {
        Some(back) if count == of => back.text(seconds),
        Some(back) => format!("{} in {count} of {of} {what}, else {never}", back.text(seconds)),
        None => never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_shown_only_if_its_formatted_ends_differ() {
        let of = |values: &[f64]| LaunchRange::of(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0, 1.0, 9.0]).unwrap().text(count), "3 (1 to 9)");
        assert_eq!(of(&[2.01, 2.04]).unwrap().text(seconds), "2.0 s");
        assert_eq!(count(1_234.0), "1,234");
    }

    #[test]
    fn short_observation_is_not_reported_as_slow_recovery() {
        let back = LaunchRange::of([0.2, 0.8].into_iter());
        assert_eq!(recovered(back, (2, 2, "launches"), 0.0), "0.5 s (0.2 s to 0.8 s)");
        assert_eq!(
            recovered(back, (2, 3, "launches"), 8.0),
            "0.5 s (0.2 s to 0.8 s) in 2 of 3 launches, else not within 8.0 s"
        );
        assert_eq!(recovered(None, (0, 1, "launches"), 8.0), "not within 8.0 s");
        assert_eq!(recovered(None, (0, 1, "launches"), 0.0), "not observed for long enough");
    }
}
