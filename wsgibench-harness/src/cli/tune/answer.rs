//! The answer of a tuning: all settings with their figures, the recommended one and what limits it, and the exit status.

use std::time::Duration;

use crate::{
    cli::{exit::ExitStatus, plan::Plan},
    declare::ServerSpec,
    measure::{
        Job, bottleneck,
        tuning::{TunePlan, candidates, centre, drop_reason, loss, valid_value},
    },
    stats::{
        Metric,
        elimination::{self, CONFIDENCE, Candidate, PresentVerdict, Standing, State},
        summarise,
    },
    store::{
        arms::CANDIDATE,
        record::{CaseRecord, RunRecord},
        tuning::{
            DropReason, Dropped, PresentSetting, Recommendation, TUNE_VERSION, TuneEnd, TuneRecord, TuneSetting,
            TuneStatus,
        },
    },
};

/// A search that has ended.
pub(super) struct Search {
    pub(super) end: TuneEnd,
    /// Complete blocks.
    pub(super) blocks: usize,
    pub(super) elapsed: Duration,
}

/// Returns the answer of a search that has ended, and the exit status.
pub(super) fn of(
    record: &RunRecord,
    plan: &Plan,
    tuning: &TunePlan,
    search: &Search,
    gate: bool,
) -> (TuneRecord, ExitStatus) {
    let jobs = &plan.order.jobs;
    let cases: Vec<String> = jobs.iter().map(|job| job.case.id.clone()).collect();
    let candidates = candidates(record, &cases, tuning.goal);
    let standing = elimination::conclude(&candidates, &tuning.rules, search.blocks);
    let all = Answer {
        record,
        jobs,
        tuning,
        candidates: &candidates,
        standing: &standing,
    };
    // A search without time for another block may still be certain.
    let ended = match search.end {
        TuneEnd::Budget | TuneEnd::Blocks if standing.certain => TuneEnd::Decided,
        ended => ended,
    };
    let present = tuning.rules.present.map(|present| all.present(present));
    let (verdict, status) = decide(gate, ended, &standing);
    let mut settings: Vec<TuneSetting> = (0..jobs.len()).map(|index| all.setting(index)).collect();
    let direction = tuning.rules.direction.worse();
    settings.sort_by(|a, b| {
        let key = |setting: &TuneSetting| {
            let point = setting
                .estimate
                .map_or(f64::INFINITY, |estimate| estimate.point * direction);
            (setting.status as u8, point)
        };
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let answer = TuneRecord {
        version: TUNE_VERSION,
        run: record.id.clone(),
        scenario: jobs[0].case.scenario.clone(),
        param: jobs[0].case.param.clone(),
        goal: tuning.goal,
        metric: tuning.goal.metric(),
        margin: tuning.rules.margin,
        confidence: CONFIDENCE,
        thresholds: jobs[0]
            .case
            .work
            .load()
            .thresholds
            .iter()
            .map(ToString::to_string)
            .collect(),
        blocks: search.blocks,
        launches: settings.iter().map(|setting| setting.launches).sum(),
        seconds: search.elapsed.as_secs_f64(),
        budget_seconds: tuning.budget.as_secs_f64(),
        ended,
        recommended: all.recommendation(),
        present,
        limits: all.limits(),
        notes: all.notes(),
        gate,
        verdict: verdict.to_owned(),
        exit_status: status as i32,
        settings,
    };
    (answer, status)
}

/// Returns the verdict and the exit status.
fn decide(gate: bool, ended: TuneEnd, standing: &Standing) -> (&'static str, ExitStatus) {
    let failed = standing.states.iter().all(
        |state| matches!(state, State::Dropped { reason, .. } if !matches!(reason, elimination::Reason::Breaks(_))),
    );
    let unknown = standing.states.iter().any(|state| {
        matches!(
            state,
            State::Dropped {
                reason: elimination::Reason::NoFigures,
                ..
            }
        )
    });
    match (ended, standing.present) {
        (TuneEnd::Interrupted, _) => ("interrupted", ExitStatus::Interrupted),
        _ if failed && !gate => ("advisory", ExitStatus::CaseFailed),
        _ if !gate => ("advisory", ExitStatus::Success),
        (_, None | Some(PresentVerdict::Failed)) => ("missing", ExitStatus::GateMissing),
        (_, Some(PresentVerdict::Worse)) => ("worse", ExitStatus::Regression),
        // The best may be one without figures.
        (_, Some(PresentVerdict::Good)) if unknown => ("missing", ExitStatus::GateMissing),
        (_, Some(PresentVerdict::Good)) => ("pass", ExitStatus::Success),
        (_, Some(PresentVerdict::Undecided)) => ("undecided", ExitStatus::Inconclusive),
    }
}

struct Answer<'a> {
    record: &'a RunRecord,
    jobs: &'a [Job],
    tuning: &'a TunePlan,
    candidates: &'a [Candidate],
    standing: &'a Standing,
}

impl Answer<'_> {
    fn case(&self, index: usize) -> Option<&CaseRecord> {
        self.record
            .cases
            .iter()
            .find(|case| case.id == self.candidates[index].name)
    }

    /// Returns the setting with which the others are compared.
    fn best(&self) -> Option<usize> {
        self.standing.recommended.or(self.standing.leader)
    }

    fn loss(&self, index: usize) -> Option<crate::store::tuning::Loss> {
        let best = self.best().filter(|best| *best != index)?;
        let rules = &self.tuning.rules;
        let difference = elimination::difference(self.candidates, rules, (index, best), self.standing.blocks.max(1))?;
        Some(loss(&difference, rules))
    }

    fn setting(&self, index: usize) -> TuneSetting {
        let (job, candidate) = (&self.jobs[index], &self.candidates[index]);
        let setting = job.spec.setting.as_deref();
        let mean = |metric: Metric| {
            let launches = self.case(index)?.of_arm(CANDIDATE);
            let values: Vec<Option<f64>> = launches.map(|launch| valid_value(launch, metric)).collect();
            centre(&values)
        };
        let each: Vec<Vec<f64>> = candidate.values.iter().flatten().map(|value| vec![*value]).collect();
        TuneSetting {
            case: candidate.name.clone(),
            server: job.case.server.clone(),
            values: setting.map(|setting| setting.values.clone()).unwrap_or_default(),
            present: self.tuning.rules.present == Some(index),
            status: match &self.standing.states[index] {
                _ if self.standing.recommended == Some(index) => TuneStatus::Recommended,
                State::Active { meets: true } => TuneStatus::Tied,
                State::Active { meets: false } => TuneStatus::Undecided,
                State::Dropped { .. } => TuneStatus::Dropped,
            },
            dropped: self.dropped(index),
            launches: self.case(index).map_or(0, |case| case.of_arm(CANDIDATE).count()),
            valid_launches: candidate.values.iter().flatten().count(),
            estimate: summarise(&each).ok().map(|summary| summary.mean),
            loss: self.loss(index),
            throughput: mean(Metric::Throughput),
            cpu_per_request: mean(Metric::CpuPerRequest),
            p99: mean(Metric::P99),
            peak_memory: mean(Metric::PeakMemory),
            thresholds: self.standing.thresholds[index].clone(),
        }
    }

    fn dropped(&self, index: usize) -> Option<Dropped> {
        match &self.standing.states[index] {
            State::Active { .. } => None,
            State::Dropped { after, reason } => Some(Dropped {
                after: *after,
                reason: drop_reason(reason, index, self.candidates, &self.tuning.rules, self.record),
            }),
        }
    }

    fn recommendation(&self) -> Option<Recommendation> {
        let index = self.standing.recommended?;
        let specs: Vec<&ServerSpec> = self.jobs.iter().map(|job| &*job.spec).collect();
        Some(Recommendation {
            case: self.candidates[index].name.clone(),
            certain: self.standing.certain,
            command: command_line(specs[index], &specs),
            tied: self
                .standing
                .active()
                .filter(|&active| matches!(self.standing.states[active], State::Active { meets: true }))
                .map(|active| self.candidates[active].name.clone())
                .collect(),
        })
    }

    fn present(&self, index: usize) -> PresentSetting {
        PresentSetting {
            case: self.candidates[index].name.clone(),
            verdict: self.standing.present.unwrap_or(PresentVerdict::Undecided),
            loss: self.loss(index),
        }
    }

    fn limits(&self) -> Vec<String> {
        let Some(best) = self.best() else {
            return Vec::new();
        };
        let mut limits = self
            .case(best)
            .map(|case| bottleneck::of_case(case, &self.jobs[best].spec))
            .unwrap_or_default();
        limits.extend(self.edges(best));
        limits
    }

    /// Returns the numeric parameters of which a setting has the largest value tried, where the next smaller one is worse.
    fn edges(&self, best: usize) -> Vec<String> {
        let number = |index: usize, name: &str| -> Option<f64> {
            let values = &self.jobs[index].spec.setting.as_deref()?.values;
            values.iter().find(|(known, _)| known == name)?.1.parse().ok()
        };
        let Some(setting) = self.jobs[best].spec.setting.as_deref() else {
            return Vec::new();
        };
        let function = |index: usize| {
            self.jobs[index]
                .spec
                .setting
                .as_deref()
                .map(|setting| &setting.function)
        };
        let same: Vec<usize> = (0..self.jobs.len())
            .filter(|&index| function(index) == Some(&setting.function))
            .collect();
        let mut edges = Vec::new();
        for (name, text) in &setting.values {
            let Some(own) = number(best, name) else { continue };
            let others = same.iter().filter_map(|&index| number(index, name));
            let (mut larger, mut smaller) = (false, None::<f64>);
            for other in others {
                larger |= other > own;
                if other < own {
                    smaller = Some(smaller.map_or(other, |known| known.max(other)));
                }
            }
            let neighbour = same.iter().find(|&&index| {
                let values = setting.values.iter().all(|(other, _)| {
                    let wanted = if other == name { smaller } else { number(best, other) };
                    wanted.is_some() && number(index, other) == wanted
                });
                values && is_worse(self.dropped(index).as_ref())
            });
            if !larger && neighbour.is_some() {
                edges.push(format!(
                    "the largest {name} tried, {text}, is better than the next smaller: a larger one may be better still"
                ));
            }
        }
        edges
    }

    fn notes(&self) -> Vec<String> {
        let cpus: Vec<usize> = self.jobs.iter().map(|job| job.spec.limits.cpus).collect();
        let (least, most) = (cpus.iter().min(), cpus.iter().max());
        let of = match (least, most) {
            (Some(1), Some(1)) => "1 CPU".to_owned(),
            (Some(least), Some(most)) if least == most => format!("{most} CPUs"),
            (Some(least), Some(most)) => format!("{least} to {most} CPUs"),
            _ => return Vec::new(),
        };
        vec![format!(
            "measured with {of} for the server; another number of CPUs may need other settings"
        )]
    }
}

fn is_worse(dropped: Option<&Dropped>) -> bool {
    matches!(
        dropped,
        Some(Dropped {
            reason: DropReason::Worse { .. },
            ..
        })
    )
}

/// Returns the command line of a server for a shell, with the environment variables that some other setting lacks.
fn command_line(spec: &ServerSpec, all: &[&ServerSpec]) -> String {
    let own = spec
        .env
        .iter()
        .filter(|variable| all.iter().any(|other| !other.env.contains(variable)))
        .map(|(name, value)| format!("{name}={}", quoted(value)));
    let words = spec.command.iter().map(|word| {
        let word = word
            .replace("{host}", "0.0.0.0")
            .replace("{port}", &spec.port.to_string());
        quoted(&word)
    });
    own.chain(words).collect::<Vec<_>>().join(" ")
}

/// Quotes a word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
