//! The answers that a reader of a run looks for first: which server is best, how certain that is, whether the figures can be
//! trusted, and the next command to run.

use serde::Serialize;

use super::{
    comparison::{Comparison, change},
    display, faults,
    figures::Figures,
    ranking::{Ranking, Row},
    tuning, units,
};
use crate::{
    declare::Variant,
    stats::{Metric, Outcome, Verdict},
    store::{
        record::{CaseRecord, RunRecord, ValidityLevel},
        tuning::{TuneEnd, TuneRecord},
    },
};

/// Maximum number of servers or cases named in one sentence.
const NAMED: usize = 3;
/// Maximum number of reasons listed under the validity.
const REASONS: usize = 2;
/// Maximum characters of a reason.
const REASON: usize = 160;
/// The confidence in figures of one launch for each server.
const SINGLE_LAUNCH: &str = "One launch per server: no intervals, and no difference is established.";
/// Maximum characters of a name.
const NAME: usize = 40;

/// The answers of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// The result in one sentence.
    pub best: String,
    /// The figure behind it, with its interval.
    pub figure: String,
    /// Certainty of the result, and the servers that do not differ significantly.
    pub confidence: String,
    /// Whether the figures can be trusted.
    pub validity: Trust,
    /// Recommended next step.
    pub next: Next,
}

/// Whether the figures of a run can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// `valid`, `suspect` or `invalid`: the worst level of the run.
    pub level: &'static str,
    /// The counts by level in one sentence.
    pub summary: String,
    /// One sentence for each case that is not valid, the most important first, up to the limit of the screen.
    pub reasons: Vec<String>,
}

/// The next command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    /// Purpose of the command.
    pub why: String,
    /// The command, ready for a shell.
    pub command: String,
}

/// Answers for a run; `figures` holds the figures of each case, `rankings` those of [`rankings`](super::ranking::rankings).
#[must_use]
pub fn of_run(run: &RunRecord, figures: &[Figures], rankings: &[Ranking], comparison: Option<&Comparison>) -> Answers {
    let page = Page { run, figures };
    // Untuned servers have rankings of their own, which decide nothing where there are tuned ones.
    let ranked = |r: &&Ranking| !r.rows.is_empty();
    let tuned = |r: &&Ranking| r.variant == Variant::Tuned;
    let mut decisive: Vec<&Ranking> = rankings.iter().filter(ranked).filter(tuned).collect();
    if decisive.is_empty() {
        decisive = rankings.iter().filter(ranked).collect();
    }
    let mut answers = match decisive.as_slice() {
        [] => page.nothing(),
        [only] => page.one(only),
        several => page.several(several),
    };
    if let Some(comparison) = comparison {
        page.compared(comparison, &mut answers);
    }
    if let Some(tuning) = &run.tuning {
        of_tuning(tuning, &mut answers);
    }
    answers
}

/// Replaces the ranking by the answer of a tuning: settings that were dropped early have fewer launches.
fn of_tuning(record: &TuneRecord, answers: &mut Answers) {
    let sentences = tuning::answer(record);
    answers.best = match &record.recommended {
        Some(recommended) => {
            let name = tuning::name(record, &recommended.case);
            let word = if recommended.certain {
                "is recommended"
            } else {
                "is the best so far"
            };
            format!("{} {word}", short(&name))
        }
        None => "No setting is recommended".to_owned(),
    };
    answers.figure = format!("{}; {}.", tuning::title(record), tuning::effort(record));
    answers.confidence = sentences.join(" ");
    if let (Some(recommended), TuneEnd::Decided) = (&record.recommended, record.ended)
        && !recommended.command.is_empty()
    {
        answers.next = Next {
            why: "Start the server with the recommended setting:".into(),
            command: recommended.command.clone(),
        };
    }
}

struct Page<'a> {
    run: &'a RunRecord,
    figures: &'a [Figures],
}

