//! Plans the remaining gates and the amount of work planted in them.

use anyhow::{Result, ensure};

use crate::{
    Options,
    gate::{Bench, Wanted},
    outcomes::Outcomes,
};

/// Rounds of planted work in a calibration: large relative to the noise, even on the fastest server.
const CALIBRATION_ROUNDS: u32 = 400;

/// Returns the gates that the outcomes lacks, alternating between servers and sizes, so that a partial experiment covers all of them.
pub(crate) fn missing(options: &Options, outcomes: &Outcomes) -> Vec<Wanted> {
    let share = |all: usize, index: usize, of: usize| all / of + usize::from(index < all % of);
    let mut queues: Vec<Vec<Wanted>> = Vec::new();
    let others = options
        .servers
        .iter()
        .filter(|server| **server != options.certain)
        .count();
    let mut other = 0;
    for (index, server) in options.servers.iter().enumerate() {
        let planted = if *server == options.certain {
            options.planted
        } else {
            other += 1;
            share(options.planted, other - 1, others)
        };
        let identical = share(options.identical, index, options.servers.len());
        let sizes = std::iter::once((0, identical)).chain(options.sizes.iter().map(|&size| (size, planted)));
        for (size, wanted) in sizes {
            let there = outcomes
                .gates()
                .filter(|entry| entry.server == *server && entry.size == size && entry.decided())
                .count();
            let one = Wanted {
                server: server.clone(),
                size,
            };
            queues.push(vec![one; wanted.saturating_sub(there)]);
        }
    }
    // The longest queue is next, so that all end together.
    let mut order = Vec::new();
    while let Some(longest) = queues
        .iter_mut()
        .max_by_key(|queue| queue.len())
        .filter(|queue| !queue.is_empty())
    {
        order.extend(longest.pop());
    }
    order
}

/// Returns the rounds that add `size` percent of CPU time per request on `server`, from all its measurements so far.
pub(crate) fn rounds(bench: &Bench, outcomes: &mut Outcomes, server: &str, size: u32) -> Result<u32> {
    let change = if let Some(change) = outcomes.change_per_round(server) {
        change
    } else {
        let change = bench.calibrate(server, CALIBRATION_ROUNDS)? / f64::from(CALIBRATION_ROUNDS);
        println!(
            "{server}: one round of planted work adds {:.4} % of CPU per request",
            change * 100.0
        );
        outcomes.calibrated(server, change)?;
        change
    };
    ensure!(
        change > 0.0,
        "{server}: {CALIBRATION_ROUNDS} rounds of planted work did not make a request dearer; is WSGIBENCH_PLANTED_WORK read by its app?"
    );
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of rounds, far below 2^32"
    )]
    let rounds = (f64::from(size) / 100.0 / change).round() as u32;
    Ok(rounds.max(1))
}
