//! Order of launches: blocks that contain every case (and arm) once, in random order.

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Returns the order of one block: a permutation of `0..jobs` determined by the seed and the block's number.
///
/// Blocks keep a comparison valid on a machine whose speed drifts, because all launches of a block are close in time.
#[must_use]
pub(super) fn of_block(jobs: usize, seed: u64, block: u32) -> Vec<usize> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ (u64::from(block) << 32 | 0x0B10_C0DE));
    let mut order: Vec<usize> = (0..jobs).collect();
    order.shuffle(&mut rng);
    order
}

/// Groups an order into turns: each job is joined by the next job that `pairs` with it.
pub(super) fn paired(order: &[usize], pairs: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut turns: Vec<Vec<usize>> = Vec::new();
    for &job in order {
        match turns.iter_mut().find(|turn| turn.len() == 1 && pairs(turn[0], job)) {
            Some(turn) => turn.push(job),
            None => turns.push(vec![job]),
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_job_of_a_pair_brings_the_second_forward() {
        let same_tens = |a: usize, b: usize| a / 10 == b / 10;
        assert_eq!(
            paired(&[11, 30, 21, 10, 20], same_tens),
            [vec![11, 10], vec![30], vec![21, 20]]
        );
    }

    #[test]
    fn a_block_is_a_permutation_determined_by_the_seed() {
        for block in 0..20 {
            let order = of_block(12, 7, block);
            assert_eq!(order, of_block(12, 7, block));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..12).collect::<Vec<_>>());
        }
        assert_ne!(of_block(12, 7, 0), of_block(12, 7, 1));
        assert_ne!(of_block(12, 7, 0), of_block(12, 8, 0));
    }
}