impl Page<'_> {
    /// Answers for a run without a ranking.
    fn nothing(&self) -> Answers {
        let faulty = self.run.cases.iter().filter(|case| faults::has(case)).count();
        let (best, figure) = if faulty > 0 && faulty == self.run.cases.len() {
            (
                "Faults were injected: nothing is ranked".to_owned(),
                "Requests lost and time to recovery are under Faults.".to_owned(),
            )
        } else if self.run.cases.is_empty() {
            ("The run has no cases".to_owned(), "Nothing was selected.".to_owned())
        } else {
            (
                "No valid measurements".to_owned(),
                "No server can be ranked; the reasons are below.".to_owned(),
            )
        };
        Answers {
            best,
            figure,
            confidence: "There is nothing to compare.".into(),
            validity: self.trust(&[]),
            next: self.repair().unwrap_or_else(|| Next {
                why: "Check this machine for problems that distort measurements:".into(),
                command: "wsgibench doctor".into(),
            }),
        }
    }

    fn one(&self, ranking: &Ranking) -> Answers {
        let leaders = leaders(ranking);
        let names: Vec<&str> = leaders.iter().map(|row| self.server(row)).collect();
        let alone = ranking.rows.len() == 1;
        let once = self.launches(&[ranking]).1 <= 1;
        let best = match (names.as_slice(), ranking.by) {
            ([first, _, ..], _) if once => format!("{} is ahead, in a single launch", short(first)),
            ([only], Metric::Throughput) if alone => {
                format!("{} serves {}", short(only), self.figure(ranking, leaders[0]))
            }
            ([only], _) if alone => format!("{} has a p99 of {}", short(only), self.figure(ranking, leaders[0])),
            ([only], Metric::Throughput) => format!("{} serves the most requests", short(only)),
            ([only], _) => format!("{} has the lowest p99 latency", short(only)),
            (several, _) => format!("{} lead together", list(several)),
        };
        Answers {
            best,
            figure: format!(
                "{}{}: {}.",
                self.load(ranking),
                if leaders.len() > 1 {
                    format!(", {}", short(names[0]))
                } else {
                    String::new()
                },
                self.figure_with_interval(ranking, &ranking.rows[0])
            ),
            confidence: self.confidence(ranking),
            validity: self.trust(&leaders.iter().map(|row| row.case).collect::<Vec<_>>()),
            next: self.next(&[ranking]),
        }
    }

    fn several(&self, rankings: &[&Ranking]) -> Answers {
        // Servers by the number of loads they lead, first come first.
        let mut wins: Vec<(&str, usize)> = Vec::new();
        for row in rankings.iter().flat_map(|ranking| leaders(ranking)) {
            let name = self.server(row);
            match wins.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => wins.push((name, 1)),
            }
        }
        wins.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let loads = rankings.len();
        let best = match wins.as_slice() {
            [(only, count), rest @ ..] if *count == loads && rest.iter().all(|(_, c)| *c < loads) => {
                format!("{} leads all {loads} loads", short(only))
            }
            [(first, count), ..] if wins.iter().filter(|(_, c)| c == count).count() == 1 => {
                format!("{} leads {count} of {loads} loads", short(first))
            }
            _ => "No server leads most loads".to_owned(),
        };
        let tied: Vec<&&Ranking> = rankings.iter().filter(|r| leaders(r).len() > 1).collect();
        let figure = match rankings.iter().max_by(|a, b| self.point(a).total_cmp(&self.point(b))) {
            Some(top) if rankings.iter().all(|r| r.by == Metric::Throughput) => format!(
                "Highest throughput, in {}: {} with {}.",
                title(top),
                short(self.server(&top.rows[0])),
                self.figure_with_interval(top, &top.rows[0])
            ),
            _ => "The table has the ranking of each load.".to_owned(),
        };
        let confidence = if self.launches(rankings).1 <= 1 {
            SINGLE_LAUNCH.to_owned()
        } else {
            let clear = loads - tied.len();
            let mut text = format!("First place is clear in {clear} of {loads} loads.");
            if let Some(first) = tied.first() {
                let names: Vec<&str> = leaders(first).iter().map(|row| self.server(row)).collect();
                let others = match tied.len() - 1 {
                    0 => ".".to_owned(),
                    1 => "; 1 more load has a tie.".to_owned(),
                    more => format!("; {more} more loads have ties."),
                };
                text = format!(
                    "{text} In {}, {} cannot be told apart{others}",
                    title(first),
                    list(&names)
                );
            }
            text.push(' ');
            text.push_str(&self.basis(rankings));
            text
        };
        Answers {
            best,
            figure,
            confidence,
            validity: self.trust(
                &rankings
                    .iter()
                    .flat_map(|r| leaders(r))
                    .map(|row| row.case)
                    .collect::<Vec<_>>(),
            ),
            next: self.next(rankings),
        }
    }

    /// Puts the verdict of a comparison first.
    fn compared(&self, comparison: &Comparison, answers: &mut Answers) {
        let of = |verdict: Verdict| -> Vec<&Outcome> {
            comparison
                .outcomes
                .iter()
                .filter(|o| o.verdict == verdict && !o.undecided)
                .collect()
        };
        let (regressions, improvements) = (of(Verdict::Regression), of(Verdict::Improvement));
        let against = short(&comparison.against);
        answers.best = match comparison.verdict.as_str() {
            "pass" => format!("Pass: no regression against {against}"),
            "regression" => format!("Regression against {against}"),
            "advisory" => match (regressions.len(), improvements.len()) {
                (0, 0) => format!("No certain change against {against}"),
                (worse, better) => format!("{worse} worse, {better} better than {against}"),
            },
            other => format!("{} against {against}", capitalised(other)),
        };
        let gated = regressions.iter().find(|o| o.gated).or(regressions.first());
        let shown = gated.or(improvements.first()).copied().or(comparison.outcomes.first());
        answers.figure = shown.map_or_else(
            || "Nothing was compared.".to_owned(),
            |o| {
                let value = o.change.map_or_else(|| "unknown".to_owned(), |c| change(o, c));
                let interval = o.interval.map_or_else(String::new, |i| {
                    format!(
                        ", {:.0} % interval {} to {}",
                        i.confidence * 100.0,
                        change(o, i.low),
                        change(o, i.high)
                    )
                });
                format!("{}: {} {value}{interval}.", o.case, o.metric.title())
            },
        );
        let undecided = comparison
            .outcomes
            .iter()
            .filter(|o| o.undecided || o.verdict == Verdict::Inconclusive)
            .count();
        let blocks = comparison.outcomes.iter().map(|o| o.blocks).max().unwrap_or(0);
        let mut confidence = format!(
            "{} of {} comparisons are decided, over {blocks} blocks.",
            comparison.outcomes.len() - undecided,
            comparison.outcomes.len()
        );
        if let Some((o, mde)) = shown.and_then(|o| Some((o, o.mde?))) {
            confidence = format!(
                "{confidence} Changes of {} or more in {} would be found.",
                change(o, mde).trim_start_matches('+'),
                o.metric.title()
            );
        }
        answers.confidence = confidence;
        if let Some(steadiness) = comparison.steadiness() {
            answers.validity.reasons.insert(0, steadiness);
        }
        answers
            .validity
            .reasons
            .splice(0..0, comparison.missing.iter().take(1).map(|m| cut(m, REASON)));
        answers.validity.reasons.truncate(REASONS + 1);
        // A git reference is followed by its commit in brackets; without one, the base is a server.
        let base = match comparison.against.split_once(" (") {
            Some((reference, _)) => ["--against".to_owned(), reference.to_owned()],
            None => ["--versus".to_owned(), comparison.against.clone()],
        };
        let exact = |case: &str| [&base[..], &["--exact".to_owned(), case.to_owned()]].concat();
        answers.next = match (comparison.verdict.as_str(), gated) {
            ("pass", _) => Next {
                why: "Attach the figures to the pull request:".into(),
                command: "wsgibench export markdown latest -".into(),
            },
            (_, Some(o)) => Next {
                why: "Measure this case again while you look for the cause:".into(),
                command: bench(&exact(&o.case)),
            },
            ("inconclusive", _) => Next {
                why: "Find out which changes a gate detects on this machine:".into(),
                command: bench(&["--self-check".to_owned()]),
            },
            _ => self.repair().unwrap_or_else(|| Next {
                why: "Decide with a gate:".into(),
                command: bench(&[&base[..], &["--gate".to_owned()]].concat()),
            }),
        };
    }

    fn confidence(&self, ranking: &Ranking) -> String {
        if self.launches(&[ranking]).1 <= 1 {
            return SINGLE_LAUNCH.to_owned();
        }
        let names: Vec<&str> = leaders(ranking).iter().map(|row| self.server(row)).collect();
        let others = ranking.rows.len() - names.len();
        let mut text = match (names.as_slice(), others) {
            ([_], 0) => String::new(),
            ([only], 1) => format!("{} is ahead of the other server. ", short(only)),
            ([only], others) => format!("{} is ahead of all {others} others. ", short(only)),
            (several, _) => format!("{} cannot be told apart. ", list(several)),
        };
        let behind = ranking
            .rows
            .iter()
            .filter(|row| row.best > 1 && row.best != row.worst)
            .count();
        if behind > 0 {
            text = format!("{text}Behind, {behind} servers share ranks. ");
        }
        text.push_str(&self.basis(&[ranking]));
        text
    }

    /// The trust in the run; the reasons of `leaders` come first.
    fn trust(&self, leaders: &[usize]) -> Trust {
        let cases = || self.run.cases.iter().zip(self.figures).enumerate();
        let (mut valid, mut suspect, mut invalid, mut unmeasured) = (0, 0, 0, 0);
        let mut reasons: Vec<(u8, String)> = Vec::new();
        for (index, (case, figures)) in cases() {
            let leads = leaders.contains(&index);
            if let Some(why) = display::unmeasured(&case.outcome) {
                unmeasured += 1;
                reasons.push((2, format!("{} was not measured: {why}", case.id)));
                continue;
            }
            let count = match figures.level {
                ValidityLevel::Valid => {
                    valid += 1;
                    continue;
                }
                ValidityLevel::Suspect => &mut suspect,
                ValidityLevel::Invalid => &mut invalid,
            };
            *count += 1;
            let why = figures
                .findings
                .first()
                .map(|finding| finding.text.clone())
                .or_else(|| figures.failed_launches.first().map(|(_, error)| error.clone()))
                .unwrap_or_else(|| "it has no valid round".to_owned());
            let rank = u8::from(!leads);
            reasons.push((rank, format!("{} is {}: {why}", case.id, display::level(figures.level))));
        }
        let all = self.run.cases.len();
        let counts = [(suspect, "suspect"), (invalid, "invalid"), (unmeasured, "not measured")];
        let others: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let summary = match (all, others.is_empty()) {
            (0, _) => "Nothing was measured.".to_owned(),
            (1, true) => "The case passed every check.".to_owned(),
            (_, true) => format!("All {all} cases passed every check."),
            (_, false) => format!("{valid} of {all} cases are valid; {}.", others.join(", ")),
        };
        reasons.sort_by_key(|(rank, _)| *rank);
        let more = reasons.len().saturating_sub(REASONS);
        let mut reasons: Vec<String> = reasons
            .into_iter()
            .take(REASONS)
            .map(|(_, reason)| sentence(&cut(&reason, REASON)))
            .collect();
        if more > 0 {
            reasons.push(format!("{more} more: see the rankings and the figures by case."));
        }
        Trust {
            level: match (suspect, invalid + unmeasured, valid) {
                (0, 0, _) if all > 0 => "valid",
                (0, _, 0) => "invalid",
                _ => "suspect",
            },
            summary,
            reasons,
        }
    }

    fn next(&self, rankings: &[&Ranking]) -> Next {
        if let Some(repair) = self.repair() {
            return repair;
        }
        let profile = &self.run.profile;
        let rerun = |launches: usize, more: &[String]| {
            let mut arguments = Vec::new();
            if !["default", "quick"].contains(&profile.name.as_str()) {
                arguments.extend(["--profile".to_owned(), profile.name.clone()]);
            }
            arguments.extend(["--launches".to_owned(), launches.to_string()]);
            arguments.extend_from_slice(more);
            bench(&arguments)
        };
        let (least, launches) = self.launches(rankings);
        if least <= 1 {
            return Next {
                why: "Measure several launches, so that there are intervals:".into(),
                command: rerun(6, &[]),
            };
        }
        if let Some(tied) = rankings.iter().find(|r| leaders(r).len() > 1) {
            let mut selected = vec!["--scenario".to_owned(), tied.scenario.clone()];
            for row in leaders(tied) {
                selected.extend(["--server".to_owned(), self.server(row).to_owned()]);
            }
            // Four times the launches halve an interval; twice is what a reader waits for.
            return Next {
                why: format!("Separate the leaders of {} with more launches:", title(tied)),
                command: rerun(launches * 2, &selected),
            };
        }
        Next {
            why: "Keep these figures as a baseline for later runs:".into(),
            command: bench(&["--save-baseline".to_owned(), "main".to_owned()]),
        }
    }

    /// The command after a run that was cut short or has cases without valid figures.
    fn repair(&self) -> Option<Next> {
        if self.run.interrupted {
            return Some(Next {
                why: "Complete the interrupted run:".into(),
                command: bench(&["--resume".to_owned()]),
            });
        }
        let wanting = |(case, figures): &(&CaseRecord, &Figures)| {
            use crate::store::record::CaseOutcome::{Failed, Measured};
            match case.outcome {
                Measured => figures.level != ValidityLevel::Valid,
                Failed(_) => true,
                _ => false,
            }
        };
        let found: Vec<&CaseRecord> = self
            .run
            .cases
            .iter()
            .zip(self.figures)
            .filter(wanting)
            .map(|(case, _)| case)
            .collect();
        let why = match found.as_slice() {
            [] => return None,
            [_] => "Fix the reason under Validity, then measure that case again:".to_owned(),
            several => format!(
                "Fix the reasons under Validity, then measure the {} cases again:",
                several.len()
            ),
        };
        let mut arguments = Vec::new();
        if found.len() <= NAMED {
            arguments.push("--exact".to_owned());
            arguments.extend(found.iter().map(|case| case.id.clone()));
        }
        Some(Next {
            why,
            command: bench(&arguments),
        })
    }

    fn server(&self, row: &Row) -> &str {
        &self.run.cases[row.case].server
    }

    fn load(&self, ranking: &Ranking) -> String {
        let case = &self.run.cases[ranking.rows[0].case];
        format!("{} with {}", short(&ranking.scenario), display::work(case))
    }

    fn point(&self, ranking: &Ranking) -> f64 {
        let figures = &self.figures[ranking.rows[0].case];
        figures.metrics.get(&ranking.by).map_or(0.0, |s| s.mean.point)
    }

    fn figure(&self, ranking: &Ranking, row: &Row) -> String {
        let value = |v: f64| with_unit(ranking.by, v);
        self.figures[row.case]
            .metrics
            .get(&ranking.by)
            .map_or_else(|| "-".to_owned(), |s| value(s.mean.point))
    }

    fn figure_with_interval(&self, ranking: &Ranking, row: &Row) -> String {
        let figure = self.figure(ranking, row);
        let interval = self.figures[row.case]
            .metrics
            .get(&ranking.by)
            .and_then(|s| s.mean.interval);
        match interval {
            Some(i) => format!(
                "{figure}, 95 % interval {} to {}",
                units::metric(ranking.by, i.low),
                units::metric(ranking.by, i.high)
            ),
            None => figure,
        }
    }

    /// The launches that the intervals are computed over.
    fn basis(&self, rankings: &[&Ranking]) -> String {
        match self.launches(rankings) {
            (least, most) if least <= 1 => {
                format!("Intervals: 95 % over up to {most} launches; a single launch has none.")
            }
            (least, most) if least < most => format!("Intervals: 95 % over {least} to {most} launches."),
            (_, most) => format!("Intervals: 95 % over {most} launches."),
        }
    }

    /// The smallest and the largest number of launches behind a ranked figure.
    fn launches(&self, rankings: &[&Ranking]) -> (usize, usize) {
        let rows = rankings
            .iter()
            .flat_map(|ranking| ranking.rows.iter().map(|row| (ranking.by, row)));
        let launches: Vec<usize> = rows
            .filter_map(|(by, row)| Some(self.figures[row.case].metrics.get(&by)?.launches))
            .collect();
        let (least, most) = (launches.iter().min(), launches.iter().max());
        (least.copied().unwrap_or(0), most.copied().unwrap_or(0))
    }
}

