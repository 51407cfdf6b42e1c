//! One figure a launch, read from a stored run.

use crate::{
    stats::{Metric, sample::median},
    store::record::{CaseRecord, LaunchRecord, ValidityLevel},
};

/// The launches of a case's own arm (`candidate`), each as the median of its believable rounds, in the metric's unit.
/// Launches and rounds that failed or are invalid are left out: they are no zeros.
pub(super) fn of(case: &CaseRecord, metric: Metric) -> Vec<f64> {
    case.launches
        .iter()
        .filter(|launch| launch.arm != "base")
        .filter_map(|launch| of_launch(launch, metric))
        .collect()
}

fn of_launch(launch: &LaunchRecord, metric: Metric) -> Option<f64> {
    let rounds: Vec<f64> = launch
        .rounds
        .iter()
        .filter(|round| round.validity.level < ValidityLevel::Invalid)
        .filter_map(|round| round.metrics.get(metric.id()).copied())
        .filter(|value| value.is_finite())
        .collect();
    if !rounds.is_empty() {
        return Some(median(&rounds));
    }
    // A launch is started once, so that this one may stand with the launch alone.
    (metric == Metric::StartUpTime && launch.error.is_none() && launch.start_up_seconds > 0.0)
        .then_some(launch.start_up_seconds)
}
