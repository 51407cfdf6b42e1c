//! Rounds of a load that pods offer.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::driver::{ClusterDriver, RoundOfPods};
use crate::{
    cluster::{message::PodPart, skew},
    declare::Work,
    load::{LoadPlan, RoundPart, RoundResult},
    measure::{
        cpu_accounting::{Account, CpuSeconds},
        event::Event,
        job::Ready,
        launch::{LaunchContext, LaunchFailure},
        sampler::{self, Samples},
        validity::{self, RoundContext},
    },
    sandbox::{Launch, Usage, kubernetes::KubernetesLaunch},
    store::record::{Finding, PodRecord, PodsRecord, RoundRecord, ValidityLevel},
};

/// Validity checks of the load generator, applied to each pod.
const OF_EACH_POD: [&str; 7] = [
    "client_lag",
    "ceiling",
    "engine_busy",
    "ports",
    "throttled",
    "run_queue_delay",
    "steal",
];

/// Interval between live events.
const TICK: Duration = Duration::from_millis(250);

/// Returns why a work cannot run in a cluster.
fn unsupported(work: &Work) -> Option<&'static str> {
    let load = work.load();
    if !load.faults.is_empty() {
        Some("faults are not supported with --sandbox kubernetes; use --sandbox docker")
    } else if !load.background_clients.is_empty() {
        Some("slow clients in the background are not supported with --sandbox kubernetes; use --sandbox docker")
    } else if load.of_capacity {
        Some("loads as shares of the server's capacity are not supported with --sandbox kubernetes; state a rate")
    } else {
        None
    }
}

impl LaunchContext<'_> {
    /// Opens the load of a launch in a cluster. Returns the driver and the script's duration, or `None` after an interrupt.
    pub(in crate::measure) fn open_in_cluster(
        &self,
        ready: &Ready,
        server: &KubernetesLaunch,
        plan: &LoadPlan,
        mut notes: impl FnMut(String),
    ) -> Result<Option<(ClusterDriver, Option<Duration>)>, LaunchFailure> {
        let case = &ready.job.case;
        if let Some(why) = unsupported(&case.work) {
            return Err(LaunchFailure::Unsupported(why.to_owned()));
        }
        let opened = ClusterDriver::open(server, plan, &case.id, self.runtime, self.interrupt)?;
        let Some((driver, checked)) = opened else {
            return Ok(None);
        };
        for note in checked.notes {
            notes(note);
        }
        Ok(Some((driver, checked.script)))
    }

    /// Runs one round. A round with a lost pod is recorded as invalid, and ends the launch.
    pub(in crate::measure) fn round_in_cluster(
        &self,
        driver: &mut ClusterDriver,
        ready: &Ready,
        launch: &Launch,
        index: u32,
        length: Duration,
    ) -> Result<RoundRecord, LaunchFailure> {
        let done = AtomicBool::new(false);
        let watch = driver.watch();
        let round = thread::scope(|scope| {
            scope.spawn(|| {
                let begun = Instant::now();
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    thread::sleep(TICK);
                    let live = watch.live();
                    #[expect(clippy::cast_precision_loss, reason = "requests of one tick are far below 2^52")]
                    let per_second = live.done.saturating_sub(last) as f64 / TICK.as_secs_f64();
                    last = live.done;
                    (self.emit)(Event::Live {
                        case: ready.job.case.id.clone(),
                        elapsed: begun.elapsed().min(length),
                        of: length,
                        requests_per_second: per_second,
                        p99_ns: live.p99_ns,
                        errors: live.errors,
                        server_cores: 0.0,
                    });
                }
            });
            let round = driver.round(length);
            done.store(true, Ordering::Relaxed);
            round
        })?;
        let load = merged(&round.parts)?;
        let (account, samples) = accounts(&round);
        let mut record = self.record(index, load, account, samples, launch.address(), ready);
        judge_pods(&mut record, driver, &round, ready)?;
        Ok(record)
    }
}

