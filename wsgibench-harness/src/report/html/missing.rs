//! Notices on missing data, shown at the top of the report.

use crate::store::record::{CaseOutcome, CaseRecord, RoundRecord, RunRecord};

/// Maximum number of cases named in one sentence.
const NAMED: usize = 5;

/// Returns one sentence per kind of gap.
pub(super) fn of(run: &RunRecord) -> Vec<String> {
    let measured: Vec<&CaseRecord> = run
        .cases
        .iter()
        .filter(|c| c.outcome == CaseOutcome::Measured)
        .collect();
    let with = |lacks: fn(&RoundRecord) -> bool| -> Vec<&str> {
        let of_case = |case: &&&CaseRecord| case.launches.iter().flat_map(|l| &l.rounds).any(lacks);
        measured.iter().filter(of_case).map(|case| case.id.as_str()).collect()
    };
    let fewer: Vec<&str> = measured
        .iter()
        .filter(|case| run.comparison.is_none() && launches(case) < run.profile.launches as usize)
        .map(|case| case.id.as_str())
        .collect();
    let histograms = with(|r| r.load.counts.done > 0 && r.load.response_time.histogram.is_empty());
    let seconds = with(|r| r.load.counts.done > 0 && r.load.series.is_empty());
    let server = with(|r| r.server_cpu_seconds.is_none());
    [
        (
            fewer,
            format!("Cases with fewer than the planned {} launches:", run.profile.launches),
            "their confidence intervals are wider or missing.",
        ),
        (
            histograms,
            "Rounds without histogram:".into(),
            "excluded from percentile curves and maximum response times.",
        ),
        (
            seconds,
            "Rounds without per-second figures:".into(),
            "excluded from charts over time.",
        ),
        (
            server,
            "Rounds without server CPU time:".into(),
            "excluded from CPU per request.",
        ),
    ]
    .into_iter()
    .filter(|(cases, ..)| !cases.is_empty())
    .map(|(cases, what, so)| format!("{what} {}; {so}", list(&cases)))
    .collect()
}

fn launches(case: &CaseRecord) -> usize {
    case.candidate().filter(|l| !l.rounds.is_empty()).count()
}

fn list(cases: &[&str]) -> String {
    let named = cases.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match cases.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn long_lists_of_cases_are_shortened() {
        assert_eq!(list(&["a", "b"]), "a, b");
        assert_eq!(list(&["a"; 1_000]), "a, a, a, a, a and 995 more");
    }
}
