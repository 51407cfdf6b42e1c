//! Cuts a load into stripes, one for each pod.

use crate::load::{Load, LoadPlan, Model, Stripe};

/// Returns into how many stripes a load can be cut: each needs a connection of its own.
pub(crate) fn most_stripes(load: &Load) -> u32 {
    let connections = match load.model {
        Model::Closed { connections } => connections,
        Model::Open { max_connections, .. } => max_connections,
        // Every user has a connection, and any number may arrive.
        Model::Users { .. } => usize::MAX,
    };
    u32::try_from(connections).unwrap_or(u32::MAX)
}

/// Checks that a load can be cut into `pods` stripes.
///
/// # Errors
/// The largest number of pods, as a message.
pub(crate) fn check(load: &Load, pods: u32) -> Result<(), String> {
    let most = most_stripes(load);
    if pods <= most {
        return Ok(());
    }
    Err(format!(
        "a load of {most} connection{} cannot be cut into {pods} pods: use --load-pods {most} or fewer, or raise the load's connections",
        if most == 1 { "" } else { "s" }
    ))
}

/// Returns the plan of pod `index` of `of`: the same seed, one stripe of its schedule and connections.
pub(crate) fn stripe(plan: &LoadPlan, index: u32, of: u32) -> LoadPlan {
    let mut plan = plan.clone();
    plan.stripe = Stripe { index, of };
    plan
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::load::{Schedule, get};

    #[test]
    fn more_pods_than_connections_is_an_error_with_the_remedy() {
        let load = Load::closed(3).request(get("/"));
        assert_eq!(check(&load, 3), Ok(()));
        let error = check(&load, 4).unwrap_err();
        assert!(error.contains("--load-pods 3 or fewer"), "{error}");
        assert_eq!(check(&Load::users(1).for_script(), 1_000), Ok(()));
    }

    fn loads() -> impl Strategy<Value = Load> {
        prop_oneof![
            (1_u32..5_000).prop_map(|rate| Load::rate(rate).request(get("/"))),
            (1_u32..5_000, any::<u64>()).prop_map(|(rate, seed)| Load::poisson(rate).seed(seed).request(get("/"))),
            (1_usize..50, 1_u64..900).prop_map(|(batch, every)| {
                Load::users(batch)
                    .every(Duration::from_millis(every))
                    .arriving_for(Duration::from_secs(10))
                    .request(get("/"))
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn stripes_together_are_the_whole_schedule(load in loads(), seed in any::<u64>(), of in 1_u32..40) {
            let schedule = Schedule::of_model(&load.model, seed).unwrap();
            let until = 2_000_000_000;
            let whole: Vec<u64> = schedule.arrivals(Stripe::default()).take_while(|at| *at < until).collect();
            let mut parts: Vec<u64> = (0..of)
                .flat_map(|index| schedule.arrivals(Stripe { index, of }).take_while(|at| *at < until))
                .collect();
            parts.sort_unstable();
            prop_assert_eq!(parts, whole);
        }
    }
}