fn with_unit(metric: Metric, value: f64) -> String {
    let text = units::metric(metric, value);
    match metric {
        Metric::Throughput => format!("{text} requests/s"),
        _ => text,
    }
}

/// The servers that no other is significantly better than.
#[must_use]
pub fn leaders(ranking: &Ranking) -> Vec<&Row> {
    ranking.rows.iter().filter(|row| row.best == 1).collect()
}

fn title(ranking: &Ranking) -> String {
    format!("{} {}", short(&ranking.scenario), short(&ranking.param))
}

fn bench(arguments: &[String]) -> String {
    if arguments.is_empty() {
        return "cargo bench".to_owned();
    }
    format!("cargo bench -- {}", display::command(arguments))
}

/// Formats `a, b and c`, or `a, b, c and 4 more`.
fn list(names: &[&str]) -> String {
    let mut shown: Vec<String> = names.iter().take(NAMED).map(|name| short(name)).collect();
    let last = if names.len() > NAMED {
        format!("{} more", names.len() - NAMED)
    } else {
        shown.pop().unwrap_or_default()
    };
    if shown.is_empty() {
        last
    } else {
        format!("{} and {last}", shown.join(", "))
    }
}

fn short(name: &str) -> String {
    cut(name, NAME)
}

fn cut(text: &str, width: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    console::truncate_str(&super::terminal::plain(&line), width, "…").into_owned()
}

fn sentence(text: &str) -> String {
    if text.ends_with(['.', '…', '!']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests;
