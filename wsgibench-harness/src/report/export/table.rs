//! The table of rounds for spreadsheets, one row per round.

use crate::{
    load::RequestResult,
    report::{
        display, faults,
        units::{float, float_len},
    },
    store::record::{CaseRecord, FaultRecord, LaunchRecord, RoundRecord, RunRecord},
    waits::{WaitRecord, workers::jain},
};

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(String),
    Number(f64),
    Nothing,
}

type Column = (&'static str, fn(&Row) -> Cell);

/// The source of a row.
pub(super) struct Row<'a> {
    run: &'a RunRecord,
    case: &'a CaseRecord,
    launch: &'a LaunchRecord,
    round: &'a RoundRecord,
}

/// The columns: name with unit, and a function for the value.
pub(super) const COLUMNS: &[Column] = &[
    ("run", |r| text(&r.run.id)),
    ("case", |r| text(&r.case.id)),
    ("scenario", |r| text(&r.case.scenario)),
    ("server", |r| text(&r.case.server)),
    ("param", |r| text(&r.case.param)),
    ("arm", |r| text(&r.launch.arm)),
    ("block", |r| number(u64::from(r.launch.block))),
    ("launch", |r| number(u64::from(r.launch.index))),
    ("round", |r| number(u64::from(r.round.index))),
    ("started", |r| text(&r.launch.started.to_string())),
    ("validity", |r| text(display::level(r.round.validity.level))),
    ("findings", |r| {
        let checks: Vec<&str> = r.round.validity.findings.iter().map(|f| f.check.as_str()).collect();
        text(&checks.join(" "))
    }),
    ("seconds", |r| Cell::Number(r.round.load.seconds)),
    ("throughput_per_s", |r| metric(r, "throughput")),
    ("time_per_request_us", |r| metric(r, "time_per_request")),
    ("cpu_per_request_us", |r| metric(r, "cpu_per_request")),
    ("p50_us", |r| metric(r, "p50")),
    ("p90_us", |r| quantile(r, 0.90)),
    ("p99_us", |r| metric(r, "p99")),
    ("p999_us", |r| quantile(r, 0.999)),
    ("max_us", |r| quantile(r, 1.0)),
    ("error_share", |r| metric(r, "error_share")),
    ("offered", |r| number(r.round.load.counts.offered)),
    ("done", |r| number(r.round.load.counts.done)),
    ("failed", |r| number(r.round.load.counts.failed)),
    ("censored", |r| number(r.round.load.counts.censored)),
    ("timed_out", |r| number(r.round.load.counts.timed_out)),
    ("unsent", |r| number(r.round.load.counts.unsent)),
    ("retried", |r| number(r.round.load.counts.retried)),
    ("errors", |r| {
        let errors = r.round.load.errors.iter().filter(|(_, count)| *count > 0);
        let kinds: Vec<String> = errors
            .map(|(kind, count)| format!("{}={count}", display::error_kind(*kind).replace(' ', "_")))
            .collect();
        text(&kinds.join(" "))
    }),
    ("server_cpu_s", |r| optional(r.round.server_cpu_seconds)),
    ("server_cpu_user_s", |r| optional(r.round.server_cpu_user_seconds)),
    ("server_cpu_system_s", |r| optional(r.round.server_cpu_system_seconds)),
    ("throttled_s", |r| {
        optional(
            r.round
                .throttled_seconds
                .filter(|_| r.round.server_cpu_seconds.is_some()),
        )
    }),
    ("memory_mean_bytes", |r| optional(r.round.memory_mean_bytes.map(float))),
    ("memory_peak_bytes", |r| optional(r.round.memory_peak_bytes.map(float))),
    ("start_up_s", |r| optional(r.launch.start_up_seconds)),
    ("memory_at_rest_bytes", |r| {
        optional(r.launch.memory_at_rest_bytes.map(float))
    }),
    ("bytes_sent", |r| number(r.round.load.bytes_sent)),
    ("bytes_received", |r| number(r.round.load.bytes_received)),
    ("connections_wanted", |r| number(r.round.load.connections.wanted)),
    ("connections_established", |r| {
        number(r.round.load.connections.established)
    }),
    ("connections_opened", |r| number(r.round.load.connections.opened)),
    ("connections_served", |r| number(r.round.load.connections.served)),
    ("jain", |r| Cell::Number(r.round.load.connections.jain)),
    ("offered_rate_per_s", |r| optional(r.round.load.offered_rate)),
    ("engine_cpu_s", |r| Cell::Number(r.round.load.engine_cpu_seconds)),
    ("engine_busy_share", |r| Cell::Number(r.round.load.engine_busy_share)),
    ("requests", |r| each_request(r, |request| request.name.clone())),
    ("requests_done", |r| each_request(r, |request| request.done.to_string())),
    ("requests_failed", |r| {
        each_request(r, |request| request.failed.to_string())
    }),
    ("requests_p50_us", |r| {
        each_request(r, |request| request_quantile(request, 0.50))
    }),
    ("requests_p99_us", |r| {
        each_request(r, |request| request_quantile(request, 0.99))
    }),
    ("faults", |r| each_fault(r, |fault| fault.action.clone())),
    ("requests_lost", |r| {
        each_fault(r, |fault| of_done(fault, fault.recovery.requests_lost.to_string()))
    }),
    ("requests_sent_again", |r| {
        each_fault(r, |fault| {
            of_done(fault, fault.recovery.requests_sent_again.to_string())
        })
    }),
    ("recovered_after_s", |r| {
        each_fault(r, |fault| {
            let seconds = fault.recovery.recovered_after_seconds;
            let text = seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1}"));
            of_done(fault, text)
        })
    }),
    ("workers", |r| {
        waits(r, |waits| {
            (!waits.workers.is_empty()).then(|| float_len(waits.workers.len()))
        })
    }),
    ("workers_jain", |r| {
        waits(r, |waits| {
            let seconds: Vec<f64> = waits.workers.iter().map(|worker| worker.cpu_seconds).collect();
            jain(&seconds)
        })
    }),
    ("accept_queue_mean", |r| {
        waits(r, |waits| waits.accept_queue.as_ref().map(|queue| queue.mean))
    }),
    ("accept_queue_max", |r| {
        waits(r, |waits| waits.accept_queue.as_ref().map(|queue| float(queue.max)))
    }),
    ("accept_queue_overflows", |r| {
        waits(r, |waits| waits.accept_queue.as_ref()?.overflows.map(float))
    }),
    ("threads", |r| {
        waits(r, |waits| waits.threads.as_ref().map(|threads| float(threads.threads)))
    }),
    ("threads_cpu_s", |r| {
        waits(r, |waits| waits.threads.as_ref().map(|threads| threads.cpu_seconds))
    }),
    ("threads_ready_s", |r| {
        waits(r, |waits| {
            waits.threads.as_ref().map(|threads| threads.runnable_seconds)
        })
    }),
    ("largest_wait", |r| {
        let threads = r.round.waits.as_deref().and_then(|waits| waits.threads.as_ref());
        match threads.and_then(|threads| threads.waits.first()) {
            Some(wait) => Cell::Text(wait.cause.name().to_owned()),
            None => Cell::Nothing,
        }
    }),
    ("largest_wait_threads", |r| {
        waits(r, |waits| Some(waits.threads.as_ref()?.waits.first()?.threads))
    }),
    ("instructions_per_request", |r| metric(r, "instructions_per_request")),
    ("syscalls_per_request", |r| metric(r, "syscalls_per_request")),
    ("statements_per_request", |r| metric(r, "statements_per_request")),
];

