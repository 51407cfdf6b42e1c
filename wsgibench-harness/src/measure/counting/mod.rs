//! Counted launches: a server runs under callgrind and answers a fixed number of requests on one connection.
//!
//! One launch has a warm-up, a small window, an idle window and a large window; the figures are the slope between the small
//! and the large one ([`counts::window`](crate::counts::window)).

mod dumps;
mod valgrind;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ring::digest;

use self::dumps::{Dumps, State};
pub use self::valgrind::{Valgrind, ValgrindError};
use super::{
    driver::Driver,
    job::Ready,
    launch::{LaunchContext, LaunchFailure},
    response_check,
};
use crate::{
    counts::{CountRecord, Window, per_request, syscalls},
    declare::{Source, Work},
    load::{Counts, Load, LoadPlan, Model, RoundResult, Stripe},
    sandbox::{Launch, PreparedServer, Sandbox, SandboxKind},
    stats::Metric,
    store::record::{RoundRecord, Validity},
};

/// Requests before the first window: caches, lazy imports and specialised bytecode settle, and valgrind translates most code.
const WARM_UP: u64 = 80;
/// Requests after those, by whose time the windows are sized.
const TRIAL: u64 = 20;
/// Requests after the last window, at which idle processes take their last dump.
const TAIL: u64 = 8;
/// Requests of the large window, by what a request takes under valgrind: fast, slow, very slow.
const LARGE: [(Duration, u64); 3] = [
    (Duration::from_millis(12), 600),
    (Duration::from_millis(60), 300),
    (Duration::from_millis(200), 120),
];
/// Requests of the large window where even those take too long.
const LEAST: u64 = 60;
/// The large window has this many times the requests of the small one.
const RATIO: u64 = 10;
/// Length of the idle window.
const IDLE: Duration = Duration::from_secs(1);
/// Timeouts of requests are multiplied by this.
const SLOWDOWN: u32 = 20;
/// Longest time of one window.
const AT_MOST: Duration = Duration::from_secs(300);
/// Bodies above this are not portable: how they arrive in pieces depends on the kernel and the machine's speed.
const LARGE_BODY: f64 = 65_536.0;
/// Host name in requests to servers that do not declare one: an address would vary in length.
const HOST: &str = "wsgibench.local";
/// Names of the dumps, in order.
const DUMPS: [&str; 4] = ["w0", "w1", "w2", "w3"];
/// Expected time of a launch.
pub(super) const LAUNCH_TIME: Duration = Duration::from_secs(10);

/// Settings of a counted run.
#[derive(Debug)]
pub struct CountPlan {
    /// The tool.
    pub valgrind: Valgrind,
    /// CPUs that launches side by side are distributed over.
    pub cpus: Vec<usize>,
    /// Requests of the large window of each case: the first launch decides, so that all launches agree.
    requests: Mutex<BTreeMap<String, u64>>,
}

impl CountPlan {
    /// Creates the plan of a run.
    #[must_use]
    pub fn new(valgrind: Valgrind, cpus: Vec<usize>) -> Self {
        Self {
            valgrind,
            cpus,
            requests: Mutex::default(),
        }
    }

    /// Number of launches that run side by side, if each has `cpus` CPUs of its own.
    pub(super) fn side_by_side(&self, cpus: usize) -> usize {
        (self.cpus.len() / cpus.max(1)).clamp(1, 2)
    }

    /// CPUs of a launch in this place of those side by side.
    pub(super) fn cpus(&self, place: usize, cpus: usize) -> Vec<usize> {
        let own: Vec<usize> = self.cpus.chunks(cpus.max(1)).nth(place).unwrap_or_default().to_vec();
        if own.is_empty() { self.cpus.clone() } else { own }
    }

    fn requests(&self, case: &str, each: Duration) -> u64 {
        let fitting = LARGE
            .iter()
            .find(|(limit, _)| each <= *limit)
            .map_or(LEAST, |(_, requests)| *requests);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry(case.to_owned()).or_insert(fitting)
    }

    /// Returns the prepared server, to be launched under valgrind.
    pub(super) async fn instrumented(
        &self,
        sandbox: &Sandbox,
        prepared: &PreparedServer,
    ) -> Result<PreparedServer, String> {
        if matches!(prepared.spec.source, Source::Running(_)) {
            return Err("cannot be counted: it runs already, and counting starts servers under valgrind".to_owned());
        }
        if !sandbox.shares_files() {
            return Err(
                "cannot be counted: the container engine is on another machine and cannot see valgrind of this one; run \
                 there, or use --sandbox process"
                    .to_owned(),
            );
        }
        let command = sandbox
            .command_of(prepared)
            .await
            .map_err(|error| format!("cannot be counted: {error}"))?;
        Ok(prepared.under(self.valgrind.instrument(sandbox.kind()), &command))
    }
}

