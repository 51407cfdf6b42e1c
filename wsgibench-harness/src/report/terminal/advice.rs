//! What a baseline of another day and a self-check say.

use console::style;

use super::text::{INDENT, wrapped};
use crate::{
    measure::event::Advised,
    report::{comparison, units},
    stats::{Advice, SelfCheck, Standing},
};

pub(super) fn advised(baseline: &str, cases: &[Advised]) -> String {
    let mut text = String::from("\n");
    text.push_str(&wrapped(
        "",
        &format!("Beside baseline {baseline} (advice, not a verdict: another day, perhaps another machine):"),
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
        || "one run gives no expectation".into(),
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
    let verdict = if check.passed {
        style("passed").green().to_string()
    } else {
        style("failed").red().to_string()
    };
    text.push_str(&wrapped(
        &format!("self-check {verdict}: "),
        &format!(
            "{} of {} gates on identical code alarmed, at most {} in truth; allowed are {}",
            check.alarms,
            units::grouped(check.relabels as u64),
            units::percent(check.alarm_bound),
            units::percent(check.alpha)
        ),
    ));
    for metric in &check.metrics {
        let mde = metric
            .mde
            .map_or_else(|| "nothing".into(), |mde| comparison::size_of(metric.margin, mde));
        let use_of_it = if metric.sees_its_margin {
            "may be gated here"
        } else {
            "too coarse to gate on here"
        };
        text.push_str(&wrapped(
            "  ",
            &format!(
                "{}: sees changes from {mde} on (margin {}), {use_of_it}",
                metric.metric.title(),
                metric.margin
            ),
        ));
    }
    for pair in check.favoured() {
        let effect = comparison::change_of(pair.metric.default_margin(), pair.label_effect);
        text.push_str(&wrapped(
            "  ",
            &format!(
                "{}, {}: the candidate differs by {effect} though both arms are the same (p {:.1e}): the harness favours one of \
                 them here, and a gate would too; please report it",
                pair.case,
                pair.metric.title(),
                pair.label_p
            ),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{
        Metric,
        self_check::{MetricCheck, PairCheck},
    };

    #[test]
    fn identical_arms_that_differ_are_told() {
        let pair = |case: &str, label_p: f64| PairCheck {
            case: case.into(),
            metric: Metric::CpuPerRequest,
            blocks: 26,
            spread: 0.01,
            mde: Some(0.01),
            caught_at_margin: 1.0,
            label_effect: 0.013,
            label_p,
        };
        let metric = |metric: Metric, mde: f64| MetricCheck {
            metric,
            margin: metric.default_margin(),
            mde: Some(mde),
            sees_its_margin: true,
        };
        let check = SelfCheck {
            relabels: 10_000,
            alarms: 12,
            alarm_bound: 0.002,
            alpha: 0.01,
            passed: true,
            pairs: vec![pair("ping/one/c1", 0.2), pair("ping/two/c1", 1e-4)],
            metrics: vec![metric(Metric::CpuPerRequest, 0.01), metric(Metric::ErrorShare, 0.001)],
        };
        let text = self_checked(&check);
        let text = console::strip_ansi_codes(&text)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(text.contains("12 of 10,000 gates on identical code alarmed"), "{text}");
        assert!(
            text.contains("error share: sees changes from 0.100 percentage points on"),
            "{text}"
        );
        assert!(
            text.contains("ping/two/c1") && text.contains("+1.30 %") && text.contains("p 1.0e-4"),
            "{text}"
        );
        assert!(!text.contains("ping/one/c1"), "{text}");
    }
}
