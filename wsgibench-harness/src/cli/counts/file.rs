//! `--check-counts` and `--bless-counts`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    super::{Failure, args::Args, exit::ExitStatus, plan::Plan, run::Run},
    gate::refuse_other_environment,
};
use crate::{
    counts::{
        decision,
        file::{CaseCounts, Checked, CountFile, Drift, Figure},
    },
    declare::Declarations,
    measure::comparison::{Judged, of_launch},
    report::units,
    stats::Metric,
    store::{
        record::{CaseOutcome, CaseRecord, RunRecord},
        write_output,
    },
};

/// The files of `--check-counts` and `--bless-counts`, read before the run.
pub(super) struct Files {
    pub(super) check: Option<(PathBuf, CountFile)>,
    bless: Option<(PathBuf, CountFile)>,
}

impl Files {
    pub(super) fn read(args: &Args, manifest_dir: &Path) -> Result<Self, Failure> {
        let path = |file: &PathBuf| manifest_dir.join(file);
        let read = |file: &Path| -> Result<CountFile, Failure> {
            let text = fs::read_to_string(file).map_err(|error| {
                Failure::usage(format!(
                    "failed to read {}: {error}; write it with `cargo bench -- --count --bless-counts`",
                    file.display()
                ))
            })?;
            CountFile::parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
        };
        let check = args.check_counts.as_ref().map(path);
        let bless = args.bless_counts.as_ref().map(path);
        Ok(Self {
            check: check
                .map(|file| read(&file).map(|content| (file, content)))
                .transpose()?,
            bless: bless
                .map(|file| {
                    let content = if file.exists() {
                        read(&file)?
                    } else {
                        CountFile::default()
                    };
                    Ok::<_, Failure>((file, content))
                })
                .transpose()?,
        })
    }

    /// Refuses a file to check against that has cases of servers or scenarios that are not declared: their counts would never
    /// be checked.
    pub(super) fn refuse_undeclared(&self, declarations: &Declarations) -> Result<(), Failure> {
        let Some((path, kept)) = &self.check else {
            return Ok(());
        };
        let scenarios: Vec<&str> = declarations
            .scenarios
            .iter()
            .map(|scenario| scenario.name.as_str())
            .collect();
        let servers: Vec<&str> = declarations.servers.iter().map(|server| server.name.as_str()).collect();
        let unknown = undeclared(kept, &scenarios, &servers);
        if unknown.is_empty() {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{} has cases whose server or scenario is not declared: {}; remove their lines",
            path.display(),
            unknown.join(", ")
        )))
    }

    /// Checks the counts, or rewrites the file.
    pub(super) fn conclude(
        self,
        run: &Run,
        judged: &Judged,
        plan: &Plan,
        record: &RunRecord,
    ) -> Result<ExitStatus, Failure> {
        let here = file_of(record);
        let mut status = ExitStatus::Success;
        if let Some((path, kept)) = &self.check {
            refuse_other_environment(&path.display().to_string(), Some(&kept.environment), record)?;
            let mut wanted: Vec<String> = plan.order.jobs.iter().map(|job| job.case.id.clone()).collect();
            wanted.extend(record.cases.iter().map(|case| case.id.clone()));
            wanted.sort_unstable();
            wanted.dedup();
            let checked = kept.check(&here, &wanted, |metric| judged.margin(metric));
            let scattered = scattered(record);
            for line in lines(&checked, &scattered) {
                run.listeners.notice("", line);
            }
            status = if scattered.is_empty() {
                checked_status(&checked)
            } else {
                ExitStatus::GateMissing
            };
            let text = match status {
                ExitStatus::Success => format!("counts agree with {}", path.display()),
                _ => format!(
                    "counts differ from {}; if that is intended, run `cargo bench -- --count --bless-counts`",
                    path.display()
                ),
            };
            run.listeners.notice("", text);
        }
        if let Some((path, mut content)) = self.bless {
            if record.interrupted || here.cases.is_empty() {
                return Err(Failure::machine(format!(
                    "{} is left as it is: the run was interrupted or counted nothing",
                    path.display()
                )));
            }
            let cases = here.cases.len();
            content.bless(here);
            write_output(&path, content.render().as_bytes())
                .map_err(|error| Failure::machine(format!("failed to write {}: {error}", path.display())))?;
            run.listeners
                .notice("", format!("{cases} cases written to {}", path.display()));
        }
        Ok(status)
    }
}

/// Returns the cases of a file whose scenario or server is not among these. An id is `scenario/server/parameters`.
fn undeclared<'a>(kept: &'a CountFile, scenarios: &[&str], servers: &[&str]) -> Vec<&'a str> {
    let is_known = |id: &str| {
        let mut parts = id.split('/');
        let scenario = parts.next().is_some_and(|name| scenarios.contains(&name));
        scenario && parts.next().is_some_and(|name| servers.contains(&name))
    };
    let ids = kept.cases.keys().map(String::as_str);
    ids.filter(|id| !is_known(id)).collect()
}

