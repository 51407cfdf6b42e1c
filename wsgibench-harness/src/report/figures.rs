//! The figures of one case: each metric over launches, distributions over all rounds, and validity issues.

use std::collections::BTreeMap;

use super::units::float;
use crate::{
    load::{Counts, ErrorKind, Latency, Model, RequestResult, Step},
    measure::validity::of_case,
    stats::{Metric, Summary, summarise},
    store::{
        arms::CANDIDATE,
        record::{CaseRecord, Finding, LaunchRecord, RoundRecord, ValidityLevel},
    },
};

/// The figures of one arm of a case.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Case id.
    pub case: String,
    /// Validity: the worst level of the case and of the rounds used.
    pub level: ValidityLevel,
    /// Failed validity checks, each once, the worst first.
    pub findings: Vec<Finding>,
    /// Time per request over launches, ns: in a closed loop the round's length divided by its responses, in an open loop
    /// the mean response time.
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
    /// Details of the first failure of each kind, where known: the broken rule and the first line of a malformed response.
    pub error_samples: BTreeMap<ErrorKind, String>,
    /// Responses that failed a check: its name, the number of failures, one sample.
    pub failed_checks: BTreeMap<String, (u64, String)>,
    /// Steps of scripted users, all rounds together, in order of first use.
    pub steps: Vec<Step>,
    /// Requests of a declared mix that were sent, in order of declaration; empty for a single request.
    pub requests: Vec<RequestFigures>,
    /// Number of rounds in these figures.
    pub rounds: usize,
    /// Number of rounds left out as invalid.
    pub rounds_left_out: usize,
    /// Failed launches, with the reason.
    pub failed_launches: Vec<(u32, String)>,
    /// Server CPU cores in use over launches.
    pub cores: Option<Summary>,
    /// Mean response time over launches, ns; requests in flight at a round's end count with the time they had waited.
    pub mean_latency: Option<Summary>,
    /// Mean memory of the server, bytes.
    pub memory_mean: Option<f64>,
    /// Companions of the server, in order of declaration.
    pub companions: Vec<CompanionFigures>,
}

/// One request of a mix.
#[derive(Clone, Debug)]
pub struct RequestFigures {
    /// Its counts and response times, all rounds together.
    pub result: RequestResult,
    /// Median latency over launches, ns.
    pub p50: Option<Summary>,
    /// 99th percentile of latency over launches, ns.
    pub p99: Option<Summary>,
}

/// Resource usage of a companion, excluded from the server's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct CompanionFigures {
    /// Its host name on the network.
    pub name: String,
    /// Mean CPU cores in use.
    pub cores: f64,
    /// Highest memory at the end of a round, bytes.
    pub memory: u64,
}

impl Figures {
    /// Computes the figures of the candidate arm.
    #[must_use]
    pub fn of(case: &CaseRecord) -> Self {
        Self::of_arm(case, CANDIDATE)
    }

