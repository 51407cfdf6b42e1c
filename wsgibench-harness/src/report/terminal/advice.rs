//! Text of baseline advice and self-checks.

use console::style;

use super::text::{INDENT, wrapped};
use crate::{
    measure::event::Advised,
    report::{comparison, units},
    stats::{Advice, SelfCheck, Standing, self_check::MetricCheck},
};

pub(super) fn advised(baseline: &str, cases: &[Advised]) -> String {
    let mut text = String::from("\n");
    text.push_str(&wrapped(
        "",
        &format!("Compared with baseline {baseline} (advisory: measured on another day, perhaps on another machine):"),
    ));
    for case in cases.iter().filter(|c| !c.advice.is_empty()) {
        for line in wrapped("", &case.case).lines() {
            text.push_str(&style(line).green().to_string());
            text.push('\n');
        }
        for advice in &case.advice {
            text.push_str(&one(advice));
        }
    }
    text
}

fn one(advice: &Advice) -> String {
    let metric = |value: f64| units::metric(advice.metric, value);
    let expected = advice.expected.map_or_else(
        || "a single run gives no expectation".into(),
        |i| format!("expected {} to {}", metric(i.low), metric(i.high)),
    );
    let standing = match advice.standing {
        Standing::Worse => style("worse").red().to_string(),
        Standing::Better => style("better").green().to_string(),
        Standing::AsExpected => "as expected".to_owned(),
        Standing::Unknown => style("unknown").yellow().to_string(),
    };
    let runs = if advice.runs == 1 {
        "1 run".to_owned()
    } else {
        format!("{} runs", advice.runs)
    };
    let change = comparison::change_of(advice.metric.default_margin(), advice.change);
    let label = format!("{}change: {change} {standing} ", " ".repeat(INDENT));
    wrapped(
        &label,
        &format!(
            "{}: {} after {} ({expected}; {runs})",
            advice.metric.title(),
            metric(advice.new),
            metric(advice.baseline)
        ),
    )
}

pub(super) fn self_checked(check: &SelfCheck) -> String {
    let mut text = String::from("\n");
    let (verdict, meaning) = if check.passed {
        (
            style("passed").green(),
            "identical arms differed by no more than chance".to_owned(),
        )
    } else {
        (style("failed").red(), comparison::self_check_faults(check).join("; "))
    };
    text.push_str(&wrapped(&format!("self-check {verdict}: "), &meaning));
    for metric in &check.metrics {
        text.push_str(&wrapped("  ", &sight(metric)));
    }
    let gates = check.identical_gates.map_or_else(
        || {
            "the rate of false alarms was not observed: a self-check is one comparison; `--self-check --gates N` runs N gates on \
             identical arms"
                .to_owned()
        },
        |gates| comparison::identical_gates(&gates),
    );
    text.push_str(&wrapped("  ", &gates));
    text
}

/// Formats the minimum detectable change of a metric.
fn sight(check: &MetricCheck) -> String {
    let title = check.metric.title();
    let margin = check.margin;
    let Some(mde) = check.mde else {
        return format!(
            "{title}: no change can be distinguished from noise here (margin {margin}); it never fails a gate"
        );
    };
    let mde = comparison::size_of(margin, mde);
    if check.sees_its_margin {
        format!("{title}: a gate detects changes of {mde} or more (margin {margin})")
    } else {
        format!("{title}: a gate detects changes of {mde} or more, above the margin of {margin}: smaller ones pass")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{
        Metric,
        self_check::{IdenticalGates, PairCheck},
    };

    fn check() -> SelfCheck {
        let pair = |case: &str, adjusted_p: f64| PairCheck {
            case: case.into(),
            metric: Metric::CpuPerRequest,
            margin: Metric::CpuPerRequest.default_margin(),
            blocks: 26,
            spread: 0.01,
            mde: Some(0.01),
            difference: 0.013,
            p: 1e-4,
            adjusted_p,
        };
        let metric = |metric: Metric, mde: Option<f64>, sees_its_margin: bool| MetricCheck {
            metric,
            margin: metric.default_margin(),
            mde,
            sees_its_margin,
            differs: false,
        };
        SelfCheck {
            alpha: 0.01,
            passed: false,
            pairs: vec![pair("ping/one/c1", 0.2), pair("ping/two/c1", 1e-4)],
            metrics: vec![
                metric(Metric::CpuPerRequest, Some(0.01), true),
                metric(Metric::ErrorShare, Some(0.001), true),
                metric(Metric::Throughput, Some(0.09), false),
                metric(Metric::P99, None, false),
            ],
            identical_gates: None,
        }
    }

    fn plain(check: &SelfCheck) -> String {
        let text = self_checked(check);
        let text = console::strip_ansi_codes(&text);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn failed_self_check_names_differing_arms_and_detectable_changes() {
        let text = plain(&check());
        for part in [
            "self-check failed: ping/two/c1: identical arms differ by +1.30 % in server CPU per request",
            "(p = 1.0e-4)",
            "error share: a gate detects changes of 0.100 percentage points or more",
            "throughput: a gate detects changes of 9.00 % or more, above the margin of 5 %: smaller ones pass",
            "99th percentile of latency: no change can be distinguished from noise here",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("ping/one/c1"), "{text}");
    }

    #[test]
    fn false_alarm_rate_is_shown_only_if_gates_ran() {
        let mut check = check();
        check.pairs[1].adjusted_p = 0.5;
        check.passed = true;
        let text = plain(&check);
        assert!(text.contains("self-check passed"), "{text}");
        assert!(text.contains("the rate of false alarms was not observed"), "{text}");
        let text = plain(&check.with_gates(IdenticalGates::new(20, 0, 1)));
        assert!(
            text.contains(
                "0 of 20 gates on identical arms called a regression (rate at most 13.9 % with a confidence of 95 %), 1 more without \
                 a decision"
            ),
            "{text}"
        );
    }
}
