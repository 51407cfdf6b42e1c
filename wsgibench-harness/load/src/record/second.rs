//! Compact figures of one second of one worker, kept for every second of a round.

use serde::{Deserialize, Serialize};

use super::super::clock::Nanos;

/// Response times of a second as counts of rounded values (within 0.4 %). Seconds of several workers are merged before a
/// percentile is computed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SecondPart {
    /// Start in the round, ns.
    pub(crate) at: Nanos,
    pub(crate) done: u64,
    pub(crate) errors: u64,
    pub(crate) active: u64,
    sum_ns: f64,
    total: u64,
    /// Codes of values with their counts, in increasing order.
    values: Vec<(u16, u32)>,
}

impl SecondPart {
    pub(crate) fn new(at: Nanos, done: u64, errors: u64, active: u64) -> Self {
        Self {
            at,
            done,
            errors,
            active,
            ..Self::default()
        }
    }

    /// Adds a value, which must not be smaller than the previous one.
    #[expect(clippy::cast_precision_loss, reason = "a mean to many digits")]
    pub(crate) fn add(&mut self, value: u64, count: u64) {
        self.sum_ns += value as f64 * count as f64;
        self.total += count;
        let code = encode(value);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match self.values.last_mut() {
            Some((last, sum)) if *last == code => *sum = sum.saturating_add(count),
            _ => self.values.push((code, count)),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.done += other.done;
        self.errors += other.errors;
        self.active += other.active;
        self.sum_ns += other.sum_ns;
        self.total += other.total;
        self.values.extend_from_slice(&other.values);
        self.values.sort_unstable_by_key(|(code, _)| *code);
    }

    /// Returns the quantile `q`, ns; 0 without values.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among the answers of one second"
    )]
    pub(crate) fn quantile(&self, q: f64) -> u64 {
        let rank = (q * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (code, count) in &self.values {
            seen += u64::from(*count);
            if seen >= rank {
                return decode(*code);
            }
        }
        0
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "nanoseconds of a mean"
    )]
    pub(crate) fn mean(&self) -> u64 {
        if self.total == 0 {
            0
        } else {
            (self.sum_ns / self.total as f64) as u64
        }
    }
}

/// Encodes a value as the upper half of a 32-bit float (8 bits of exponent, 7 of fraction), which preserves the order.
#[expect(clippy::cast_precision_loss, reason = "coarse on purpose")]
fn encode(value: u64) -> u16 {
    ((value as f32).to_bits() >> 16) as u16
}

/// Returns the middle of the values with this code.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes come from whole numbers"
)]
fn decode(code: u16) -> u64 {
    f32::from_bits((u32::from(code) << 16) | 0x8000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoded_values_are_within_the_stated_error() {
        for value in [1_000_u64, 1_234_567, 999_999_999, 3_600_000_000_000] {
            let back = decode(encode(value));
            assert!(back.abs_diff(value) * 250 <= value, "{value} {back}");
        }
        assert!(encode(5_000) < encode(5_100));
    }

    #[test]
    fn quantiles_of_two_workers() {
        let mut a = SecondPart::new(0, 0, 0, 0);
        let mut b = a.clone();
        for k in 1..=1000_u64 {
            if k % 2 == 0 { &mut a } else { &mut b }.add(k * 1000, 1);
        }
        a.merge(&b);
        assert!(a.quantile(0.5).abs_diff(500_000) < 4_000, "{}", a.quantile(0.5));
        assert!(a.quantile(0.99).abs_diff(990_000) < 8_000, "{}", a.quantile(0.99));
        assert_eq!(a.mean(), 500_500);
        assert_eq!(SecondPart::default().quantile(0.5), 0);
    }
}
