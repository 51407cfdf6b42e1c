//! Stateless random numbers: the k-th number of a seeded sequence is computed without its predecessors, so that every
//! stripe of a load draws the same numbers as the whole.

/// Returns 64 random bits for a seed and a position (the finaliser of splitmix64, applied twice).
#[inline]
pub(crate) fn bits(seed: u64, position: u64) -> u64 {
    mix(mix(seed) ^ position.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

#[inline]
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The purpose of a draw. Each purpose has a separate stream, so that they are uncorrelated under one seed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    /// The choice of a request in a mix.
    Choice = 1,
    /// Gaps between Poisson arrivals.
    Gaps,
    /// Values in requests.
    Values,
    /// Random numbers of scripted users.
    Users,
}

/// Returns the seed of a stream.
pub(crate) fn stream(seed: u64, stream: Stream) -> u64 {
    mix(mix(seed ^ 0x5eed_5eed_5eed_5eed).wrapping_add(stream as u64))
}

/// Returns a number in `0..bound`; 0 for a bound of 0.
#[inline]
pub(crate) fn below(bound: u64, bits: u64) -> u64 {
    // The high half of a 128-bit product: its bias is below bound / 2^64.
    u64::try_from((u128::from(bits) * u128::from(bound)) >> 64).unwrap_or(u64::MAX)
}

/// Returns a number in (0, 1]; never 0, so that its logarithm is finite.
#[inline]
pub(crate) fn unit(bits: u64) -> f64 {
    // 53 bits fit a double exactly.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
    let value = ((bits >> 11) + 1) as f64;
    value / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_and_position_and_fill_the_range() {
        assert_ne!(bits(1, 0), bits(2, 0));
        assert_ne!(bits(1, 0), bits(1, 1));
        assert_eq!(bits(7, 9), bits(7, 9));
        let mut seen = [0_u32; 10];
        for k in 0..10_000 {
            seen[usize::try_from(below(10, bits(3, k))).unwrap()] += 1;
        }
        // 1,000 each are expected; five standard deviations are 150.
        assert!(seen.iter().all(|n| (850..=1150).contains(n)), "{seen:?}");
        assert!(unit(0) > 0.0 && unit(u64::MAX) <= 1.0);
    }
}
