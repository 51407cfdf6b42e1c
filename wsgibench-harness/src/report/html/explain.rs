//! The section of profiled functions, and the data of its flame graphs.

use serde::Serialize;
use serde_json::{Value, json};

use super::table::{Head, numeric_column, text_column};
use crate::{
    counts::attribution::Attribution,
    profile::{CaseExplanation, Explanation, Tree},
    report::{
        comparison::Comparison,
        counts::attribution_rows,
        explanation::{self, Row, functions, groups, is_compared},
    },
};

/// A profiled case.
#[derive(Serialize)]
pub(super) struct Explained {
    case: String,
    summary: String,
    caption: String,
    compared: bool,
    tables: Vec<Functions>,
    views: Vec<&'static str>,
    notes: Vec<String>,
}

/// A table of functions, files, packages or threads.
#[derive(Serialize)]
struct Functions {
    title: &'static str,
    heads: Vec<Head>,
    /// Index of the column that names the row.
    subject: usize,
    rows: Vec<FunctionRow>,
}

#[derive(Serialize)]
struct FunctionRow {
    cells: Vec<String>,
    /// `slower` or `faster` if the change is certain.
    look: &'static str,
}

/// Returns the profiled cases.
pub(super) fn of(explanation: &Explanation, comparison: Option<&Comparison>) -> Vec<Explained> {
    let counted = |case: &CaseExplanation| comparison.and_then(|comparison| comparison.attribution.get(&case.case));
    explanation.cases.iter().map(|case| one(case, counted(case))).collect()
}

fn one(case: &CaseExplanation, counted: Option<&Attribution>) -> Explained {
    let compared = is_compared(case);
    let mut tables = vec![table("Functions", functions(case), compared, true)];
    for (title, rows) in [("Files", groups(&case.files)), ("Packages", groups(&case.packages))] {
        if rows.len() > 1 {
            tables.push(table(title, rows, compared, false));
        }
    }
    tables.extend(counted.map(counts));
    tables.push(threads(case));
    Explained {
        case: case.case.clone(),
        summary: explanation::summary(case),
        caption: explanation::caption(case),
        compared,
        tables,
        views: if compared {
            vec!["difference", "candidate", "base"]
        } else {
            vec!["candidate"]
        },
        notes: case
            .notes
            .iter()
            .cloned()
            .chain(counted.map(|_| explanation::BESIDE_COUNTS.to_owned()))
            .collect(),
    }
}

/// Instructions of native functions, counted in the same run.
fn counts(attribution: &Attribution) -> Functions {
    let rows = attribution_rows(attribution).into_iter().map(|row| FunctionRow {
        cells: row.to_vec(),
        look: "",
    });
    Functions {
        title: "Instructions per request of native functions",
        heads: vec![
            text_column("function"),
            text_column("file"),
            numeric_column("base"),
            numeric_column("candidate"),
            numeric_column("change"),
        ],
        subject: 0,
        rows: rows.collect(),
    }
}

fn table(title: &'static str, rows: Vec<Row>, compared: bool, of_functions: bool) -> Functions {
    let names: &[&'static str] = if compared {
        &explanation::COMPARED
    } else {
        &explanation::ALONE
    };
    // Files and packages have neither ranks nor places nor callees.
    let kept = |name: &str| of_functions || !["rank", "file", "with callees"].contains(&name);
    let heads: Vec<Head> = names
        .iter()
        .filter(|name| kept(name))
        .map(|name| match *name {
            "function" if !of_functions => text_column("name"),
            "function" | "file" => text_column(name),
            _ => numeric_column(name),
        })
        .collect();
    let subject = names
        .iter()
        .filter(|name| kept(name))
        .position(|name| *name == "function")
        .unwrap_or(0);
    let rows = rows
        .into_iter()
        .map(|row| {
            let cells: Vec<&str> = if compared {
                row.compared().to_vec()
            } else {
                row.alone().to_vec()
            };
            let cells = names.iter().zip(cells).filter(|(name, _)| kept(name));
            FunctionRow {
                cells: cells.map(|(_, cell)| cell.to_owned()).collect(),
                look: match (row.is_certain, row.is_slower) {
                    (true, true) => "slower",
                    (true, false) => "faster",
                    _ => "",
                },
            }
        })
        .collect();
    Functions {
        title,
        heads,
        subject,
        rows,
    }
}

/// Threads of the candidate by name.
fn threads(case: &CaseExplanation) -> Functions {
    let rows = case
        .candidate
        .threads
        .iter()
        .map(|(process, thread, number, running)| FunctionRow {
            cells: vec![
                process.clone(),
                thread.clone(),
                number.to_string(),
                format!("{running:.2} µs"),
            ],
            look: "",
        });
    Functions {
        title: "Threads of the candidate",
        heads: vec![
            text_column("process"),
            text_column("thread"),
            numeric_column("number"),
            numeric_column("CPU per request"),
        ],
        subject: 0,
        rows: rows.collect(),
    }
}

/// Returns the trees of all cases, as the script reads them.
pub(super) fn data(explanation: &Explanation) -> Value {
    let tree = |tree: &Tree| json!({ "frames": tree.frames, "nodes": tree.nodes });
    let cases = explanation.cases.iter().map(|case| {
        json!({
            "base": case.base.as_ref().map(|base| tree(&base.tree)),
            "candidate": tree(&case.candidate.tree),
        })
    });
    cases.collect()
}