/// A rise fails as a regression; a case that one side lacks is a wrong use of the file.
fn checked_status(checked: &Checked) -> ExitStatus {
    if checked.drifts.iter().any(Drift::is_rise) {
        ExitStatus::Regression
    } else if !checked.unknown.is_empty() || !checked.missing.is_empty() || !checked.redefined.is_empty() {
        ExitStatus::Usage
    } else {
        ExitStatus::Success
    }
}

/// Returns the cases whose instructions cannot be counted, with the reason.
fn scattered(record: &RunRecord) -> Vec<String> {
    record
        .cases
        .iter()
        .filter_map(|case| {
            let values: Vec<f64> = case
                .candidate()
                .filter_map(|launch| of_launch(launch, Metric::InstructionsPerRequest))
                .collect();
            decision::cannot_be_counted(&values).map(|why| format!("{}: cannot be counted: {why}", case.id))
        })
        .collect()
}

fn lines(checked: &Checked, scattered: &[String]) -> Vec<String> {
    let drift = |drift: &Drift, word: &str| {
        format!(
            "{}: {} {word} by {:.2} %, from {} to {} (margin {})",
            drift.case,
            drift.metric.title(),
            drift.change.abs() * 100.0,
            units::metric(drift.metric, drift.kept),
            units::metric(drift.metric, drift.here),
            drift.margin
        )
    };
    let mut lines: Vec<String> = Vec::new();
    lines.extend(checked.drifts.iter().filter(|d| d.is_rise()).map(|d| drift(d, "rose")));
    lines.extend(checked.drifts.iter().filter(|d| d.is_fall()).map(|d| drift(d, "fell")));
    lines.extend(checked.unknown.iter().map(|id| format!("{id}: not in the file")));
    lines.extend(
        checked
            .missing
            .iter()
            .map(|id| format!("{id}: in the file, and not counted in this run")),
    );
    lines.extend(
        checked
            .redefined
            .iter()
            .map(|id| format!("{id}: counted with another load, limits or environment variables than in the file")),
    );
    lines.extend(scattered.iter().cloned());
    if lines.is_empty() {
        return lines;
    }
    lines.extend(checked.images.iter().map(|line| format!("image of {line}")));
    lines
}

/// Returns the counts of a run in the form of `counts.toml`.
fn file_of(record: &RunRecord) -> CountFile {
    let values = |case: &CaseRecord, metric: Metric| -> Vec<f64> {
        case.candidate()
            .filter_map(|launch| of_launch(launch, metric))
            .collect()
    };
    let cases = record.cases.iter().filter(|case| case.outcome == CaseOutcome::Measured);
    let cases = cases.filter_map(|case| {
        let instructions = values(case, Metric::InstructionsPerRequest);
        let counts = CaseCounts {
            n: instructions.len(),
            instructions: Figure::of(&instructions)?,
            syscalls: Figure::of(&values(case, Metric::SyscallsPerRequest))?,
            statements: Figure::of(&values(case, Metric::StatementsPerRequest)),
            definition: case.definition()?.to_owned(),
        };
        Some((case.id.clone(), counts))
    });
    CountFile {
        version: 1,
        environment: record.counted.clone().unwrap_or_default(),
        cases: cases.collect(),
        images: record.packages(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Margin;

    #[test]
    fn cases_of_undeclared_servers_and_scenarios_are_unknown() {
        let ids = ["ping/a/c1", "ping/gone/c1", "gone/a/c1", "ping"];
        let kept = CountFile {
            cases: ids.map(|id| (id.to_owned(), CaseCounts::default())).into(),
            ..CountFile::default()
        };
        assert_eq!(
            undeclared(&kept, &["ping"], &["a"]),
            ["gone/a/c1", "ping", "ping/gone/c1"]
        );
    }

    #[test]
    fn a_rise_fails_and_an_unknown_case_is_wrong_usage() {
        let mut checked = Checked::default();
        assert_eq!(checked_status(&checked), ExitStatus::Success);
        checked.unknown.push("ping/a/c1".into());
        assert_eq!(checked_status(&checked), ExitStatus::Usage);
        checked.drifts.push(Drift {
            case: "ping/b/c1".into(),
            metric: Metric::InstructionsPerRequest,
            kept: 1_000.0,
            here: 1_010.0,
            change: 0.01,
            margin: Margin::Relative(0.005),
            certain: true,
        });
        assert_eq!(checked_status(&checked), ExitStatus::Regression);
        let lines = lines(&checked, &[]);
        assert_eq!(
            lines[0],
            "ping/b/c1: instructions per request rose by 1.00 %, from 1,000 to 1,010 (margin 0.5 %)"
        );
    }
}
