//! Injects faults during a round and judges the server's recovery from a fine series of counts.

mod inject;
mod recovery;

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use self::inject::{FaultContext, InjectedFault};
use super::launch::LaunchFailure;
use crate::{
    declare::ServerSpec,
    load::{Action, Fault, Load, Watch},
    panics,
    sandbox::Launch,
    store::record::{FaultRecord, RoundRecord, Sample, Validity},
};

/// Sampling interval of the load's counts: a fifth of the resolution of recovery.
const TICK: Duration = Duration::from_millis(20);
/// Metrics kept for a server under faults; all others would be read as its speed.
const KEPT_METRICS: [&str; 2] = ["error_share", "peak_memory"];
/// Findings about the measurement rather than the server under faults.
const KEPT_FINDINGS: [&str; 10] = [
    "throttled",
    "slow_clients",
    "client_lag",
    "engine_busy",
    "ports",
    "run_queue_delay",
    "steal",
    "neighbour",
    "shared_cpus",
    "path",
];

/// Outcome of a round's faults.
#[derive(Debug, Default)]
pub(super) struct FaultOutcome {
    pulses: Vec<Sample>,
    injected: Vec<InjectedFault>,
}

/// Injects the faults of a load during a round.
pub(super) struct FaultInjector<'a> {
    faults: &'a [Fault],
    launch: &'a Launch,
    runtime: &'a Runtime,
    spec: &'a ServerSpec,
    begun: OnceLock<Instant>,
}

/// Checks that all faults of a load can be injected into this server. A `trial` is too short for any to be due.
///
/// # Errors
/// Returns [`LaunchFailure::Unsupported`] if the server does not support a fault, and a message for an invalid plan.
pub(super) fn check(
    load: &Load,
    launch: &Launch,
    spec: &ServerSpec,
    round: Duration,
    trial: bool,
) -> Result<(), LaunchFailure> {
    for fault in &load.faults {
        if fault.after >= round && !trial {
            return Err(LaunchFailure::Other(format!(
                "a fault is due after {:?}, but a round lasts {round:?}; set a longer .duration(...)",
                fault.after
            )));
        }
        if fault.action == Action::Restart && !launch.can_restart() {
            return Err(LaunchFailure::Unsupported(
                "only a server in a container can be restarted (--sandbox docker)".to_owned(),
            ));
        }
        if fault.action == Action::Reload && spec.reload.is_none() {
            return Err(LaunchFailure::Unsupported(
                "it does not declare a signal for a graceful reload (Server::reloads_on)".to_owned(),
            ));
        }
    }
    Ok(())
}

impl<'a> FaultInjector<'a> {
    pub(super) fn new(load: &'a Load, launch: &'a Launch, runtime: &'a Runtime, spec: &'a ServerSpec) -> Self {
        Self {
            faults: &load.faults,
            launch,
            runtime,
            spec,
            begun: OnceLock::new(),
        }
    }

    /// Marks the start of the round.
    pub(super) fn begin(&self) {
        let _ = self.begun.set(Instant::now());
    }