/// Returns the instrumented server, with each system call traced.
pub(super) fn traced(instrumented: &PreparedServer) -> PreparedServer {
    instrumented.with_tool_option("--trace-syscalls=yes")
}

/// Returns the work of a case as it is counted: one user on one connection, without think time, with long timeouts.
pub(super) fn counted(work: &Work, requests: u64) -> Work {
    let load = work.load();
    let mut counted = load.clone();
    counted.model = Model::Users {
        batch: 1,
        every: Duration::from_secs(3_600),
        arriving_for: Duration::from_millis(1),
        requests_per_user: requests,
    };
    counted.timeout = load.timeout.saturating_mul(SLOWDOWN);
    counted.connect_timeout = load.connect_timeout.saturating_mul(SLOWDOWN);
    counted.idle_connections = 0;
    counted.measurement_time = None;
    counted.of_capacity = false;
    counted.background_clients = Vec::new();
    counted.faults = Vec::new();
    counted.skips_thinking = true;
    work.clone().with_load(counted)
}

/// Returns whether two loads are counted alike: they differ in connections, rate or duration only.
#[must_use]
pub fn counts_alike(a: &Load, b: &Load) -> bool {
    let normal = |load: &Load| counted(&Work::Load(load.clone()), 1);
    normal(a).load() == normal(b).load()
}

/// Returns the hash of what a count depends on besides image and machine: the requests, the server's limits and command.
fn definition(ready: &Ready) -> String {
    let spec = &ready.prepared.spec;
    let parts = serde_json::json!([
        counted(&ready.job.case.work, 0).load(),
        spec.limits,
        spec.env,
        ready
            .job
            .case
            .values
            .iter()
            .filter(|(name, _)| !is_of_load(name))
            .collect::<Vec<_>>(),
    ]);
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(parts.to_string().as_bytes());
    hex::encode(&hash.finish().as_ref()[..6])
}

/// Whether a scenario's parameter says how much load there is, and not what is asked.
#[must_use]
pub fn is_of_load(parameter: &str) -> bool {
    ["connections", "rate", "users", "per_second"].contains(&parameter)
}

/// A number of requests between two dumps.
struct Visit {
    result: RoundResult,
    seconds: f64,
}

