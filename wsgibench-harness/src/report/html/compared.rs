//! The comparison section, row by row.

use serde::Serialize;

use super::view::dash;
use crate::{
    report::{
        comparison::{Comparison, change},
        units,
    },
    stats::Outcome,
};

/// The comparison as shown in the report.
#[derive(Serialize)]
pub(super) struct Compared {
    against: String,
    gate: bool,
    verdict: String,
    ended: String,
    missing: Vec<String>,
    unmatched: Vec<String>,
    steadiness: Option<String>,
    notes: Vec<String>,
    rows: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    case: String,
    metric: &'static str,
    verdict: &'static str,
    gated: bool,
    base: String,
    candidate: String,
    change: String,
    interval: String,
    margin: String,
    mde: String,
    p: String,
    blocks: usize,
    notes: String,
    /// Positions on a strip from 0 to 100 whose middle means no change.
    strip: Option<Strip>,
}

#[derive(Serialize)]
struct Strip {
    low: f64,
    width: f64,
    point: f64,
    margin_low: f64,
    margin_width: f64,
}

pub(super) fn compared(comparison: &Comparison) -> Compared {
    let reach = comparison
        .outcomes
        .iter()
        .flat_map(|o| {
            let interval = o.interval.map_or([0.0, 0.0], |i| [i.low, i.high]);
            [interval[0].abs(), interval[1].abs(), o.margin.value()]
        })
        .fold(0.01_f64, f64::max)
        .min(1.0);
    Compared {
        against: comparison.against.clone(),
        gate: comparison.gate,
        verdict: comparison.verdict.clone(),
        ended: comparison.ended.clone(),
        missing: comparison.missing.clone(),
        unmatched: comparison.unmatched.clone(),
        steadiness: comparison.steadiness(),
        notes: comparison.notes.clone(),
        rows: comparison.outcomes.iter().map(|o| changed(o, reach)).collect(),
    }
}

fn changed(outcome: &Outcome, reach: f64) -> Difference {
    let value = |v: Option<f64>| v.map_or_else(dash, |v| units::metric(outcome.metric, v));
    let place = |v: f64| (50.0 + 50.0 * v / reach).clamp(0.0, 100.0);
    let strip = outcome.change.zip(outcome.interval).map(|(point, i)| {
        let margin = outcome.margin.value();
        Strip {
            low: place(i.low),
            width: place(i.high) - place(i.low),
            point: place(point),
            margin_low: place(-margin),
            margin_width: place(margin) - place(-margin),
        }
    });
    Difference {
        case: outcome.case.clone(),
        metric: outcome.metric.title(),
        verdict: if outcome.undecided {
            "undecided"
        } else {
            outcome.verdict.id()
        },
        gated: outcome.gated,
        base: value(outcome.base),
        candidate: value(outcome.candidate),
        change: outcome.change.map_or_else(dash, |c| change(outcome, c)),
        interval: outcome.interval.map_or_else(dash, |i| {
            format!("{} to {}", change(outcome, i.low), change(outcome, i.high))
        }),
        margin: outcome.margin.to_string(),
        mde: outcome
            .mde
            .map_or_else(dash, |m| change(outcome, m).trim_start_matches('+').to_owned()),
        p: if outcome.p < 0.001 {
            "< 0.001".into()
        } else {
            format!("{:.3}", outcome.p)
        },
        blocks: outcome.blocks,
        notes: outcome.notes.join(" "),
        strip,
    }
}
