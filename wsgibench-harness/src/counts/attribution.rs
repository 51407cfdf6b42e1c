//! Where instructions went: changes by function and by library.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Instructions of a function itself, per request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionCost {
    /// Symbol.
    pub function: String,
    /// Source file, `???` without debug information.
    pub file: String,
    /// Library or program.
    pub object: String,
    /// Instructions per request.
    pub instructions: f64,
}

/// The change of one function between two arms, instructions per request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct FunctionChange {
    /// Symbol; empty for a whole library.
    pub function: String,
    /// Source file, or the library where there is no debug information.
    pub file: String,
    /// Instructions in the base; 0 if it did not run there.
    pub base: f64,
    /// Instructions in the candidate.
    pub candidate: f64,
    /// Candidate less base.
    pub change: f64,
}

/// The largest changes of an arm's launches against another's: first by library, then by function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Attribution {
    /// Changes summed by library.
    pub libraries: Vec<FunctionChange>,
    /// Changes by function.
    pub functions: Vec<FunctionChange>,
}

/// Returns the `most` largest changes, by size. Each arm's figure is the mean over its launches; changes below `floor`
/// instructions are left out.
#[must_use]
pub fn compare(base: &[&[FunctionCost]], candidate: &[&[FunctionCost]], most: usize, floor: f64) -> Attribution {
    let library = |cost: &FunctionCost| (String::new(), short(&cost.object));
    let function = |cost: &FunctionCost| {
        let file = if cost.file == "???" || cost.file.is_empty() {
            short(&cost.object)
        } else {
            cost.file.clone()
        };
        (cost.function.clone(), file)
    };
    Attribution {
        libraries: changes(base, candidate, most, floor, library),
        functions: changes(base, candidate, most, floor, function),
    }
}

fn changes(
    base: &[&[FunctionCost]],
    candidate: &[&[FunctionCost]],
    most: usize,
    floor: f64,
    key: impl Fn(&FunctionCost) -> (String, String),
) -> Vec<FunctionChange> {
    let mut sums: BTreeMap<(String, String), [f64; 2]> = BTreeMap::new();
    for (arm, launches) in [base, candidate].into_iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a few launches")]
        let share = 1.0 / launches.len().max(1) as f64;
        for cost in launches.iter().copied().flatten() {
            sums.entry(key(cost)).or_default()[arm] += cost.instructions * share;
        }
    }
    let mut changes: Vec<FunctionChange> = sums
        .into_iter()
        .map(|((function, file), [base, candidate])| FunctionChange {
            function,
            file,
            base,
            candidate,
            change: candidate - base,
        })
        .filter(|change| change.change.abs() >= floor)
        .collect();
    changes.sort_by(|a, b| b.change.abs().total_cmp(&a.change.abs()));
    changes.truncate(most);
    changes
}

/// Returns the file name of an object's path.
fn short(object: &str) -> String {
    object.rsplit('/').next().unwrap_or(object).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(function: &str, object: &str, instructions: f64) -> FunctionCost {
        FunctionCost {
            function: function.into(),
            file: "???".into(),
            object: object.into(),
            instructions,
        }
    }

    #[test]
    fn changes_are_sorted_by_size_and_include_new_functions() {
        let before = [cost("parse", "/lib/a.so", 100.0), cost("send", "/lib/a.so", 50.0)];
        let after = [
            cost("parse", "/lib/a.so", 104.0),
            cost("send", "/lib/a.so", 50.2),
            cost("log", "/lib/b.so", 40.0),
        ];
        let found = compare(&[&before, &before], &[&after], 10, 1.0);
        let named: Vec<(&str, &str, f64)> = found
            .functions
            .iter()
            .map(|f| (f.function.as_str(), f.file.as_str(), f.change))
            .collect();
        assert_eq!(named, [("log", "b.so", 40.0), ("parse", "a.so", 4.0)]);
        assert!((found.functions[1].base - 100.0).abs() < f64::EPSILON);
        let libraries: Vec<&str> = found.libraries.iter().map(|f| f.file.as_str()).collect();
        assert_eq!(libraries, ["b.so", "a.so"]);
        assert_eq!(compare(&[&before], &[&after], 1, 1.0).functions.len(), 1);
    }
}