/// Returns a figure of the observation; nothing if the round was not observed.
fn waits(row: &Row, value: fn(&WaitRecord) -> Option<f64>) -> Cell {
    optional(row.round.waits.as_deref().and_then(value))
}

/// Joins one value per fault, in their order.
fn each_fault(row: &Row, value: fn(&FaultRecord) -> String) -> Cell {
    joined(row.round.faults.iter().map(value))
}

/// Joins one value per request of the mix, in their order.
fn each_request(row: &Row, value: fn(&RequestResult) -> String) -> Cell {
    joined(row.round.load.requests.iter().map(value))
}

fn joined(values: impl Iterator<Item = String>) -> Cell {
    let values: Vec<String> = values.collect();
    if values.is_empty() {
        Cell::Nothing
    } else {
        text(&values.join("; "))
    }
}

/// A request that was never sent has no percentile.
fn request_quantile(request: &RequestResult, q: f64) -> String {
    if request.latency.histogram.is_empty() {
        return "-".to_owned();
    }
    (float(request.latency.quantile(q).ns) / 1e3).to_string()
}

/// A fault that was not injected has no figure, not even 0.
fn of_done(fault: &FaultRecord, text: String) -> String {
    if faults::done(fault) {
        text
    } else {
        "not done".to_owned()
    }
}

/// Returns all rounds of a run, in order.
pub(super) fn rows(run: &RunRecord) -> impl Iterator<Item = Row<'_>> {
    run.cases.iter().flat_map(move |case| {
        case.launches.iter().flat_map(move |launch| {
            launch.rounds.iter().map(move |round| Row {
                run,
                case,
                launch,
                round,
            })
        })
    })
}

/// Escapes a text that a spreadsheet would read as a formula with a leading apostrophe.
pub(in crate::report) fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn number(value: u64) -> Cell {
    Cell::Number(float(value))
}

/// Returns a figure that may be missing.
fn optional(value: Option<f64>) -> Cell {
    value.map_or(Cell::Nothing, Cell::Number)
}

fn metric(row: &Row, id: &str) -> Cell {
    optional(row.round.metrics.get(id).copied())
}

fn quantile(row: &Row, q: f64) -> Cell {
    let response = &row.round.load.response_time;
    if response.histogram.is_empty() {
        return Cell::Nothing;
    }
    Cell::Number(float(response.quantile(q).ns) / 1e3)
}
