//! The answer of a tuning in words and rows, for all reports.

use serde::Serialize;

use super::units;
use crate::{
    stats::{Direction, Estimate, Margin, Metric, ThresholdOutcome, ThresholdVerdict, elimination::PresentVerdict},
    store::tuning::{DropReason, Goal, Loss, TuneEnd, TuneRecord, TuneSetting, TuneStatus},
};

/// A setting as shown in reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its parameters, or its server.
    pub name: String,
    /// `recommended`, `tied`, `undecided` or `dropped`.
    pub status: &'static str,
    /// Whether it is the one in use.
    pub present: bool,
    /// The goal with its interval.
    pub figure: String,
    /// Loss against the recommended one; empty for that one.
    pub loss: String,
    /// CPU time per request.
    pub cpu: String,
    /// 99th percentile of latency.
    pub p99: String,
    /// Peak memory.
    pub memory: String,
    /// Number of launches with a figure.
    pub launches: usize,
    /// Why it was dropped, or why it is undecided; empty otherwise.
    pub note: String,
    /// The goal and the ends of its interval in percent of the highest end; for a dot plot.
    pub at: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Returns the rows of all settings in the record's order.
#[must_use]
pub fn rows(tuning: &TuneRecord) -> Vec<Row> {
    let ends = tuning
        .settings
        .iter()
        .filter_map(|setting| setting.estimate.map(|it| it.high()));
    let highest = ends.fold(0.0, f64::max);
    tuning
        .settings
        .iter()
        .map(|setting| row(tuning, setting, highest))
        .collect()
}

fn row(tuning: &TuneRecord, setting: &TuneSetting, highest: f64) -> Row {
    let value = |metric: Metric, value: Option<f64>| value.map_or_else(|| "-".into(), |it| units::metric(metric, it));
    let share = |value: fn(&Estimate) -> f64| {
        let value = setting.estimate.as_ref().map_or(0.0, value);
        if highest > 0.0 {
            (value / highest * 100.0).clamp(0.0, 100.0)
        } else {
            0.0
        }
    };
    Row {
        name: name(tuning, &setting.case),
        status: status(setting.status),
        present: setting.present,
        figure: setting
            .estimate
            .as_ref()
            .map_or_else(|| "-".into(), |it| estimate(tuning.metric, it)),
        loss: setting.loss.as_ref().map_or_else(String::new, |it| loss(tuning, it)),
        cpu: value(Metric::CpuPerRequest, setting.cpu_per_request),
        p99: value(Metric::P99, setting.p99),
        memory: value(Metric::PeakMemory, setting.peak_memory),
        launches: setting.valid_launches,
        note: note(tuning, setting),
        at: share(|it| it.point),
        low: share(Estimate::low),
        high: share(Estimate::high),
    }
}

/// Returns the word of a status.
#[must_use]
pub fn status(status: TuneStatus) -> &'static str {
    match status {
        TuneStatus::Recommended => "recommended",
        TuneStatus::Tied => "tied",
        TuneStatus::Undecided => "undecided",
        TuneStatus::Dropped => "dropped",
    }
}

/// Returns the name of a case's setting: its parameters if all settings are of one server, otherwise its server.
#[must_use]
pub fn name(tuning: &TuneRecord, case: &str) -> String {
    let Some(setting) = tuning.settings.iter().find(|setting| setting.case == case) else {
        return case.to_owned();
    };
    let function = |setting: &TuneSetting| setting.server.split('@').next().map(str::to_owned);
    let one = tuning.settings.iter().all(|other| function(other) == function(setting));
    if one && !setting.values.is_empty() {
        let pairs: Vec<String> = setting
            .values
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join(" ")
    } else {
        setting.server.clone()
    }
}

/// Returns the name of the common server of all settings, or their number.
#[must_use]
pub fn subject(tuning: &TuneRecord) -> String {
    let count = tuning.settings.len();
    let mut servers: Vec<&str> = tuning
        .settings
        .iter()
        .filter_map(|setting| setting.server.split('@').next())
        .collect();
    servers.sort_unstable();
    servers.dedup();
    match servers.as_slice() {
        [one] => format!("{count} settings of {one}"),
        _ => format!("{count} settings"),
    }
}

/// Returns the goal in words.
#[must_use]
pub fn goal(goal: Goal) -> &'static str {
    match goal {
        Goal::Throughput => "the most throughput",
        Goal::Capacity => "the highest rate within the thresholds",
        Goal::Cost => "the least CPU time per request",
        Goal::P99 => "the lowest 99th percentile of latency",
    }
}

fn estimate(metric: Metric, estimate: &Estimate) -> String {
    let point = value(metric, estimate.point);
    match estimate.interval {
        Some(interval) => {
            let [low, high] = [interval.low, interval.high].map(|bound| units::metric(metric, bound));
            format!("{point} [{low} {high}]")
        }
        None => format!("{point} [one launch]"),
    }
}