    /// Samples the counts and injects the faults until `done`; does nothing without faults.
    pub(super) fn run(&self, watch: &Watch, done: &AtomicBool) -> FaultOutcome {
        if self.faults.is_empty() {
            return FaultOutcome::default();
        }
        let injected = Mutex::new(Vec::new());
        let pulses = thread::scope(|scope| {
            let acting = scope.spawn(|| self.act(done, &injected));
            let pulses = self.watch(watch, done);
            if let Err(panic) = acting.join() {
                std::panic::resume_unwind(panic);
            }
            pulses
        });
        FaultOutcome {
            pulses,
            injected: injected.into_inner().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn watch(&self, watch: &Watch, done: &AtomicBool) -> Vec<Sample> {
        let mut pulses = vec![Sample::default()];
        while !done.load(Ordering::Relaxed) {
            if let Some(begun) = self.begun.get() {
                let live = watch.live();
                pulses.push(Sample {
                    at: begun.elapsed().as_secs_f64(),
                    done: live.done,
                    errors: live.errors,
                    retried: live.retried,
                });
            }
            thread::sleep(TICK);
        }
        pulses
    }

    fn act(&self, done: &AtomicBool, injected: &Mutex<Vec<InjectedFault>>) {
        let wait = |until: Duration| {
            while !done.load(Ordering::Relaxed) {
                match self.begun.get() {
                    Some(begun) if begun.elapsed() >= until => return true,
                    _ => thread::sleep(Duration::from_millis(1)),
                }
            }
            false
        };
        if !wait(Duration::ZERO) {
            return;
        }
        let mut faults: Vec<&Fault> = self.faults.iter().collect();
        faults.sort_by_key(|fault| fault.after);
        let stage = FaultContext {
            launch: self.launch,
            runtime: self.runtime,
            spec: self.spec,
            over: done,
        };
        for fault in faults {
            // Gather information before the fault is due, because it takes time.
            let prepared = stage.prepare(&fault.action);
            if !wait(fault.after) {
                return;
            }
            let at = self.begun.get().map_or(Duration::ZERO, Instant::elapsed);
            let fault = stage.act(&fault.action, &prepared, at);
            injected.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
        }
    }
}

impl FaultOutcome {
    /// Returns the result of the fault thread.
    ///
    /// # Errors
    /// Returns [`LaunchFailure::Other`] if it panicked, because a round without its faults is not the requested one.
    pub(super) fn of_thread(joined: thread::Result<Self>) -> Result<Self, LaunchFailure> {
        joined.map_err(|panic| {
            let text = panics::text_of(panic.as_ref());
            LaunchFailure::Other(format!(
                "fault injection panicked: {text}; this is a fault in the harness, please report it"
            ))
        })
    }

    /// Adds the outcome of the faults to a round's record, and removes what would be read as the server's speed.
    pub(super) fn enter(mut self, record: &mut RoundRecord, alive: bool) {
        if self.injected.is_empty() {
            return;
        }
        let end = record.load.seconds;
        // Add the final counts, which the last sample may have missed.
        let counts = &record.load.counts;
        self.pulses.retain(|pulse| pulse.at < end);
        self.pulses.push(Sample {
            at: end,
            done: counts.done,
            errors: counts.failed + counts.timed_out,
            retried: counts.retried,
        });
        let starts: Vec<f64> = self.injected.iter().map(|fault| fault.at).collect();
        let last = self.injected.len() - 1;
        for (index, fault) in self.injected.into_iter().enumerate() {
            let until = starts.get(index + 1).copied().unwrap_or(end).min(end);
            record.faults.push(FaultRecord {
                action: fault.action,
                at_seconds: fault.at,
                took_seconds: fault.took,
                told: fault.told,
                answers: fault.answers,
                memory_kills: fault.memory_kills,
                server_ended: !alive && index == last,
                recovery: recovery::recovery(&self.pulses, (fault.at.min(end), fault.at + fault.took), until),
            });
        }
        record.pulses = thinned(&self.pulses, end);
        record.metrics.retain(|name, _| KEPT_METRICS.contains(&name.as_str()));
        let findings = std::mem::take(&mut record.validity).findings;
        record.validity = Validity::default();
        for finding in findings {
            if KEPT_FINDINGS.contains(&finding.check.as_str()) {
                record.validity.add(finding);
            }
        }
    }
}

/// Reduces the samples to one per interval of the recovery, for storage and charts.
fn thinned(pulses: &[Sample], end: f64) -> Vec<Sample> {
    let mut kept: Vec<Sample> = Vec::new();
    for pulse in pulses.iter().filter(|pulse| pulse.at <= end) {
        if kept
            .last()
            .is_none_or(|last| pulse.at - last.at >= recovery::BIN - 1e-9)
        {
            kept.push(*pulse);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panicking_fault_thread_fails_the_launch() {
        let joined = thread::spawn(|| -> FaultOutcome { panic!("no such process") }).join();
        let failure = FaultOutcome::of_thread(joined).unwrap_err();
        assert!(
            matches!(failure, LaunchFailure::Other(text) if text.contains("fault injection panicked: no such process"))
        );
    }

    #[test]
    fn samples_are_thinned_to_one_per_interval() {
        let pulses: Vec<Sample> = (0..100)
            .map(|n| Sample {
                at: f64::from(n) * 0.02,
                done: 0,
                errors: 0,
                retried: 0,
            })
            .collect();
        let kept = thinned(&pulses, 1.0);
        assert_eq!(kept.len(), 11);
    }
}
