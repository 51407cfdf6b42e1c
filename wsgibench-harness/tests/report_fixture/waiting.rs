//! A run whose servers wait.

use wsgibench_harness::{
    store::record::{CaseRecord, RunRecord},
    waits::{AcceptQueue, Cause, ThreadStates, ThreadWait, WaitRecord, WorkerCpu, accept_queue::QueueSecond},
};

use super::{Shape, case, run, shape};

fn record(workers: &[f64], mean: f64, overflows: u64) -> WaitRecord {
    let worker = |cpu_seconds: &f64| WorkerCpu {
        name: "gunicorn".to_owned(),
        cpu_seconds: *cpu_seconds,
        runnable_seconds: 0.01,
    };
    let second = |at: u32| QueueSecond {
        at: f64::from(at),
        mean: mean * (0.5 + f64::from(at) * 0.5),
        max: mean.ceil() as u64 * 2,
    };
    WaitRecord {
        cpus: 1.0,
        workers: workers.iter().map(worker).collect(),
        accept_queue: Some(AcceptQueue {
            samples: 100,
            mean,
            max: mean.ceil() as u64 * 2,
            limit: Some(128),
            series: (0..3).map(second).collect(),
            overflows: Some(overflows),
            of_machine: false,
        }),
        threads: None,
        observer_cpu_seconds: 0.003,
        notes: Vec::new(),
    }
}

fn waits(server: &str, record: &WaitRecord) -> CaseRecord {
    let some = Shape {
        launches: 3,
        rounds: 2,
        ..shape(900.0)
    };
    let mut case = case("ping", server, 16, some);
    for round in case.launches.iter_mut().flat_map(|launch| &mut launch.rounds) {
        let cpu: f64 = record.workers.iter().map(|worker| worker.cpu_seconds).sum();
        round.server_cpu_seconds = Some(cpu);
        round.waits = Some(Box::new(record.clone()));
    }
    case
}

/// A server that sleeps in requests.
fn sleeping() -> WaitRecord {
    let wait = ThreadWait {
        cause: Cause::Sleep,
        target: String::new(),
        place: "nap ./<app>.py:12".to_owned(),
        samples: 80,
        threads: 2.4,
    };
    WaitRecord {
        threads: Some(ThreadStates {
            threads: 5,
            cpu_seconds: 0.1,
            runnable_seconds: 0.02,
            samples: 40,
            waits: vec![wait],
        }),
        ..record(&[0.1], 0.1, 0)
    }
}

/// Returns cases with an imbalance, a full accept queue, an overflow, a sleep, nothing that stands out, and nothing that is visible.
pub(crate) fn waiting() -> RunRecord {
    let unseen = WaitRecord {
        notes: vec!["workers and accept queue are unknown: <not> visible".to_owned()],
        ..WaitRecord::default()
    };
    run(vec![
        waits("imbalanced", &record(&[0.7, 0.3], 0.0, 0)),
        waits("queued", &record(&[0.4], 14.2, 0)),
        waits("overflowing", &record(&[1.2, 1.2], 15.0, 12)),
        waits("sleeping", &sleeping()),
        waits("balanced", &record(&[0.5; 10], 0.2, 0)),
        waits("unseen", &unseen),
    ])
}
