//! The figures of one case: each metric over launches, distributions over all rounds, what stands against them.

use std::collections::BTreeMap;

use super::units::float;
use crate::{
    load::{Counts, ErrorKind, Latency, Model, Step},
    measure::validity::of_case,
    stats::{Metric, Summary, summarise},
    store::{
        arms::CANDIDATE,
        record::{CaseRecord, Finding, LaunchRecord, RoundRecord, ValidityLevel},
    },
};

/// What one arm of a case gave.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Case id.
    pub case: String,
    /// How far they may be believed: the worst of the case's own level and of what is left to read them from.
    pub level: ValidityLevel,
    /// What was checked and departed, each check once, the worst first.
    pub findings: Vec<Finding>,
    /// Time per request over launches, ns: the round's length by the requests answered in a closed loop; the mean response
    /// time where a schedule sets the rate.
    pub time: Option<Summary>,
    /// Each metric over launches, in its own unit.
    pub metrics: BTreeMap<Metric, Summary>,
    /// Each metric launch by launch (median of its rounds), with the launch's block, in its own unit.
    pub launches: BTreeMap<Metric, Vec<(u32, f64)>>,
    /// Response times of all rounds together.
    pub response: Latency,
    /// Requests of all rounds together.
    pub counts: Counts,
    /// Failures and timeouts of all rounds by kind.
    pub errors: BTreeMap<ErrorKind, u64>,
    /// Answers that failed a check: its name, how often, one sample.
    pub failed_checks: BTreeMap<String, (u64, String)>,
    /// Steps of scripted users, all rounds together, in order of first use.
    pub steps: Vec<Step>,
    /// Rounds that these figures are made of.
    pub rounds: usize,
    /// Rounds left out because they were invalid.
    pub rounds_left_out: usize,
    /// Launches that failed, with why.
    pub failed_launches: Vec<(u32, String)>,
    /// Server cores in use over launches.
    pub cores: Option<Summary>,
    /// Mean response time over launches, ns; what was in flight at a round's end is in it with the time it had waited.
    pub mean_latency: Option<Summary>,
    /// Mean memory, bytes.
    pub memory_mean: Option<f64>,
    /// Companions of the server, in order.
    pub companions: Vec<CompanionFigures>,
}

/// What a companion used: none of it is in the server's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct CompanionFigures {
    /// Its name on the network.
    pub name: String,
    /// Mean cores in use.
    pub cores: f64,
    /// Most memory at the end of a round, bytes.
    pub memory: u64,
}

impl Figures {
    /// Reads the figures of the candidate arm.
    #[must_use]
    pub fn of(case: &CaseRecord) -> Self {
        Self::of_arm(case, CANDIDATE)
    }

    /// Reads the figures of one arm. Invalid rounds are left out, unless there are no others: then these are the figures,
    /// marked invalid.
    #[must_use]
    pub fn of_arm(case: &CaseRecord, arm: &str) -> Self {
        let launches: Vec<&LaunchRecord> = case.of_arm(arm).collect();
        let every = || launches.iter().flat_map(|l| &l.rounds);
        let sound = every().any(believable);
        let chosen = |round: &&RoundRecord| !sound || believable(round);
        let mut figures = Self {
            case: case.id.clone(),
            // A run that was killed has no validity of whole cases: it is that of its rounds.
            level: case.validity.level.max(of_case(every().map(|r| &r.validity)).level),
            findings: findings(case, every()),
            time: None,
            metrics: BTreeMap::new(),
            launches: BTreeMap::new(),
            response: Latency::new(),
            counts: Counts::default(),
            errors: BTreeMap::new(),
            failed_checks: BTreeMap::new(),
            steps: Vec::new(),
            rounds: every().filter(chosen).count(),
            rounds_left_out: every().filter(|r| sound && !believable(r)).count(),
            failed_launches: launches
                .iter()
                .filter_map(|l| l.error.as_ref().map(|e| (l.index, e.clone())))
                .collect(),
            cores: over_launches(&launches, &chosen, cores).map(|(s, _)| s),
            mean_latency: over_launches(&launches, &chosen, mean_latency).map(|(s, _)| s),
            memory_mean: mean(
                every()
                    .filter(chosen)
                    .filter(|r| r.memory_mean_bytes > 0)
                    .map(|r| float(r.memory_mean_bytes)),
            ),
            companions: Vec::new(),
        };
        let rounds: Vec<&RoundRecord> = every().filter(chosen).collect();
        figures.companions = companions(&rounds);
        if figures.rounds == 0 || !sound {
            figures.level = ValidityLevel::Invalid;
        }
        for round in every().filter(chosen) {
            figures.add_round(round);
        }
        let scheduled = !matches!(case.load.model, Model::Closed { .. });
        figures.time = over_launches(&launches, &chosen, |r| time_per_request(r, scheduled)).map(|(s, _)| s);
        for metric in Metric::ALL {
            let found = match metric {
                Metric::StartUpTime => start_up(&launches),
                _ => over_launches(&launches, &chosen, |r| r.metrics.get(metric.id()).copied()),
            };
            if let Some((summary, values)) = found {
                figures.metrics.insert(metric, summary);
                figures.launches.insert(metric, values);
            }
        }
        figures
    }

    /// Whether it may stand in a ranking.
    #[must_use]
    pub fn ranked(&self) -> bool {
        self.level != ValidityLevel::Invalid
    }

