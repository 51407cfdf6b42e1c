//! The family of gated (case, metric) pairs and their shares of the error rate.

use serde::{Deserialize, Serialize};

use super::design::Design;
use crate::holm;
use crate::metric::Metric;
use crate::sample::float;

/// The role of a pair in the gate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateRole {
    /// Reported, never fails the gate. Advisory pairs are a separate family.
    Advisory,
    /// Fails the gate if it is a regression, with this share of the gate's error rate (above 0, at most 1). If it cannot
    /// be decided, the gate ignores it.
    Secondary(f64),
    /// Like [`Secondary`](Self::Secondary), but a gate that cannot decide it gives no verdict.
    Primary(f64),
}

impl GateRole {
    /// Returns whether a regression of the pair fails the gate.
    #[must_use]
    pub fn is_gated(self) -> bool {
        self != Self::Advisory
    }

    /// Returns whether the gate requires a decision on the pair.
    #[must_use]
    pub fn is_primary(self) -> bool {
        matches!(self, Self::Primary(_))
    }

    /// Returns the share of the gate's error rate; 0 for an advisory pair.
    #[must_use]
    pub fn weight(self) -> f64 {
        match self {
            Self::Advisory => 0.0,
            Self::Secondary(weight) | Self::Primary(weight) => weight,
        }
    }
}

/// Each pair's share of the error rate, in the family of gated pairs or in that of advisory ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    gated: Vec<bool>,
    weights: Vec<f64>,
}

impl Shares {
    /// Returns the shares of pairs with these roles: the weights of the gated ones (scaled down if they sum to more than 1),
    /// equal shares among the advisory ones.
    #[must_use]
    pub fn of(roles: impl IntoIterator<Item = GateRole>) -> Self {
        let roles: Vec<GateRole> = roles.into_iter().collect();
        let whole: f64 = roles.iter().map(|role| role.weight()).sum();
        let advisory = roles.iter().filter(|role| !role.is_gated()).count();
        let weight = |role: &GateRole| match role {
            GateRole::Advisory => 1.0 / float(advisory.max(1)),
            GateRole::Secondary(weight) | GateRole::Primary(weight) => weight / whole.max(1.0),
        };
        Self {
            gated: roles.iter().map(|role| role.is_gated()).collect(),
            weights: roles.iter().map(weight).collect(),
        }
    }

    /// Returns the share of each pair.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Returns p-values adjusted by Holm's procedure within each of the two families.
    #[must_use]
    pub fn adjust(&self, p_values: &[f64]) -> Vec<f64> {
        let within = |gated: bool| {
            // A test of weight 0 belongs to no family.
            let weights = self.gated.iter().zip(&self.weights);
            let weights: Vec<f64> = weights
                .map(|(of, weight)| if *of == gated { *weight } else { 0.0 })
                .collect();
            holm::adjust(p_values, &weights)
        };
        let (gate, advisory) = (within(true), within(false));
        let both = self.gated.iter().zip(gate.into_iter().zip(advisory));
        both.map(|(gated, (gate, advisory))| if *gated { gate } else { advisory })
            .collect()
    }
}

/// The metrics that a gate judges and the number of its cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    metrics: Vec<Metric>,
    cases: usize,
}

impl Family {
    /// Creates the family of `metrics` for each of `cases` planned cases.
    #[must_use]
    pub fn new(metrics: &[Metric], cases: usize) -> Self {
        let mut metrics = metrics.to_vec();
        metrics.sort_unstable();
        metrics.dedup();
        Self { metrics, cases }
    }

    /// Creates the family of the metrics that are gated by default.
    #[must_use]
    pub fn standard(cases: usize) -> Self {
        Self::new(&Metric::gated(), cases)
    }

    /// Returns the number of planned cases.
    #[must_use]
    pub fn cases(&self) -> usize {
        self.cases
    }

