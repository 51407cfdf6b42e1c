//! `--save-baseline`, `--baseline`, `--baseline-lenient`, `--load-baseline`: comparison with earlier runs, as advice.

use std::collections::BTreeMap;

use super::{Failure, args::Args, run::Listeners};
use crate::{
    measure::{
        Job,
        comparison::of_launch,
        event::{Advised, Event},
    },
    stats::{Advice, advise, metric::Metric},
    store::{
        BaselineRun, Store,
        record::{CaseRecord, RunRecord},
    },
};

/// Reads the baseline before measuring, so that a mistyped name fails immediately.
pub(super) fn read(store: &Store, args: &Args) -> Result<Option<Vec<BaselineRun>>, Failure> {
    let name = args.baseline.as_ref().or(args.baseline_lenient.as_ref());
    Ok(name.map(|name| store.read_baseline(name)).transpose()?)
}

/// Warns before the run about cases missing from a strict baseline. It becomes an error only after the run: a case that is
/// unavailable today as well, for example on a machine without its server, is not missing.
pub(super) fn foretell(args: &Args, earlier: Option<&[BaselineRun]>, jobs: &[Job], listeners: &Listeners) {
    let Some((name, earlier)) = args.baseline.as_ref().zip(earlier) else {
        return;
    };
    let lacking = lacking(earlier, jobs.iter().map(|job| job.case.id.as_str()));
    if !lacking.is_empty() {
        let text = format!(
            "baseline `{name}` has no figures of {}: if one is measured now, the run ends with status 2; use --baseline-lenient {name} \
             to compare the other cases",
            lacking.join(", ")
        );
        listeners.notice("", text);
    }
}

/// Returns the cases that no run of the baseline has.
fn lacking<'a>(earlier: &[BaselineRun], cases: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    cases
        .filter(|case| !earlier.iter().any(|run| run.cases.contains_key(*case)))
        .collect()
}

/// Returns the figures of a run's candidate launches.
pub(super) fn population(run: &RunRecord) -> BaselineRun {
    BaselineRun::of(run, |run, id| {
        let launches: Vec<_> = run
            .cases
            .iter()
            .filter(|c| c.id == id)
            .flat_map(CaseRecord::candidate)
            .collect();
        Metric::every()
            .filter_map(|metric| {
                let values: Vec<f64> = launches.iter().filter_map(|l| of_launch(l, metric)).collect();
                (!values.is_empty()).then(|| (metric.id().to_owned(), values))
            })
            .collect::<BTreeMap<_, _>>()
    })
}

/// Saves and compares as requested. `earlier` was read before the run, so a run is not compared with itself.
pub(super) fn conclude(
    store: &Store,
    args: &Args,
    earlier: Option<&[BaselineRun]>,
    new: &BaselineRun,
    listeners: &Listeners,
) -> Result<(), Failure> {
    if let Some(name) = &args.save_baseline {
        store.save_baseline(name, new)?;
        let text = if new.cases.is_empty() {
            format!("nothing saved to baseline `{name}`: this run has no valid figures")
        } else {
            format!("saved as baseline `{name}`: compare later with --baseline {name}")
        };
        listeners.notice("", text);
    }
    if let Some(earlier) = earlier {
        let name = args
            .baseline
            .as_deref()
            .or(args.baseline_lenient.as_deref())
            .unwrap_or_default();
        compare(name, earlier, new, args.baseline.is_some(), listeners)?;
    }
    Ok(())
}

fn compare(
    name: &str,
    earlier: &[BaselineRun],
    new: &BaselineRun,
    strict: bool,
    listeners: &Listeners,
) -> Result<(), Failure> {
    if let Some(last) = earlier.last() {
        let differences = last.fingerprint.differences(&new.fingerprint);
        if !differences.is_empty() {
            listeners.notice(
                "",
                format!(
                    "baseline `{name}` was measured in another environment, so the comparison is only a rough guide: {}",
                    differences.join("; ")
                ),
            );
        }
    }
    let missing = lacking(earlier, new.cases.keys().map(String::as_str));
    let mut advised = Vec::new();
    for (case, figures) in new.cases.iter().filter(|(case, _)| !missing.contains(&case.as_str())) {
        let advice = Metric::every().filter_map(|metric| of_metric(metric, case, figures, earlier));
        advised.push(Advised {
            case: case.clone(),
            advice: advice.collect(),
        });
    }
    if !missing.is_empty() {
        let text = format!("baseline `{name}` has no valid figures of {}", missing.join(", "));
        if strict {
            return Err(Failure::usage(format!(
                "{text}; measure and save them with --save-baseline {name}, or compare the other cases with --baseline-lenient {name}"
            )));
        }
        listeners.notice("", text);
    }
    listeners.tell(&Event::Advised {
        baseline: name.to_owned(),
        advised,
    });
    Ok(())
}

fn of_metric(
    metric: Metric,
    case: &str,
    figures: &BTreeMap<String, Vec<f64>>,
    earlier: &[BaselineRun],
) -> Option<Advice> {
    let new = figures.get(metric.id())?;
    let before: Vec<Vec<f64>> = earlier
        .iter()
        .filter_map(|run| run.cases.get(case)?.get(metric.id()).cloned())
        .collect();
    // Skip figures that one side lacks or whose ratio is undefined.
    advise(metric, metric.default_margin(), &before, new).ok()
}