/// Adds each pod's own validity and the facts about the pods: the worst decides.
fn judge_pods(
    record: &mut RoundRecord,
    driver: &ClusterDriver,
    round: &RoundOfPods,
    ready: &Ready,
) -> Result<(), LaunchFailure> {
    let work = &ready.job.case.work;
    // Sums over pods say nothing about one of them, and the bench's own ports and CPUs offer no load.
    let whole = std::mem::take(&mut record.validity).findings;
    for finding in whole.into_iter().filter(|finding| !is_of_each_pod(&finding.check)) {
        record.validity.add(finding);
    }
    let mut pods = Vec::new();
    for part in &round.parts {
        let own = part.part.clone().result()?;
        let context = RoundContext {
            model: (&work.load().model).into(),
            scripted: work.script().is_some(),
            port_range: part.facts.port_range,
            time_wait: part.facts.time_wait,
            steal_share: part.facts.steal_share,
            own_throttled: part.facts.throttled,
            ..RoundContext::default()
        };
        for finding in validity::judge(&own, &context).findings {
            if is_of_each_pod(&finding.check) {
                let text = finding.text.replace("--load-cpus", "--load-pods, --load-pod-cpu");
                record.validity.add(Finding {
                    text: format!("pod {}: {text}", part.pod),
                    ..finding
                });
            }
        }
        let node = driver.pods().iter().find(|(name, _)| *name == part.pod);
        pods.push(PodRecord {
            name: part.pod.clone(),
            node: node.map(|(_, node)| node.clone()).unwrap_or_default(),
            clock_offset_ns: part.offset.ns,
            clock_bound_ns: part.offset.bound_ns,
            done: own.counts.done,
            failed: own.counts.failed,
            engine_busy_share: own.engine_busy_share,
            run_queue_delay_seconds: own.run_queue_delay_seconds,
        });
    }
    for finding in findings(driver, round) {
        record.validity.add(finding);
    }
    record.pods = Some(Box::new(PodsRecord {
        start_skew_ns: round.skew.ns,
        start_skew_bound_ns: round.skew.bound_ns,
        server_node: driver.server_node().to_owned(),
        usage_source: round.usage.as_ref().map(|usage| usage.source.clone()),
        pods,
        lost: round.lost.iter().map(|(pod, _)| pod.clone()).collect(),
    }));
    Ok(())
}

fn is_of_each_pod(check: &str) -> bool {
    OF_EACH_POD.contains(&check)
}

/// Returns findings about the pods as a whole.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a skew and a handful of pods")]
fn findings(driver: &ClusterDriver, round: &RoundOfPods) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |check: &str, level, value: f64, threshold: f64, text: String| {
        findings.push(Finding {
            check: check.to_owned(),
            level,
            value,
            threshold,
            text,
        });
    };
    for (pod, why) in &round.lost {
        find(
            "load_pods",
            ValidityLevel::Invalid,
            1.0,
            0.0,
            format!("pod {pod} was lost in the round: {why}; its part of the load is missing"),
        );
    }
    if !round.skew.is_small() {
        let whole = (round.skew.ns + round.skew.bound_ns) as f64 / 1e6;
        let limit = skew::LARGEST_NS as f64 / 1e6;
        find(
            "start_skew",
            ValidityLevel::Invalid,
            whole,
            limit,
            format!(
                "the load pods started {:.1} ms apart, measured to within {:.1} ms, where {limit:.0} ms are allowed: give the load pods \
                 whole CPUs, or use fewer of them on a node",
                round.skew.ns as f64 / 1e6,
                round.skew.bound_ns as f64 / 1e6
            ),
        );
    }
    let on_server_node = driver
        .pods()
        .iter()
        .filter(|(_, node)| node == driver.server_node())
        .count();
    if on_server_node > 0 {
        find(
            "same_node",
            ValidityLevel::Suspect,
            on_server_node as f64,
            0.0,
            format!(
                "{on_server_node} of {} load pods run on the server's node and compete with it: add a node, or choose nodes with \
                 --server-node-selector and --load-node-selector",
                driver.pods().len()
            ),
        );
    }
    findings
}

/// Merges the parts as one process would have made them.
fn merged(parts: &[PodPart]) -> Result<RoundResult, LaunchFailure> {
    let mut parts = parts.iter().map(|part| part.part.clone());
    let Some(mut sum) = parts.next() else {
        return Ok(RoundResult::default());
    };
    parts.for_each(|part| RoundPart::add(&mut sum, part));
    Ok(sum.result()?)
}

/// Returns the server's CPU time and its samples.
fn accounts(round: &RoundOfPods) -> (Account, Samples) {
    let Some(usage) = &round.usage else {
        return (Account::default(), Samples::default());
    };
    let between = |before: &Usage, after: &Usage| CpuSeconds {
        total: after.cpu_total_seconds - before.cpu_total_seconds,
        user: after.cpu_user_seconds - before.cpu_user_seconds,
        system: after.cpu_system_seconds - before.cpu_system_seconds,
        throttled: after.throttled_seconds - before.throttled_seconds,
    };
    let account = Account {
        cpu: usage
            .before
            .as_ref()
            .zip(usage.after.as_ref())
            .map(|(before, after)| between(before, after)),
        ..Account::default()
    };
    (account, sampler::summarize(&usage.series))
}