    /// Returns the gated metrics, without duplicates.
    #[must_use]
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// Returns whether the family has no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty() || self.cases == 0
    }

    /// Returns the role of a metric of one of the cases.
    ///
    /// Metrics share the error rate by [`Metric::gate_weight`], cases equally. The metrics of the largest weight are primary:
    /// server CPU time per request if it is gated, otherwise every metric.
    #[must_use]
    pub fn role(&self, metric: Metric) -> GateRole {
        if !self.metrics.contains(&metric) {
            return GateRole::Advisory;
        }
        let whole: f64 = self.metrics.iter().map(|metric| metric.gate_weight()).sum();
        let weight = metric.gate_weight() / whole / float(self.cases.max(1));
        let is_lighter = |other: &Metric| metric.gate_weight() < other.gate_weight();
        if self.metrics.iter().any(is_lighter) {
            GateRole::Secondary(weight)
        } else {
            GateRole::Primary(weight)
        }
    }

    /// Returns the primary metrics.
    #[must_use]
    pub fn primary(&self) -> Vec<Metric> {
        let is_primary = |metric: &Metric| self.role(*metric).is_primary();
        self.metrics.iter().copied().filter(is_primary).collect()
    }

    /// Returns whether the design has a look at which a change of every primary metric, if large enough, is significant.
    #[must_use]
    pub fn is_decidable(&self, design: &Design) -> bool {
        let is_decidable = |metric: &Metric| design.decidable_at(self.role(*metric).weight()).is_some();
        self.primary().iter().all(is_decidable)
    }

    /// Returns the gated metrics that cannot fail the gate in this design: no change, however large, is significant at any of
    /// its looks.
    #[must_use]
    pub fn cannot_fail(&self, design: &Design) -> Vec<Metric> {
        let is_lost = |metric: &Metric| design.decidable_at(self.role(*metric).weight()).is_none();
        self.metrics.iter().copied().filter(is_lost).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDARY: [Metric; 5] = [
        Metric::Throughput,
        Metric::P50,
        Metric::P99,
        Metric::PeakMemory,
        Metric::ErrorShare,
    ];

    #[test]
    fn cpu_gets_half_of_the_error_rate_and_the_others_a_tenth_each() {
        let family = Family::standard(1);
        assert_eq!(family.role(Metric::CpuPerRequest), GateRole::Primary(0.5));
        for metric in SECONDARY {
            assert_eq!(family.role(metric), GateRole::Secondary(0.1));
        }
        assert_eq!(family.role(Metric::StartUpTime), GateRole::Advisory);
        let whole = |family: &Family| -> f64 { Metric::ALL.iter().map(|m| family.role(*m).weight()).sum() };
        assert!((whole(&family) - 1.0).abs() < 1e-12);
        assert!((whole(&Family::standard(7)) - 1.0 / 7.0).abs() < 1e-12);
    }

    #[test]
    fn gated_and_advisory_pairs_are_adjusted_as_separate_families() {
        let shares = Shares::of([
            GateRole::Primary(0.5),
            GateRole::Advisory,
            GateRole::Secondary(0.1),
            GateRole::Advisory,
        ]);
        assert_eq!(shares.weights(), [0.5, 0.5, 0.1, 0.5]);
        let adjusted = shares.adjust(&[0.004, 0.001, 0.004, 0.5]);
        for (found, expected) in adjusted.iter().zip([0.008, 0.002, 0.02, 0.5]) {
            assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
        }
        let heavy = Shares::of([GateRole::Primary(1.5), GateRole::Primary(0.5)]);
        assert_eq!(heavy.weights(), [0.75, 0.25]);
    }

    #[test]
    fn removed_metrics_leave_their_share_to_the_rest() {
        let family = Family::new(&[Metric::CpuPerRequest, Metric::ErrorShare], 1);
        assert_eq!(family.role(Metric::CpuPerRequest), GateRole::Primary(5.0 / 6.0));
        assert_eq!(family.role(Metric::P99), GateRole::Advisory);
        // Without CPU per request the other metrics must be decided, or a gate would pass without a decision.
        let family = Family::new(&[Metric::P50, Metric::P99, Metric::P50], 1);
        assert_eq!(family.role(Metric::P99), GateRole::Primary(0.5));
        assert_eq!(family.primary(), [Metric::P50, Metric::P99]);
    }

    #[test]
    fn ten_blocks_decide_cpu_of_one_case_and_sixteen_every_metric_of_nineteen() {
        let within = |blocks| Design::within(blocks).expect("a look fits");
        let one = Family::standard(1);
        assert!(one.is_decidable(&within(10)));
        assert_eq!(one.cannot_fail(&within(10)), SECONDARY);
        assert_eq!(one.cannot_fail(&within(16)), []);

        assert!(!Family::standard(2).is_decidable(&within(10)));
        assert_eq!(Family::standard(19).cannot_fail(&within(16)), []);
        assert_eq!(Family::standard(20).cannot_fail(&within(16)), SECONDARY);
        assert!(Family::standard(98).is_decidable(&within(16)));
        assert!(!Family::standard(99).is_decidable(&within(16)));
        assert_eq!(Family::standard(30_198).cannot_fail(&within(26)), []);
    }
}
