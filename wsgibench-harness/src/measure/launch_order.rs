//! In which order launches happen: blocks, each with every case (and arm) once, in random order.

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The order of one block: a permutation of `0..jobs` that the seed and the block's number fix.
///
/// Blocks are what keeps a comparison true on a machine that changes speed: within one, all are measured close together.
#[must_use]
pub(super) fn of_block(jobs: usize, seed: u64, block: u32) -> Vec<usize> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ (u64::from(block) << 32 | 0x0B10_C0DE));
    let mut order: Vec<usize> = (0..jobs).collect();
    order.shuffle(&mut rng);
    order
}

/// The same order, in which each job takes the next one with it that it pairs with.
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
    fn whoever_comes_first_takes_the_other_along() {
        let same_tens = |a: usize, b: usize| a / 10 == b / 10;
        assert_eq!(
            paired(&[11, 30, 21, 10, 20], same_tens),
            [vec![11, 10], vec![30], vec![21, 20]]
        );
    }

    #[test]
    fn each_job_is_in_each_block_once_and_the_seed_fixes_the_order() {
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
