//! Charts in the compact form read by the report's script.

use serde_json::{Value, json};

use crate::report::charts::{Chart, PALETTE, Point};

/// Returns all charts by id, and the palette.
pub(super) fn of(charts: &[&Chart]) -> Value {
    let charts: serde_json::Map<String, Value> = charts.iter().map(|c| (c.id.clone(), chart(c))).collect();
    json!({"palette": PALETTE, "charts": charts})
}

fn chart(chart: &Chart) -> Value {
    // Many points share the same reason: each is written once and referenced by index.
    let mut reasons: Vec<&str> = Vec::new();
    let series: Vec<Value> = chart
        .series
        .iter()
        .map(|series| {
            let points: Vec<Value> = series
                .points
                .iter()
                .map(|point| {
                    let why = point.why.as_deref().map(|why| {
                        reasons.iter().position(|r| *r == why).unwrap_or_else(|| {
                            reasons.push(why);
                            reasons.len() - 1
                        })
                    });
                    self::point(point, why)
                })
                .collect();
            json!({"name": series.name, "color": series.color, "points": points})
        })
        .collect();
    let marks: Vec<Value> = chart
        .marks
        .iter()
        .map(|mark| json!([round(mark.x), mark.text]))
        .collect();
    json!({
        "title": chart.title,
        "kind": chart.kind,
        "x": chart.x,
        "y": chart.y,
        "categories": chart.categories,
        "series": series,
        "marks": marks,
        "reasons": reasons,
    })
}

/// `[x, y]`, `[x, y, low, high]` or `[x, y, low, high, reason]`.
fn point(point: &Point, why: Option<usize>) -> Value {
    let mut values = vec![round(point.x), round(point.y)];
    if point.low.is_some() || why.is_some() {
        values.push(point.low.map_or(Value::Null, round));
        values.push(point.high.map_or(Value::Null, round));
    }
    if let Some(why) = why {
        values.push(json!(why));
    }
    Value::Array(values)
}

/// Rounds to six significant figures: more than is displayed, at a third of the size.
fn round(value: f64) -> Value {
    if value == 0.0 || !value.is_finite() {
        return json!(0);
    }
    let short: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    json!(short)
}