/// Formats a value of the goal with its unit.
#[must_use]
pub fn value(metric: Metric, value: f64) -> String {
    let unit = if metric == Metric::Throughput { " req/s" } else { "" };
    format!("{}{unit}", units::metric(metric, value))
}

/// Formats a loss: `48.2 % less throughput [40.1 to 55.0 %]`.
#[must_use]
pub fn loss(tuning: &TuneRecord, loss: &Loss) -> String {
    format!(
        "{} [{} to {}]",
        compared(tuning.metric, loss.share),
        units::percent(loss.low),
        units::percent(loss.high)
    )
}

/// Formats a loss without its interval.
#[must_use]
pub fn compared(metric: Metric, share: f64) -> String {
    let loses = share >= 0.0;
    let word = match (metric.direction(), loses) {
        (Direction::HigherIsBetter, true) | (Direction::LowerIsBetter, false) => "less",
        _ => "more",
    };
    let what = match metric {
        Metric::CpuPerRequest => "CPU time per request",
        Metric::P99 => "latency at the 99th percentile",
        other => other.title(),
    };
    format!("{} {word} {what}", units::percent(share.abs()))
}

fn note(tuning: &TuneRecord, setting: &TuneSetting) -> String {
    if let Some(dropped) = &setting.dropped {
        return reason(tuning.metric, &dropped.reason, |case| name(tuning, case));
    }
    if setting.status == TuneStatus::Undecided {
        let open = setting
            .thresholds
            .iter()
            .filter(|outcome| outcome.verdict == ThresholdVerdict::Undecided);
        let open: Vec<String> = open.map(threshold).collect();
        return if open.is_empty() {
            "its thresholds are not judged yet".to_owned()
        } else {
            format!("not certain to meet {}", open.join(" and "))
        };
    }
    String::new()
}

/// Formats why a setting was dropped; `name` returns the name of a case.
#[must_use]
pub fn reason(metric: Metric, reason: &DropReason, name: impl Fn(&str) -> String) -> String {
    match reason {
        DropReason::Worse { than, loss } => format!(
            "{} than {}, at least {}",
            compared(metric, loss.share),
            name(than),
            units::percent(loss.low)
        ),
        DropReason::Breaks { outcome } => format!("breaks {}", threshold(outcome)),
        DropReason::Failed { text } => {
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let first = lines.next().unwrap_or_default().to_owned();
            lines
                .next_back()
                .map_or(first.clone(), |last| format!("{first} {last}"))
        }
    }
}

fn threshold(outcome: &ThresholdOutcome) -> String {
    let value = |value: f64| units::metric(outcome.metric, value);
    let interval = outcome.interval.map_or_else(String::new, |interval| {
        format!(" [{} {}]", value(interval.low), value(interval.high))
    });
    match outcome.estimate {
        Some(estimate) => format!("{}: {}{interval}", outcome.threshold, value(estimate)),
        None => outcome.threshold.clone(),
    }
}

/// Returns the answer in sentences: what is recommended, how certain that is, what the present setting loses.
#[must_use]
pub fn answer(tuning: &TuneRecord) -> Vec<String> {
    let mut lines = Vec::new();
    let margin = Margin::Relative(tuning.margin);
    match &tuning.recommended {
        Some(recommended) if recommended.certain => {
            let failed = tuning.settings.iter().any(|setting| {
                matches!(
                    setting.dropped.as_ref().map(|dropped| &dropped.reason),
                    Some(DropReason::Failed { .. })
                )
            });
            lines.push(format!(
                "With a confidence of {:.0} %, it is within {margin} of the best of those {}.",
                tuning.confidence * 100.0,
                if failed { "that could be measured" } else { "tried" }
            ));
            if recommended.tied.len() > 1 {
                lines.push(format!(
                    "{} settings cannot be told apart from the best; this is the cheapest of those that are as good: the one with the \
                     least memory.",
                    recommended.tied.len()
                ));
            }
        }
        Some(_) => lines.push(format!(
            "Best so far, not certain: {}. The intervals do not show yet that it is within {margin} of the best.",
            ended(tuning)
        )),
        None => lines.extend(nothing(tuning)),
    }
    lines.extend(present(tuning));
    lines
}

fn nothing(tuning: &TuneRecord) -> Vec<String> {
    if tuning.ended != TuneEnd::NothingLeft {
        return vec![format!(
            "No setting is certain to meet the thresholds yet: {}.",
            ended(tuning)
        )];
    }
    let broken: Vec<(&TuneSetting, &ThresholdOutcome)> = tuning
        .settings
        .iter()
        .filter_map(|setting| match &setting.dropped.as_ref()?.reason {
            DropReason::Breaks { outcome } => Some((setting, &**outcome)),
            _ => None,
        })
        .collect();
    let excess = |outcome: &ThresholdOutcome| {
        let ratio = outcome.estimate.unwrap_or(f64::INFINITY) / outcome.limit;
        match outcome.metric.direction() {
            Direction::LowerIsBetter => ratio,
            Direction::HigherIsBetter => 1.0 / ratio,
        }
    };
    let nearest = broken.iter().min_by(|a, b| excess(a.1).total_cmp(&excess(b.1)));
    match nearest {
        None => vec!["No setting could be measured; see the reasons below.".to_owned()],
        Some((setting, outcome)) => vec![
            "No setting meets the thresholds.".to_owned(),
            format!("{} came nearest: {}.", name(tuning, &setting.case), threshold(outcome)),
        ],
    }
}