    /// Failures and timeouts in all.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Returns how many requests were sent again, in words; `None` for none.
    #[must_use]
    pub fn sent_again(&self) -> Option<String> {
        let retried = self.counts.retried;
        (retried > 0).then(|| format!("{} sent again", crate::report::units::grouped(retried)))
    }

    fn add_round(&mut self, round: &RoundRecord) {
        let load = &round.load;
        self.response.merge(&load.response_time);
        self.counts.merge(&load.counts);
        for (kind, count) in &load.errors {
            if *count > 0 {
                *self.errors.entry(*kind).or_default() += count;
            }
        }
        // Timeouts are censored, not failed: they stand among the errors once, whichever way the engine listed them.
        let timeouts = load.errors.iter().any(|(kind, _)| *kind == ErrorKind::ResponseTimeout);
        if !timeouts && load.counts.timed_out > 0 {
            *self.errors.entry(ErrorKind::ResponseTimeout).or_default() += load.counts.timed_out;
        }
        for check in &load.failed_checks {
            let entry = self
                .failed_checks
                .entry(check.name.clone())
                .or_insert_with(|| (0, check.sample.clone()));
            entry.0 += check.count;
        }
        for step in &load.steps {
            match self.steps.iter_mut().find(|known| known.name == step.name) {
                Some(known) => {
                    known.latency.merge(&step.latency);
                    known.failed += step.failed;
                }
                None => self.steps.push(step.clone()),
            }
        }
    }
}

fn companions(rounds: &[&RoundRecord]) -> Vec<CompanionFigures> {
    let seconds: f64 = rounds.iter().map(|round| round.load.seconds).sum();
    let mut found: Vec<CompanionFigures> = Vec::new();
    for used in rounds.iter().flat_map(|round| &round.companions) {
        let cores = used.cpu_seconds / seconds.max(1e-9);
        match found.iter_mut().find(|known| known.name == used.name) {
            Some(known) => {
                known.cores += cores;
                known.memory = known.memory.max(used.memory_bytes);
            }
            None => found.push(CompanionFigures {
                name: used.name.clone(),
                cores,
                memory: used.memory_bytes,
            }),
        }
    }
    found
}

/// Time per request of one round, ns.
#[must_use]
pub fn time_per_request(round: &RoundRecord, scheduled: bool) -> Option<f64> {
    let load = &round.load;
    if load.counts.done == 0 {
        return None;
    }
    if scheduled {
        return (!load.response_time.histogram.is_empty()).then(|| load.response_time.histogram.mean());
    }
    Some(load.seconds * 1e9 / float(load.counts.done))
}

fn cores(round: &RoundRecord) -> Option<f64> {
    let known = round.load.seconds > 0.0 && round.server_cpu_seconds > 0.0;
    known.then(|| round.server_cpu_seconds / round.load.seconds)
}

fn mean_latency(round: &RoundRecord) -> Option<f64> {
    let histogram = &round.load.response_time.histogram;
    (!histogram.is_empty()).then(|| histogram.mean())
}

fn believable(round: &RoundRecord) -> bool {
    round.validity.level != ValidityLevel::Invalid
}

type OverLaunches = (Summary, Vec<(u32, f64)>);

fn over_launches(
    launches: &[&LaunchRecord],
    chosen: &impl Fn(&&RoundRecord) -> bool,
    value: impl Fn(&RoundRecord) -> Option<f64>,
) -> Option<OverLaunches> {
    let measured: Vec<(u32, Vec<f64>)> = launches
        .iter()
        .map(|l| {
            let rounds = l.rounds.iter().filter(chosen).filter_map(&value);
            (l.block, rounds.filter(|v| v.is_finite()).collect::<Vec<_>>())
        })
        .filter(|(_, rounds)| !rounds.is_empty())
        .collect();
    summarised(measured)
}

fn start_up(launches: &[&LaunchRecord]) -> Option<OverLaunches> {
    let measured = launches
        .iter()
        .filter(|l| l.start_up_seconds > 0.0)
        .map(|l| (l.block, vec![l.start_up_seconds]))
        .collect();
    summarised(measured)
}

fn summarised(measured: Vec<(u32, Vec<f64>)>) -> Option<OverLaunches> {
    let (blocks, values): (Vec<u32>, Vec<Vec<f64>>) = measured.into_iter().unzip();
    let summary = summarise(&values).ok()?;
    let medians = values.iter().map(|rounds| crate::stats::sample::median(rounds));
    Some((summary, blocks.into_iter().zip(medians).collect()))
}

/// Each check once, with its worst figure; the same text of several rounds is said once.
fn findings<'a>(case: &'a CaseRecord, rounds: impl Iterator<Item = &'a RoundRecord>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let all = case
        .validity
        .findings
        .iter()
        .chain(rounds.flat_map(|r| &r.validity.findings));
    for finding in all.filter(|f| f.level != ValidityLevel::Valid) {
        match found.iter_mut().find(|f| f.check == finding.check) {
            Some(known) if known.level < finding.level => *known = finding.clone(),
            Some(_) => {}
            None => found.push(finding.clone()),
        }
    }
    found.sort_by_key(|f| std::cmp::Reverse(f.level));
    found
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| crate::stats::sample::mean(&values))
}