impl LaunchContext<'_> {
    /// Counts a ready launch.
    pub(super) fn count(
        &self,
        plan: &CountPlan,
        kind: SandboxKind,
        ready: &Ready,
        launch: &Launch,
        traced: bool,
    ) -> Result<RoundRecord, LaunchFailure> {
        let other = LaunchFailure::Other;
        let cannot = |why: String| LaunchFailure::Other(format!("cannot be counted: {why}"));
        let case = &ready.job.case;
        self.check(ready, launch)?;
        let dumps = Dumps {
            launch,
            runtime: self.runtime,
            kind,
            vgdb: plan.valgrind.vgdb_command(kind),
        };
        let alive = || {
            if launch.is_alive() {
                Ok(())
            } else {
                Err(LaunchFailure::Died)
            }
        };
        dumps.order("instrumentation on").map_err(cannot)?;
        self.visit(ready, launch, WARM_UP)?;
        let trial = self.visit(ready, launch, TRIAL)?;
        let each = Duration::from_secs_f64(trial.seconds / done(&trial.result).max(1.0));
        let large = plan.requests(&case.id, each);
        let small = (large / RATIO).max(1);
        let mut statements = vec![self.statements(ready, launch)?];
        let mut states: Vec<State> = Vec::new();
        let order = |index: usize| dumps.order(&format!("dump {}", DUMPS[index]));
        states.push(order(0).map_err(cannot)?);
        let first = self.visit(ready, launch, small)?;
        statements.push(self.statements(ready, launch)?);
        alive()?;
        let begun = Instant::now();
        states.push(order(1).map_err(cannot)?);
        thread::sleep(IDLE.saturating_sub(begun.elapsed()));
        let idle_seconds = begun.elapsed().as_secs_f64();
        states.push(order(2).map_err(cannot)?);
        let second = self.visit(ready, launch, large)?;
        statements.push(self.statements(ready, launch)?);
        alive()?;
        states.push(order(3).map_err(cannot)?);
        self.visit(ready, launch, TAIL)?;
        dumps.settle(&format!("dump {}", DUMPS[3])).map_err(cannot)?;
        let requests = [&first, &second].map(|visit| visit.result.counts.done);
        let mut record = figures(&dumps, &states, [&first, &second], idle_seconds).map_err(cannot)?;
        record.requests = requests;
        record.definition = definition(ready);
        if traced {
            let of = |from: usize, until: usize| dumps.traced(&states[from], &states[until]);
            let calls = [of(0, 1).map_err(other)?, of(2, 3).map_err(other)?];
            record.system_calls_by_name = syscalls::per_request(&calls, requests);
        }
        record.statements = statements_per_request(&statements, requests);
        if record.bytes_sent.max(record.bytes_received) > LARGE_BODY {
            record.notes.push(
                "its bodies are above 64 KiB, and arrive in pieces that depend on the machine: the count is not portable"
                    .to_owned(),
            );
        }
        Ok(round(record, second.result.counts))
    }

    /// Checks the responses before anything is counted.
    fn check(&self, ready: &Ready, launch: &Launch) -> Result<(), LaunchFailure> {
        let work = counted(&ready.job.case.work, 1);
        let checked = response_check::check(&self.load_plan(ready, launch, &work), &work, self.interrupt, |_| {});
        checked.map(drop).map_err(LaunchFailure::from)
    }

    fn load_plan(&self, ready: &Ready, launch: &Launch, work: &Work) -> LoadPlan {
        let mut target = ready.job.spec.target(launch.address());
        if ready.job.spec.host.is_none() {
            HOST.clone_into(&mut target.host);
        }
        LoadPlan {
            target,
            load: work.load().clone(),
            warm_up: Duration::ZERO,
            rounds: 1,
            measurement_time: AT_MOST,
            // The server may use every CPU: the client's time does not matter.
            cpus: Vec::new(),
            seed: self.order.seed,
            stripe: Stripe::default(),
            busy_poll: false,
        }
    }

    /// One user asks for so many requests, or runs its script so many times, and leaves.
    fn visit(&self, ready: &Ready, launch: &Launch, requests: u64) -> Result<Visit, LaunchFailure> {
        if self.interrupt.asked() {
            return Err(LaunchFailure::Interrupted);
        }
        let work = counted(&ready.job.case.work, requests);
        let begun = Instant::now();
        let mut driver = Driver::start(&self.load_plan(ready, launch, &work), &work)?;
        let watch = driver.watch();
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner).push(watch);
        let result = driver.one_visit(requests, AT_MOST);
        driver.finish()?;
        let result = result?;
        if self.interrupt.asked() {
            return Err(LaunchFailure::Interrupted);
        }
        if !launch.is_alive() {
            return Err(LaunchFailure::Died);
        }
        let counts = &result.counts;
        let lost = counts.failed + counts.timed_out;
        if lost > 0 || counts.done == 0 {
            let sample = result
                .error_samples
                .first()
                .map_or(String::new(), |(_, text)| format!(": {text}"));
            return Err(LaunchFailure::Other(format!(
                "cannot be counted: {lost} of {} requests failed under valgrind, which makes the server about {SLOWDOWN} times \
                 slower{sample}",
                counts.offered
            )));
        }
        Ok(Visit {
            seconds: begun.elapsed().as_secs_f64(),
            result,
        })
    }

    /// Statements that the server's companions have executed so far; `None` if none of them counts.
    fn statements(&self, ready: &Ready, launch: &Launch) -> Result<Option<f64>, LaunchFailure> {
        let mut sum = None;
        for companion in &ready.job.spec.companions {
            if companion.statement_counter.is_empty() {
                continue;
            }
            let words: Vec<&str> = companion.statement_counter.iter().map(String::as_str).collect();
            let output = self
                .runtime
                .block_on(launch.exec_in(&companion.name, &words))
                .map_err(|error| LaunchFailure::Other(format!("failed to count statements: {error}")))?;
            let text = String::from_utf8_lossy(&output.stdout);
            let count: f64 = text.trim().parse().map_err(|_| {
                let errors = String::from_utf8_lossy(&output.stderr);
                LaunchFailure::Other(format!(
                    "the statement counter of companion `{}` printed no number: {}",
                    companion.name,
                    format!("{text} {errors}").trim()
                ))
            })?;
            *sum.get_or_insert(0.0) += count;
        }
        Ok(sum)
    }
}

#[expect(clippy::cast_precision_loss, reason = "requests of a window are far below 2^52")]
fn done(result: &RoundResult) -> f64 {
    result.counts.done as f64
}

/// Returns the slope of the statements; what the counter itself executes is the same in both windows.
#[expect(clippy::cast_precision_loss, reason = "requests of a window are far below 2^52")]
fn statements_per_request(readings: &[Option<f64>], requests: [u64; 2]) -> Option<f64> {
    let [Some(a), Some(b), Some(c)] = readings[..] else {
        return None;
    };
    Some(((c - b) - (b - a)) / (requests[1] as f64 - requests[0] as f64))
}

