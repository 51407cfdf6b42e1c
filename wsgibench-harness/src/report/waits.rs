//! Worker balance, accept queues and waits of threads of a case, for all reports.

use super::{range, units};
use crate::{
    load::Model,
    store::record::{CaseRecord, RoundRecord},
    waits::{
        self, Diagnosis, Round,
        diagnosis::{Threads, Wait},
    },
};

/// Headings of the table of all cases.
pub const HEADS: [&str; 9] = [
    "case",
    "diagnosis",
    "CPU time of the workers",
    "Jain's index",
    "accept queue, mean",
    "largest",
    "overflows",
    "threads running, ready, waiting",
    "waits in requests",
];

/// Most workers whose shares are listed.
const SHARES: usize = 8;

/// Evaluates the observed rounds of the candidate; `None` if none was observed.
#[must_use]
pub fn of_case(case: &CaseRecord) -> Option<Diagnosis> {
    let mut rounds = Vec::new();
    for launch in case.candidate() {
        for round in &launch.rounds {
            rounds.extend(observed(case, launch.index, round));
        }
    }
    waits::diagnose(&rounds)
}

fn observed<'a>(case: &CaseRecord, launch: u32, round: &'a RoundRecord) -> Option<Round<'a>> {
    Some(Round {
        launch,
        seconds: round.load.seconds,
        in_flight: in_flight(case, round),
        cpu_seconds: round.server_cpu_seconds,
        engine_busy: round.load.engine_busy_share,
        waits: round.waits.as_deref()?,
    })
}

/// Returns the mean number of requests in flight: in a closed loop one for each connection, else by Little's law.
fn in_flight(case: &CaseRecord, round: &RoundRecord) -> f64 {
    let load = &round.load;
    if matches!(case.load.model, Model::Closed { .. }) && !case.scripted {
        return units::float(load.connections.wanted);
    }
    let histogram = &load.response_time.histogram;
    if histogram.is_empty() || load.seconds <= 0.0 {
        return 0.0;
    }
    units::float(histogram.len()) * histogram.mean() / 1e9 / load.seconds
}

/// Returns what stands out in a case: the diagnosis, else what could not be observed.
#[must_use]
pub fn line(case: &CaseRecord) -> Option<String> {
    let diagnosis = of_case(case)?;
    let notes = || (!diagnosis.notes.is_empty()).then(|| diagnosis.notes.join("; "));
    diagnosis.line().or_else(notes)
}

/// Most waits that are listed.
const WAITS: usize = 3;

/// `sleep 90 %, lock 5 %`, as shares of the time that threads spend on requests.
fn waits_of(threads: &Threads) -> String {
    let share = |wait: &Wait| format!("{} {:.0} %", wait.noun(), wait.share * 100.0);
    threads
        .waits
        .iter()
        .take(WAITS)
        .map(share)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns a row of the table; `None` if the case was not observed.
#[must_use]
pub fn row(case: &CaseRecord) -> Option<[String; 9]> {
    let diagnosis = of_case(case)?;
    let mut about: Vec<String> = vec![diagnosis.line().unwrap_or_else(|| "nothing stands out".to_owned())];
    about.extend(diagnosis.notes.iter().cloned());
    let dash = || "–".to_owned();
    let mut shares: Vec<String> = diagnosis
        .shares
        .iter()
        .take(SHARES)
        .map(|share| format!("{:.0} %", share * 100.0))
        .collect();
    if diagnosis.shares.len() > SHARES {
        shares.push(format!("and {} more", diagnosis.shares.len() - SHARES));
    }
    let shares = match diagnosis.workers {
        0 => dash(),
        1 => "1 worker".to_owned(),
        workers if shares.is_empty() => format!("{workers} workers, too little to compare"),
        _ => shares.join(", "),
    };
    let queue = diagnosis.queue_mean;
    Some([
        case.id.clone(),
        about.join("; "),
        shares,
        diagnosis.jain.map_or_else(dash, |index| format!("{index:.2}")),
        queue.map_or_else(dash, |mean| format!("{mean:.1}")),
        queue.map_or_else(dash, |_| units::grouped(diagnosis.queue_max)),
        diagnosis
            .overflows
            .map_or_else(dash, |overflows| range::count(units::float(overflows))),
        diagnosis.threads.as_ref().map_or_else(dash, |threads| {
            format!(
                "{:.2}, {:.2}, {:.1}",
                threads.running, threads.runnable, threads.waiting
            )
        }),
        diagnosis
            .threads
            .as_ref()
            .filter(|threads| !threads.waits.is_empty())
            .map_or_else(dash, waits_of),
    ])
}
