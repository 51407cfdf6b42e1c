//! The file format of speedscope.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::arms;
use crate::profile::{Explanation, Frame};

/// Returns the document: one profile for each case, arm and state, with microseconds per request as weights.
#[must_use]
pub fn speedscope(explanation: &Explanation) -> Value {
    let mut frames: Vec<Value> = Vec::new();
    let mut known: HashMap<Frame, usize> = HashMap::new();
    let mut profiles = Vec::new();
    for (case, arm, profile) in arms(explanation) {
        let mut states = [("running", Vec::new(), Vec::new()), ("waiting", Vec::new(), Vec::new())];
        profile.tree.stacks(|stack, node| {
            let stack: Vec<usize> = stack
                .iter()
                .map(|frame| {
                    *known.entry((*frame).clone()).or_insert_with(|| {
                        frames.push(described(frame));
                        frames.len() - 1
                    })
                })
                .collect();
            for ((_, samples, weights), time) in states.iter_mut().zip([node.running, node.waiting]) {
                if time > 0.0 {
                    samples.push(stack.clone());
                    weights.push(time);
                }
            }
        });
        for (state, samples, weights) in states {
            if samples.is_empty() {
                continue;
            }
            profiles.push(json!({
                "type": "sampled",
                "name": format!("{case} {arm}, {state}, microseconds per request"),
                "unit": "microseconds",
                "startValue": 0,
                "endValue": weights.iter().sum::<f64>(),
                "samples": samples,
                "weights": weights,
            }));
        }
    }
    json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": concat!("wsgibench ", env!("CARGO_PKG_VERSION")),
        "name": format!("wsgibench {}", explanation.run),
        "activeProfileIndex": 0,
        "shared": { "frames": frames },
        "profiles": profiles,
    })
}

fn described(frame: &Frame) -> Value {
    if frame.file.is_empty() {
        return json!({ "name": frame.function });
    }
    json!({ "name": frame.function, "file": frame.file, "line": frame.line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_speedscope_file() {
        let mut document = speedscope(&super::super::samples::explanation());
        document["exporter"] = json!("wsgibench");
        insta::assert_json_snapshot!(document);
    }
}
