//! The two sides of a comparison, and what was measured on each.

use super::record::{CaseRecord, LaunchRecord, RoundRecord};

/// The arm that is the working tree; the only one of a run that compares nothing.
pub const CANDIDATE: &str = "candidate";
/// The arm that the candidate is compared with.
pub const BASE: &str = "base";

impl CaseRecord {
    /// The launches of one arm, in order.
    #[must_use]
    pub fn of_arm(&self, arm: &str) -> impl DoubleEndedIterator<Item = &LaunchRecord> {
        self.launches.iter().filter(move |launch| launch.arm == arm)
    }

    /// The launches of the working tree, in order.
    #[must_use]
    pub fn candidate(&self) -> impl DoubleEndedIterator<Item = &LaunchRecord> {
        self.of_arm(CANDIDATE)
    }

    /// The rounds of the working tree's launches, in order.
    pub fn candidate_rounds(&self) -> impl Iterator<Item = &RoundRecord> {
        self.candidate().flat_map(|launch| &launch.rounds)
    }
}