/// Computes the figures from the dumps.
fn figures(dumps: &Dumps<'_>, states: &[State], visits: [&Visit; 2], idle_seconds: f64) -> Result<CountRecord, String> {
    let (before, after) = (states[1].pids(), states[3].pids());
    if before != after {
        return Err(format!(
            "processes of the server ended or started while it was counted ({before:?} before, {after:?} after): disable worker \
             recycling, and give its workers a longer time limit, since valgrind makes them about {SLOWDOWN} times slower"
        ));
    }
    let mut windows: BTreeMap<String, Window> = BTreeMap::new();
    let mut active = std::collections::BTreeSet::new();
    for profile in dumps.profiles()? {
        let Some(name) = profile.trigger.strip_prefix("dump ") else {
            continue;
        };
        if profile.instructions > 0 && DUMPS[1..].contains(&name) {
            active.insert(profile.pid);
        }
        windows.entry(name.to_owned()).or_default().add(&profile);
    }
    let mut window = |name: &str, requests: u64, seconds: f64| Window {
        requests,
        seconds,
        ..windows.remove(name).unwrap_or_default()
    };
    let small = window(DUMPS[1], visits[0].result.counts.done, visits[0].seconds);
    let idle = window(DUMPS[2], 0, idle_seconds);
    let large = window(DUMPS[3], visits[1].result.counts.done, visits[1].seconds);
    let each = per_request(&small, &idle, &large)?;
    #[expect(clippy::cast_precision_loss, reason = "bytes of a window are far below 2^52")]
    let bytes = |of: fn(&RoundResult) -> u64| of(&visits[1].result) as f64 / done(&visits[1].result).max(1.0);
    Ok(CountRecord {
        instructions: each.instructions,
        system_calls: each.system_calls,
        bytes_sent: bytes(|result| result.bytes_sent),
        bytes_received: bytes(|result| result.bytes_received),
        idle_instructions_per_second: each.idle_per_second,
        processes: active.len(),
        functions: each.functions,
        ..CountRecord::default()
    })
}

/// Makes the record of a round. Its load has counts and no times, which valgrind would falsify.
fn round(record: CountRecord, counts: Counts) -> RoundRecord {
    let mut metrics = BTreeMap::from([
        (Metric::InstructionsPerRequest.id().to_owned(), record.instructions),
        (Metric::SyscallsPerRequest.id().to_owned(), record.system_calls),
    ]);
    if let Some(statements) = record.statements {
        metrics.insert(Metric::StatementsPerRequest.id().to_owned(), statements);
    }
    RoundRecord {
        index: 0,
        load: RoundResult {
            counts,
            ..RoundResult::default()
        },
        server_cpu_user_seconds: None,
        server_cpu_system_seconds: None,
        server_cpu_seconds: None,
        throttled_seconds: None,
        memory_mean_bytes: None,
        memory_peak_bytes: None,
        server_series: Vec::new(),
        memory_growth: None,
        companions: Vec::new(),
        metrics,
        validity: Validity::default(),
        capacity_per_second: None,
        burst: None,
        background_clients: Vec::new(),
        faults: Vec::new(),
        pulses: Vec::new(),
        counts: Some(Box::new(record)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::get;

    #[test]
    fn loads_that_differ_in_connections_or_rate_are_counted_once() {
        let ask = || get("/").expect_status(200);
        let few = Load::closed(4).request(ask());
        assert!(counts_alike(&few, &Load::closed(64).request(ask())));
        assert!(counts_alike(&few, &Load::rate(100).request(ask())));
        assert!(!counts_alike(&few, &Load::closed(4).request(get("/other"))));
        let closing = Load::closed(4).request(ask()).keep_alive(crate::load::KeepAlive::Never);
        assert!(!counts_alike(&few, &closing));
    }

    #[test]
    fn statements_of_the_counter_itself_cancel() {
        // Two a request, and one of the counter before each reading.
        let readings = [Some(10.0), Some(10.0 + 120.0 + 1.0), Some(131.0 + 1_200.0 + 1.0)];
        assert_eq!(statements_per_request(&readings, [60, 600]), Some(2.0));
        assert_eq!(statements_per_request(&[None, None, None], [60, 600]), None);
    }

    #[test]
    fn all_launches_of_a_case_have_the_requests_of_the_first() {
        let plan = CountPlan::new(Valgrind::sample(), vec![0, 1]);
        assert_eq!(plan.requests("a", Duration::from_millis(2)), 600);
        assert_eq!(plan.requests("a", Duration::from_millis(90)), 600);
        assert_eq!(plan.requests("b", Duration::from_millis(90)), 120);
        assert_eq!(plan.requests("c", Duration::from_secs(1)), LEAST);
        assert_eq!((plan.side_by_side(1), plan.side_by_side(2)), (2, 1));
        assert_eq!((plan.cpus(0, 1), plan.cpus(1, 1)), (vec![0], vec![1]));
    }
}
