//! Profiled launches: a server under its usual load, whose threads are sampled meanwhile.
//!
//! They run after a measurement and never enter a figure or a decision: the sampler reads the server's memory, which costs the
//! server a little.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    cpu_accounting::{Account, UsageSnapshot},
    event::Event,
    job::Ready,
    launch::{LaunchContext, LaunchFailure, Opened, ends_soon, finish, nothing_answered},
    sampler::Samples,
};
use crate::{
    load::Edge,
    profile::{LaunchProfile, Options, launch, sample},
    sandbox::Launch,
    store::record::{LaunchRecord, RoundRecord},
};

/// Samples per second.
const PER_SECOND: u32 = 250;

/// The profile of a launch, and whose it is.
#[derive(Clone, Debug)]
pub struct ProfiledLaunch {
    /// Case id.
    pub case: String,
    /// Arm.
    pub arm: String,
    /// The profile.
    pub profile: LaunchProfile,
}

/// Settings of a profiled run, and its profiles.
#[derive(Debug, Default)]
pub struct ProfilePlan {
    profiles: Mutex<Vec<ProfiledLaunch>>,
}

impl ProfilePlan {
    /// Takes the profiles of all finished launches.
    #[must_use]
    pub fn take(&self) -> Vec<ProfiledLaunch> {
        std::mem::take(&mut self.profiles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, profile: ProfiledLaunch) {
        self.profiles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(profile);
    }
}

impl LaunchContext<'_> {
    /// Loads and samples a ready launch.
    pub(super) fn profile(
        &self,
        plan: &ProfilePlan,
        ready: &Ready,
        launch: &Launch,
        record: &LaunchRecord,
        keep: impl FnOnce(RoundRecord) -> Result<(), LaunchFailure>,
        notes: impl FnMut(String),
    ) -> Result<(), LaunchFailure> {
        let Some(mut opened) = self.open(ready, launch, record, notes)? else {
            return Ok(());
        };
        let canceller = opened.driver.watch();
        self.interrupt.on_first(Some(Box::new(move || canceller.cancel())));
        let outcome = self.sampled(plan, ready, launch, record, &mut opened, keep);
        self.interrupt.on_first(None);
        finish(opened.driver, outcome)
    }

    /// Warms up, and samples one round.
    fn sampled(
        &self,
        plan: &ProfilePlan,
        ready: &Ready,
        launch: &Launch,
        record: &LaunchRecord,
        opened: &mut Opened,
        keep: impl FnOnce(RoundRecord) -> Result<(), LaunchFailure>,
    ) -> Result<(), LaunchFailure> {
        let case = &ready.job.case.id;
        if launch.pids().is_empty() {
            return Err(LaunchFailure::Other(
                "cannot be profiled: its processes are not visible on this machine (an engine on another machine or in a virtual \
                 machine); run the bench there, or use --sandbox process"
                    .to_owned(),
            ));
        }
        if !opened.timing.warm_up.is_zero() {
            (self.emit)(Event::WarmingUp { case: case.clone() });
            opened.driver.warm_up(opened.timing.warm_up)?;
        }
        if self.interrupt.asked() {
            return Ok(());
        }
        let options = Options {
            per_second: PER_SECOND,
            cpu: self.order.load_cpus.last().copied(),
            seed: self.order.seed ^ u64::from(record.index),
        };
        let (begun, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut edges = (None, None);
        let look = || UsageSnapshot::at(launch, self.order);
        let (load, samples) = thread::scope(|scope| {
            let sampling = scope.spawn(|| {
                while !begun.load(Ordering::Relaxed) && !over.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
                sample(options, || launch.pids(), &over)
            });
            let load = opened
                .driver
                .round_observed(opened.timing.round, &mut |edge| match edge {
                    Edge::Start => {
                        edges.0 = Some(look());
                        begun.store(true, Ordering::Relaxed);
                    }
                    Edge::End => {
                        over.store(true, Ordering::Relaxed);
                        edges.1 = Some(look());
                    }
                });
            over.store(true, Ordering::Relaxed);
            let samples = sampling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (load, samples)
        });
        let load = load?;
        if self.interrupt.asked() {
            return Ok(());
        }
        if !launch.is_alive() || (load.counts.done == 0 && ends_soon(launch)) {
            return Err(LaunchFailure::Died);
        }
        if load.counts.done == 0 {
            return Err(LaunchFailure::Other(nothing_answered(&ready.job.case.work)));
        }
        let account = match edges {
            (Some(before), Some(after)) => Account::between(&before, &after),
            _ => Account::default(),
        };
        plan.keep(ProfiledLaunch {
            case: case.clone(),
            arm: ready.job.arm.to_owned(),
            profile: launch::profile(samples, load.counts.done, account.cpu.map(|cpu| cpu.total)),
        });
        keep(self.record(0, load, account, Samples::default(), launch.address(), ready))
    }
}
