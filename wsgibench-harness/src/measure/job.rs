//! The plan of a run: jobs, effort, CPUs, and the times that follow from them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    counting::{CountPlan, LAUNCH_TIME},
    profiling::ProfilePlan,
};
use crate::{
    declare::{Case, Profile, ServerSpec, Work},
    load::{Load, Model},
    sandbox::PreparedServer,
};

/// One case in one arm.
#[derive(Clone, Debug)]
pub struct Job {
    /// The case.
    pub case: Case,
    /// [`CANDIDATE`](crate::store::arms::CANDIDATE) or [`BASE`](crate::store::arms::BASE).
    pub arm: &'static str,
    /// The resolved server.
    pub spec: Arc<ServerSpec>,
}

/// A job whose server is prepared.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) job: Job,
    pub(super) prepared: Arc<PreparedServer>,
}

/// The plan of a run: jobs, effort, CPUs and options.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the run, each with a name of its own"
)]
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// Cases to measure, in order of declaration.
    pub jobs: Vec<Job>,
    /// Number and length of launches and rounds.
    pub profile: Profile,
    /// Seed of the launch order, mixes and schedules.
    pub seed: u64,
    /// CPUs of the load generator.
    pub load_cpus: Vec<usize>,
    /// CPUs of the servers.
    pub server_cpus: Vec<usize>,
    /// Server and load generator share CPUs.
    pub shared_cpus: bool,
    /// Whether a reference load against the null server brackets each launch.
    pub reference: bool,
    /// Send a few requests per case instead of measuring (`cargo test --benches`).
    pub test_mode: bool,
    /// Searches of a capacity also keep the thresholds of latency and errors (a tuning for the highest rate).
    pub within_thresholds: bool,
    /// Resumes an interrupted run: finished launches are not repeated.
    pub resumed: bool,
    /// Folder of the user's crate.
    pub manifest_dir: PathBuf,
    /// Count instructions and system calls instead of measuring times (`--count`).
    pub counting: Option<Arc<CountPlan>>,
    /// Sample the servers' threads (`--explain`); nothing of such a run is a figure.
    pub profiling: Option<Arc<ProfilePlan>>,
}

/// Warm-up, number and length of rounds of one launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) warm_up: Duration,
    pub(super) rounds: u32,
    pub(super) round: Duration,
}

/// Time of a launch outside warm-up and rounds: start, checks, teardown.
const OVERHEAD: Duration = Duration::from_millis(1_800);

impl RunPlan {
    pub(super) fn timing(&self, work: &Work) -> Timing {
        let load = work.load();
        let round = load.own_length().unwrap_or(self.profile.measurement_time);
        if self.test_mode {
            return Timing {
                warm_up: Duration::ZERO,
                rounds: 1,
                round: round.min(Duration::from_millis(200)),
            };
        }
        Timing {
            warm_up: warm_up(load, self.profile.warm_up_time),
            // A load that fixes its own length has one round per launch.
            rounds: if load.own_length().is_some() {
                1
            } else {
                self.profile.rounds.max(1)
            },
            round,
        }
    }

    /// Returns the number of rounds in one launch of this work.
    #[must_use]
    pub fn rounds(&self, work: &Work) -> u32 {
        self.timing(work).rounds
    }

    /// Returns the number of launches per job.
    #[must_use]
    pub fn launches(&self) -> u32 {
        if self.test_mode {
            1
        } else {
            self.profile.launches.max(1)
        }
    }

    /// Returns the expected time of one block, without image builds.
    #[must_use]
    pub fn block_time(&self) -> Duration {
        self.jobs.iter().map(|job| self.launch_time(&job.case.work)).sum()
    }

    pub(super) fn launch_time(&self, work: &Work) -> Duration {
        if let Some(plan) = &self.counting {
            return LAUNCH_TIME / u32::try_from(plan.side_by_side(1)).unwrap_or(1);
        }
        let timing = self.timing(work);
        let search = if work.load().of_capacity && !self.test_mode {
            super::capacity::time(self.within_thresholds)
        } else {
            Duration::ZERO
        };
        OVERHEAD + search + timing.warm_up + timing.round * timing.rounds
    }
}

/// Returns the warm-up time: zero for arriving users, whose schedule starts from an idle server.
fn warm_up(load: &Load, usual: Duration) -> Duration {
    match load.model {
        Model::Users { .. } => Duration::ZERO,
        Model::Closed { .. } | Model::Open { .. } => usual,
    }
}

#[cfg(test)]
impl RunPlan {
    /// Returns a plan for tests: one load CPU, one server CPU.
    pub(crate) fn sample(profile: Profile, jobs: Vec<Job>) -> Self {
        Self {
            jobs,
            profile,
            seed: 1,
            load_cpus: vec![1],
            server_cpus: vec![0],
            shared_cpus: false,
            reference: false,
            test_mode: false,
            within_thresholds: false,
            resumed: false,
            manifest_dir: PathBuf::from("/"),
            counting: None,
            profiling: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_fixes_its_length_has_one_round() {
        let order = RunPlan::sample(Profile::default(), Vec::new());
        let timing = |load: Load| {
            let timing = order.timing(&Work::Load(load));
            (timing.warm_up, timing.rounds, timing.round)
        };
        let usual = &order.profile;
        let users = || Load::users(5).arriving_for(Duration::from_secs(20));
        let secs = Duration::from_secs;
        assert_eq!(
            timing(Load::closed(1).for_script()),
            (usual.warm_up_time, usual.rounds, usual.measurement_time)
        );
        assert_eq!(timing(users().for_script()), (secs(0), 1, secs(20)));
        assert_eq!(timing(users().duration(secs(30)).for_script()), (secs(0), 1, secs(30)));
        assert_eq!(
            timing(Load::ramp(1..=9, secs(7)).for_script()),
            (usual.warm_up_time, 1, secs(7))
        );
    }
}
