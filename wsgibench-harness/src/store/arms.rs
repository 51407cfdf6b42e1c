//! The two arms of a comparison and their launches.

use super::record::{CaseRecord, LaunchRecord, RoundRecord};

/// The arm of the working tree; the only one of a run without a comparison.
pub const CANDIDATE: &str = "candidate";
/// The base arm of a comparison.
pub const BASE: &str = "base";

impl CaseRecord {
    /// Returns the launches of one arm, in order.
    #[must_use]
    pub fn of_arm(&self, arm: &str) -> impl DoubleEndedIterator<Item = &LaunchRecord> {
        self.launches.iter().filter(move |launch| launch.arm == arm)
    }

    /// Returns the launches of the working tree, in order.
    #[must_use]
    pub fn candidate(&self) -> impl DoubleEndedIterator<Item = &LaunchRecord> {
        self.of_arm(CANDIDATE)
    }

    /// Returns the rounds of the working tree's launches, in order.
    pub fn candidate_rounds(&self) -> impl Iterator<Item = &RoundRecord> {
        self.candidate().flat_map(|launch| &launch.rounds)
    }
}