    /// Computes the figures of one arm from its valid rounds. If all rounds are invalid, they are used and the figures are
    /// marked invalid.
    #[must_use]
    pub fn of_arm(case: &CaseRecord, arm: &str) -> Self {
        let launches: Vec<&LaunchRecord> = case.of_arm(arm).collect();
        let every = || launches.iter().flat_map(|l| &l.rounds);
        let sound = every().any(is_usable);
        let chosen = |round: &&RoundRecord| !sound || is_usable(round);
        let mut figures = Self {
            case: case.id.clone(),
            // A killed run has only the validity of its rounds, not of whole cases.
            level: case.validity.level.max(of_case(every().map(|r| &r.validity)).level),
            findings: findings(case, every()),
            time: None,
            metrics: BTreeMap::new(),
            launches: BTreeMap::new(),
            response: Latency::new(),
            counts: Counts::default(),
            errors: BTreeMap::new(),
            error_samples: BTreeMap::new(),
            failed_checks: BTreeMap::new(),
            steps: Vec::new(),
            requests: Vec::new(),
            rounds: every().filter(chosen).count(),
            rounds_left_out: every().filter(|r| sound && !is_usable(r)).count(),
            failed_launches: launches
                .iter()
                .filter_map(|l| l.error.as_ref().map(|e| (l.index, e.clone())))
                .collect(),
            cores: over_launches(&launches, &chosen, cores).map(|(s, _)| s),
            mean_latency: over_launches(&launches, &chosen, mean_latency).map(|(s, _)| s),
            memory_mean: mean(every().filter(chosen).filter_map(|r| r.memory_mean_bytes).map(float)),
            companions: Vec::new(),
        };
        let rounds: Vec<&RoundRecord> = every().filter(chosen).collect();
        figures.companions = companions(&rounds);
        let quantile = |name: &str, q: f64| {
            let of_round = |round: &RoundRecord| {
                let request = round.load.requests.iter().find(|request| request.name == name)?;
                let latency = &request.latency;
                (!latency.histogram.is_empty()).then(|| float(latency.quantile(q).ns))
            };
            over_launches(&launches, &chosen, of_round).map(|(summary, _)| summary)
        };
        figures.requests = requests(&rounds)
            .into_iter()
            .map(|result| RequestFigures {
                p50: quantile(&result.name, 0.50),
                p99: quantile(&result.name, 0.99),
                result,
            })
            .collect();
        if figures.rounds == 0 || !sound {
            figures.level = ValidityLevel::Invalid;
        }
        for round in every().filter(chosen) {
            figures.add_round(round);
        }
        let scheduled = !matches!(case.load.model, Model::Closed { .. });
        figures.time = over_launches(&launches, &chosen, |r| time_per_request(r, scheduled)).map(|(s, _)| s);
        for metric in Metric::every() {
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

    /// Returns whether the case may be ranked.
    #[must_use]
    pub fn ranked(&self) -> bool {
        self.level != ValidityLevel::Invalid
    }

    /// Returns the total of failures and timeouts.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Formats the number of retried requests; `None` for none.
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
        // Timeouts are censored, not failed: count them once among the errors, whichever way the engine listed them.
        let timeouts = load.errors.iter().any(|(kind, _)| *kind == ErrorKind::ResponseTimeout);
        if !timeouts && load.counts.timed_out > 0 {
            *self.errors.entry(ErrorKind::ResponseTimeout).or_default() += load.counts.timed_out;
        }
        for (kind, sample) in &load.error_samples {
            self.error_samples.entry(*kind).or_insert_with(|| sample.clone());
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

fn requests(rounds: &[&RoundRecord]) -> Vec<RequestResult> {
    let mut requests = Vec::new();
    for round in rounds {
        RequestResult::join(&mut requests, &round.load.requests);
    }
    requests.retain(|request| request.failed > 0 || !request.latency.histogram.is_empty());
    requests
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

/// Returns the time per request of one round, ns.
#[must_use]
pub fn time_per_request(round: &RoundRecord, scheduled: bool) -> Option<f64> {
    let load = &round.load;
    if load.counts.done == 0 || round.counts.is_some() {
        return None;
    }
    if scheduled {
        return (!load.response_time.histogram.is_empty()).then(|| load.response_time.histogram.mean());
    }
    Some(load.seconds * 1e9 / float(load.counts.done))
}

fn cores(round: &RoundRecord) -> Option<f64> {
    let cpu = round.server_cpu_seconds.filter(|_| round.load.seconds > 0.0)?;
    Some(cpu / round.load.seconds)
}

fn mean_latency(round: &RoundRecord) -> Option<f64> {
    let histogram = &round.load.response_time.histogram;
    (!histogram.is_empty()).then(|| histogram.mean())
}

fn is_usable(round: &RoundRecord) -> bool {
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
        .filter_map(|l| Some((l.block, vec![l.start_up_seconds?])))
        .collect();
    summarised(measured)
}

fn summarised(measured: Vec<(u32, Vec<f64>)>) -> Option<OverLaunches> {
    let (blocks, values): (Vec<u32>, Vec<Vec<f64>>) = measured.into_iter().unzip();
    let summary = summarise(&values).ok()?;
    let medians = values.iter().map(|rounds| crate::stats::sample::median(rounds));
    Some((summary, blocks.into_iter().zip(medians).collect()))
}

/// Merges the checks of several rounds, keeping the worst figure of each.
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