fn present(tuning: &TuneRecord) -> Option<String> {
    let present = tuning.present.as_ref()?;
    let own = name(tuning, &present.case);
    let is_best = tuning
        .recommended
        .as_ref()
        .is_some_and(|recommended| recommended.case == present.case);
    if is_best {
        return Some("It is the present setting.".to_owned());
    }
    let dropped = tuning
        .settings
        .iter()
        .find(|setting| setting.case == present.case)
        .and_then(|setting| setting.dropped.as_ref());
    let reason = dropped.map(|dropped| reason(tuning.metric, &dropped.reason, |case| name(tuning, case)));
    Some(match (&present.loss, present.verdict, reason) {
        (_, PresentVerdict::Failed, Some(reason)) => {
            format!("The present setting, {own}, could not be measured: {reason}.")
        }
        (_, PresentVerdict::Worse, Some(reason)) if reason.starts_with("breaks") => {
            format!("The present setting, {own}, {reason}.")
        }
        (Some(it), verdict, _) => {
            let verdict = match verdict {
                PresentVerdict::Good => format!("; that is within {}", Margin::Relative(tuning.margin)),
                PresentVerdict::Worse => String::new(),
                PresentVerdict::Undecided | PresentVerdict::Failed => {
                    "; more launches are needed for a verdict".to_owned()
                }
            };
            format!("The present setting, {own}, has {}{verdict}.", loss(tuning, it))
        }
        _ => format!("The present setting is {own}; how much it loses is not known yet."),
    })
}

/// Returns why a search ended, as a clause.
#[must_use]
pub fn ended(tuning: &TuneRecord) -> String {
    match tuning.ended {
        TuneEnd::Decided => "the search is decided".to_owned(),
        TuneEnd::NothingLeft => "no setting is left".to_owned(),
        TuneEnd::Budget => format!(
            "the budget of {} is used; a larger --budget continues longer",
            units::span(std::time::Duration::from_secs_f64(tuning.budget_seconds.max(0.0)))
        ),
        TuneEnd::Blocks => format!(
            "{} launches of each setting were planned; --launches sets more, or --measurement-time longer ones",
            tuning.blocks
        ),
        TuneEnd::Interrupted => "the search was interrupted; the same command with --resume continues it".to_owned(),
    }
}

/// Returns what was done, in one line.
#[must_use]
pub fn effort(tuning: &TuneRecord) -> String {
    let time = units::span(std::time::Duration::from_secs_f64(tuning.seconds.max(0.0)));
    format!(
        "{}, {} launches in {} blocks, {time}",
        subject(tuning),
        tuning.launches,
        tuning.blocks
    )
}

/// The whole answer as shown in reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Scenario, goal and thresholds.
    pub title: String,
    /// Settings, launches and time.
    pub effort: String,
    /// The recommended setting; empty if there is none.
    pub name: String,
    /// Whether the recommendation is certain.
    pub certain: bool,
    /// Its command line.
    pub command: String,
    /// The answer in sentences.
    pub answer: Vec<String>,
    /// Limits of the recommended setting.
    pub limits: Vec<String>,
    /// Remarks.
    pub notes: Vec<String>,
    /// Display name of the metric.
    pub metric: &'static str,
    /// All settings.
    pub rows: Vec<Row>,
}

/// Returns the whole answer.
#[must_use]
pub fn view(tuning: &TuneRecord) -> View {
    let recommended = tuning.recommended.as_ref();
    View {
        title: title(tuning),
        effort: effort(tuning),
        name: recommended.map_or_else(String::new, |it| name(tuning, &it.case)),
        certain: recommended.is_some_and(|it| it.certain),
        command: recommended.map_or_else(String::new, |it| it.command.clone()),
        answer: answer(tuning),
        limits: tuning.limits.clone(),
        notes: tuning.notes.clone(),
        metric: tuning.metric.title(),
        rows: rows(tuning),
    }
}

/// Returns scenario, goal and thresholds.
#[must_use]
pub fn title(tuning: &TuneRecord) -> String {
    let thresholds = if tuning.thresholds.is_empty() {
        String::new()
    } else {
        format!(" with {}", tuning.thresholds.join(", "))
    };
    format!(
        "{}/{}: {}{thresholds}",
        tuning.scenario,
        tuning.param,
        goal(tuning.goal)
    )
}
