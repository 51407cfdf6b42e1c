//! What a baseline of another day and a self-check say.

use console::style;

use super::text::{INDENT, wrapped};
use crate::{
    measure::event::Advised,
    report::{comparison, units},
    stats::{Advice, Margin, SelfCheck, Standing},
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
        let seen = |value: f64| match metric.margin {
            Margin::Relative(_) => units::percent(value),
            Margin::Absolute(_) => format!("{:.3} percentage points", value * 100.0),
        };
        let mde = metric.mde.map_or_else(|| "nothing".into(), seen);
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
