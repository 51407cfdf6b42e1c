//! Rows of `--explain`, for all reports.

use crate::profile::{CaseExplanation, FunctionChange, GroupChange, TotalChange, explain::ALPHA};

/// Functions that a table shows besides the named ones.
const OTHERS: usize = 8;
/// Most named functions of a table.
const NAMED: usize = 12;

/// What counts of instructions and samples can and cannot see, where a run has both.
pub const BESIDE_COUNTS: &str = "Counts and samples answer different questions: counts are exact to the instruction and name functions of \
                                 C libraries, but see neither the kernel nor memory stalls, nor Python functions; samples see all CPU \
                                 time by Python function, with the error of sampling.";

/// A row: a function, a file or a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Place among the certain changes, or empty.
    pub rank: String,
    /// Function, file or package.
    pub name: String,
    /// File and line of a function, or empty.
    pub place: String,
    /// Time in the base.
    pub base: String,
    /// Time in the candidate.
    pub candidate: String,
    /// Change.
    pub change: String,
    /// 95 % interval of the change, or of the time if one arm was profiled.
    pub interval: String,
    /// p-value, corrected for the family.
    pub p: String,
    /// Change of the time with all that it calls.
    pub total: String,
    /// Whether the change is certain.
    pub is_certain: bool,
    /// Whether it became slower.
    pub is_slower: bool,
}

/// Headings of a table of functions that compares two arms.
pub const COMPARED: [&str; 9] = [
    "rank",
    "function",
    "file",
    "base",
    "candidate",
    "change",
    "95 % interval",
    "p",
    "with callees",
];
/// Headings of a table of functions of one arm.
pub const ALONE: [&str; 5] = ["function", "file", "own CPU", "95 % interval", "with callees"];

impl Row {
    /// The cells under [`COMPARED`].
    #[must_use]
    pub fn compared(&self) -> [&str; 9] {
        [
            &self.rank,
            &self.name,
            &self.place,
            &self.base,
            &self.candidate,
            &self.change,
            &self.interval,
            &self.p,
            &self.total,
        ]
    }

    /// The cells under [`ALONE`].
    #[must_use]
    pub fn alone(&self) -> [&str; 5] {
        [&self.name, &self.place, &self.candidate, &self.interval, &self.total]
    }
}

/// Whether a case has two arms.
#[must_use]
pub fn is_compared(case: &CaseExplanation) -> bool {
    case.base.is_some()
}

/// Returns the functions of a table: the named ones, and the largest others.
#[must_use]
pub fn functions(case: &CaseExplanation) -> Vec<Row> {
    let named = case
        .functions
        .iter()
        .filter(|function| function.rank.is_some())
        .take(NAMED);
    let others = case
        .functions
        .iter()
        .filter(|function| function.rank.is_none())
        .take(OTHERS);
    named.chain(others).map(function).collect()
}

/// Returns the rows of files or packages.
#[must_use]
pub fn groups(groups: &[GroupChange]) -> Vec<Row> {
    let of = |group: &GroupChange| Row {
        // Files and packages have no callees of their own.
        total: String::new(),
        ..row(&group.own, &group.own, group.name.clone(), String::new(), None)
    };
    groups.iter().take(OTHERS).map(of).collect()
}

/// The result of a case in one sentence.
#[must_use]
pub fn summary(case: &CaseExplanation) -> String {
    let cpu = us(case.cpu.candidate_us);
    let Some(change) = case.cpu.change_us else {
        return format!("{cpu} of CPU per request; one arm was profiled, so nothing is compared");
    };
    let interval = range(&case.cpu, true).map_or_else(String::new, |range| format!(" [{range}]"));
    let named = case.functions.iter().filter(|function| function.rank.is_some()).count();
    let launches = case.base.as_ref().map_or(0, |base| base.launches);
    let result = match (named, case.functions.iter().find(|function| function.rank == Some(1))) {
        (_, Some(first)) => {
            let (kind, change) = if first.own.p.is_some_and(|p| p <= ALPHA) {
                ("", &first.own)
            } else {
                (" with all that it calls", &first.total)
            };
            format!(
                "`{}`{kind} changed most, by {}",
                first.function,
                signed(change.change_us.unwrap_or(0.0))
            )
        }
        _ => "no function changed by more than chance explains".to_owned(),
    };
    format!(
        "{result}; CPU per request {} to {cpu}, {}{interval} in {launches} and {} launches",
        us(case.cpu.base_us.unwrap_or(0.0)),
        signed(change),
        case.candidate.launches
    )
}

/// Explains the columns of a table.
#[must_use]
pub fn caption(case: &CaseExplanation) -> String {
    let samples = |profile: &crate::profile::ArmProfile| profile.running_samples;
    let samples = samples(&case.candidate) + case.base.as_ref().map_or(0, samples);
    let common = format!(
        "Microseconds of CPU per request in each function itself, from {} samples; C code counts for the Python function that calls it. \
         Coroutines and greenlets count where they run.",
        super::units::grouped(samples)
    );
    if is_compared(case) {
        format!(
            "{common} A rank means a certain change: p, corrected for all functions compared, is at most {ALPHA}. Functions that only \
             call more are ranked after those that changed themselves."
        )
    } else {
        common
    }
}

fn function(function: &FunctionChange) -> Row {
    let place = if function.file.is_empty() {
        String::new()
    } else {
        format!("{}:{}", function.file, function.line)
    };
    row(
        &function.own,
        &function.total,
        function.function.clone(),
        place,
        function.rank,
    )
}

fn row(own: &TotalChange, total: &TotalChange, name: String, place: String, rank: Option<u32>) -> Row {
    // The change that made it certain decides its direction.
    let is_own = own.p.is_some_and(|p| p <= ALPHA);
    let decisive = if is_own { own.change_us } else { total.change_us };
    let smaller = match (own.p, rank) {
        (p, None) => p,
        (Some(own_p), Some(_)) => Some(total.p.map_or(own_p, |total_p| total_p.min(own_p))),
        (None, Some(_)) => total.p,
    };
    Row {
        rank: rank.map_or_else(String::new, |rank| rank.to_string()),
        name,
        place,
        base: own.base_us.map_or_else(String::new, us),
        candidate: us(own.candidate_us),
        change: own.change_us.map_or_else(String::new, signed),
        interval: range(own, own.change_us.is_some()).unwrap_or_else(|| "none: one launch".to_owned()),
        p: smaller.map_or_else(|| "–".to_owned(), p_value),
        total: total.change_us.map_or_else(|| us(total.candidate_us), signed),
        is_certain: rank.is_some() || is_own,
        is_slower: decisive.is_some_and(|change| change > 0.0),
    }
}

fn range(change: &TotalChange, with_sign: bool) -> Option<String> {
    let (low, high) = change.low.zip(change.high)?;
    Some(if with_sign {
        format!("{low:+.2}, {high:+.2}")
    } else {
        format!("{low:.2}, {high:.2}")
    })
}

fn us(value: f64) -> String {
    format!("{value:.2} µs")
}

fn signed(value: f64) -> String {
    format!("{value:+.2} µs")
}

fn p_value(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}
