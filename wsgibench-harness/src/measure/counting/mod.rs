//! Counted launches: a server runs under callgrind and answers a fixed number of requests on one connection.
//!
//! One launch has a warm-up, a window of many requests and an equally long one of few; the figures are the slope between them
//! ([`counts::window`](crate::counts::window)).

mod dumps;
mod quiescence;
mod siblings;
mod valgrind;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ring::digest;

pub use self::valgrind::{Valgrind, ValgrindError, installed_version};
use self::{
    dumps::{Dump, Dumps, State},
    siblings::Siblings,
};
use super::{
    driver::Driver,
    job::Ready,
    launch::{LaunchContext, LaunchFailure, ends_soon},
};
use crate::{
    counts::{CountRecord, ProcessWindows, Window, per_request, syscalls},
    declare::{Source, Work},
    load::{Counts, Load, LoadPlan, Model, RoundResult},
    sandbox::{Launch, PreparedServer, Sandbox, SandboxKind},
    stats::Metric,
    store::record::{RoundRecord, Validity},
};

/// Requests before instructions are counted at all, which valgrind answers several times faster: interpreters specialise their
/// bytecode, and servers fill their pools.
const PREPARATION: u64 = 200;
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
const RATIO: u32 = 10;
/// Timeouts of requests are multiplied by this.
const SLOWDOWN: u32 = 20;
/// Longest time of one window.
const AT_MOST: Duration = Duration::from_secs(300);
/// Bodies above this are not portable: how they arrive in pieces depends on the kernel and the machine's speed.
const LARGE_BODY: f64 = 65_536.0;
/// Host name in requests to servers that do not declare one: an address would vary in length.
const HOST: &str = "wsgibench.local";
/// Names of the dumps, in order.
const DUMPS: [&str; 3] = ["w0", "w1", "w2"];
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

    /// Returns the requests of the large window of a case, where a request takes `each`, and the window at most `longest`.
    fn requests(&self, case: &str, each: Duration, longest: Option<Duration>) -> u64 {
        let fitting = LARGE
            .iter()
            .find(|(limit, _)| each <= *limit)
            .map_or(LEAST, |(_, requests)| *requests);
        let in_time = longest.map(|longest| longest.as_micros() / each.as_micros().max(1));
        let in_time = in_time.and_then(|requests| u64::try_from(requests).ok());
        let fitting = in_time.map_or(fitting, |requests| fitting.min(requests).max(LEAST));
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

/// Returns the hash of what a count depends on besides image and machine: the requests, the server's limits and environment
/// variables. Its command is judged like its image.
fn definition(ready: &Ready) -> String {
    let spec = &ready.prepared.spec;
    // Paths of this machine, in the process sandbox.
    let own = |(name, _): &&(String, String)| !name.starts_with("VALGRIND_");
    let variables: Vec<_> = spec.env.iter().filter(own).collect();
    let parts = serde_json::json!([
        counted(&ready.job.case.work, 0).load(),
        spec.limits,
        variables,
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
        self.visit(ready, launch, PREPARATION)?;
        dumps.order("instrumentation on").map_err(cannot)?;
        self.visit(ready, launch, WARM_UP)?;
        let mut siblings = Siblings::find(&dumps).map_err(cannot)?;
        let trial = self.trial(ready, launch, &mut siblings)?;
        let each = Duration::from_secs_f64(trial.seconds / done(&trial.result).max(1.0));
        let longest = (!siblings.is_empty()).then_some(siblings::WINDOW);
        let large = plan.requests(&case.id, each, longest);
        let small = (large / u64::from(RATIO)).max(1);
        let order = |index: usize| dumps.order(&format!("dump {}", DUMPS[index]));
        let mut statements = vec![self.statements(ready, launch)?];
        let mut states: Vec<State> = vec![order(0).map_err(cannot)?];
        let many = self.visit(ready, launch, large)?;
        statements.push(self.statements(ready, launch)?);
        alive()?;
        states.push(order(1).map_err(cannot)?);
        // Workers report to their parent between the windows.
        siblings.go_on().and_then(|()| siblings.stop()).map_err(cannot)?;
        // As long as the large window, so that heartbeats and timers cancel.
        let every = Duration::from_secs_f64(many.seconds / (done(&many.result) / f64::from(RATIO)).max(1.0));
        let few = self.visit_every(ready, launch, small, Some(every))?;
        statements.push(self.statements(ready, launch)?);
        alive()?;
        states.push(order(2).map_err(cannot)?);
        siblings.go_on().map_err(cannot)?;
        self.visit(ready, launch, TAIL)?;
        // A process that has not run since the first dump has none to wait for.
        let awaited = [1, 2].map(|index| format!("dump {}", DUMPS[index]));
        dumps.settle(&awaited).map_err(cannot)?;
        let requests = [&few, &many].map(|visit| visit.result.counts.done);
        let mut record = figures(&dumps, &states, [&few, &many]).map_err(cannot)?;
        record.requests = requests;
        record.definition = definition(ready);
        let windows = [[&states[1], &states[2]], [&states[0], &states[1]]];
        let traced = dumps.traced(windows).map_err(other)?;
        record.system_calls_by_name = syscalls::per_request(&traced, requests);
        record.timing_dependent_calls = syscalls::timing_dependent(&record.system_calls_by_name);
        record.statements = statements_per_request(&statements, requests);
        if record.bytes_sent.max(record.bytes_received) > LARGE_BODY {
            record.notes.push(
                "its bodies are above 64 KiB, and arrive in pieces that depend on the machine: the count is not portable"
                    .to_owned(),
            );
        }
        Ok(round(record, many.result.counts))
    }

    /// Asks for a few requests with one of the workers that share a socket, and stops the others for as long as they are counted.
    /// If that one does not respond alone, the others go on.
    fn trial(&self, ready: &Ready, launch: &Launch, siblings: &mut Siblings<'_>) -> Result<Visit, LaunchFailure> {
        let cannot = |why: String| LaunchFailure::Other(format!("cannot be counted: {why}"));
        if !siblings.is_empty() {
            siblings.stop().map_err(cannot)?;
            match self.visit_within(ready, launch, TRIAL, None, Some(siblings::WINDOW)) {
                Err(LaunchFailure::Other(_)) => siblings.give_up().map_err(cannot)?,
                outcome => return outcome,
            }
        }
        self.visit(ready, launch, TRIAL)
    }

    /// Checks the responses before anything is counted.
    fn check(&self, ready: &Ready, launch: &Launch) -> Result<(), LaunchFailure> {
        let work = counted(&ready.job.case.work, 1);
        let plan = self.load_plan(ready, launch, &work, None);
        self.checked(&plan, &work, launch, |_| {}).map(drop)
    }

    fn load_plan(&self, ready: &Ready, launch: &Launch, work: &Work, every: Option<Duration>) -> LoadPlan {
        let mut target = ready.job.spec.target(launch.address());
        if ready.job.spec.host.is_none() {
            HOST.clone_into(&mut target.host);
        }
        // Not pinned: the server may use every CPU, and the client's time does not matter.
        let mut plan = LoadPlan::new(target, work.load().clone());
        plan.measurement_time = AT_MOST;
        plan.seed = self.order.seed;
        plan.before_request = Some(quiescence::of(launch, every));
        plan
    }

    /// One user asks for so many requests, or runs its script so many times, and leaves.
    fn visit(&self, ready: &Ready, launch: &Launch, requests: u64) -> Result<Visit, LaunchFailure> {
        self.visit_every(ready, launch, requests, None)
    }

    /// The same, with a distance in time between requests.
    fn visit_every(
        &self,
        ready: &Ready,
        launch: &Launch,
        requests: u64,
        every: Option<Duration>,
    ) -> Result<Visit, LaunchFailure> {
        self.visit_within(ready, launch, requests, every, None)
    }

    /// The same, with a shorter timeout of each request.
    fn visit_within(
        &self,
        ready: &Ready,
        launch: &Launch,
        requests: u64,
        every: Option<Duration>,
        timeout: Option<Duration>,
    ) -> Result<Visit, LaunchFailure> {
        if self.interrupt.asked() {
            return Err(LaunchFailure::Interrupted);
        }
        let mut work = counted(&ready.job.case.work, requests);
        if let Some(timeout) = timeout {
            let mut load = work.load().clone();
            load.timeout = load.timeout.min(timeout);
            work = work.with_load(load);
        }
        let begun = Instant::now();
        let mut driver = Driver::start(&self.load_plan(ready, launch, &work, every), &work)?;
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
        if lost > 0 && ends_soon(launch) {
            return Err(LaunchFailure::Died);
        }
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

/// Returns the slope of the statements; what the counter itself executes is the same in both windows. The large window lies
/// between the first two readings.
#[expect(clippy::cast_precision_loss, reason = "requests of a window are far below 2^52")]
fn statements_per_request(readings: &[Option<f64>], requests: [u64; 2]) -> Option<f64> {
    let [Some(a), Some(b), Some(c)] = readings[..] else {
        return None;
    };
    Some(((b - a) - (c - b)) / (requests[1] as f64 - requests[0] as f64))
}

/// Computes the figures from the dumps.
fn figures(dumps: &Dumps<'_>, states: &[State], visits: [&Visit; 2]) -> Result<CountRecord, String> {
    let (before, after) = (states[0].pids(), states[2].pids());
    if before != after {
        return Err(format!(
            "processes of the server ended or started while it was counted ({before:?} before, {after:?} after): disable worker \
             recycling, and give its workers a longer time limit, since valgrind makes them about {SLOWDOWN} times slower"
        ));
    }
    let fallback = [visits[1].seconds, visits[0].seconds];
    let processes = windows(dumps.dumps()?, fallback);
    let each = per_request(&processes, visits.map(|visit| visit.result.counts.done))?;
    #[expect(clippy::cast_precision_loss, reason = "bytes of a window are far below 2^52")]
    let bytes = |of: fn(&RoundResult) -> u64| of(&visits[1].result) as f64 / done(&visits[1].result).max(1.0);
    Ok(CountRecord {
        instructions: each.instructions,
        system_calls: each.system_calls,
        bytes_sent: bytes(|result| result.bytes_sent),
        bytes_received: bytes(|result| result.bytes_received),
        background_instructions_per_second: each.background_per_second,
        processes: each.processes,
        functions: each.functions,
        ..CountRecord::default()
    })
}

/// Returns the windows of each process. They last from dump to dump, or as long as `fallback` where the times are unknown.
///
/// A process that did not run in the large window has taken no dump at its end. It answers no requests, and is left out.
fn windows(dumps: Vec<Dump>, fallback: [f64; 2]) -> Vec<ProcessWindows> {
    let mut by_process: BTreeMap<u32, [Option<Dump>; 3]> = BTreeMap::new();
    for dump in dumps {
        let name = dump.profile.trigger.strip_prefix("dump ");
        let index = DUMPS.iter().position(|known| name == Some(*known));
        if let Some(index) = index {
            let dumps = by_process.entry(dump.profile.pid).or_default();
            dumps[index] = Some(dump);
        }
    }
    by_process
        .into_values()
        .filter(|dumps| dumps[1].is_some())
        .map(|dumps| {
            let window = |index: usize| {
                let mut window = Window::default();
                if let Some(dump) = &dumps[index] {
                    let before = dumps[..index].iter().rev().flatten().next();
                    let begun = before.and_then(|before| before.taken);
                    window.add(&dump.profile);
                    window.seconds = begun
                        .zip(dump.taken)
                        .map_or(fallback[index - 1], |(begun, ended)| ended - begun);
                }
                window
            };
            ProcessWindows {
                large: window(1),
                small: window(2),
            }
        })
        .collect()
}

/// Makes the record of a round. Its load has counts and no times, which valgrind would falsify.
fn round(record: CountRecord, counts: Counts) -> RoundRecord {
    let mut metrics = BTreeMap::from([
        (Metric::InstructionsPerRequest.id().to_owned(), record.instructions),
        (
            Metric::SyscallsPerRequest.id().to_owned(),
            record.system_calls - record.timing_dependent_calls,
        ),
    ]);
    if let Some(statements) = record.statements {
        metrics.insert(Metric::StatementsPerRequest.id().to_owned(), statements);
    }
    let mut load = RoundResult::default();
    load.counts = counts;
    RoundRecord {
        index: 0,
        load,
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
        waits: None,
        counts: Some(Box::new(record)),
        pods: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{counts::callgrind::Profile, load::get};

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
    fn windows_last_from_dump_to_dump_of_each_process() {
        let dump = |pid: u32, name: &str, taken: Option<f64>, instructions: u64| Dump {
            taken,
            profile: Profile {
                pid,
                trigger: format!("dump {name}"),
                instructions,
                ..Profile::default()
            },
        };
        let at = Some;
        let found = windows(
            vec![
                dump(7, "w0", at(10.0), 99),
                dump(7, "w1", at(12.5), 50),
                dump(7, "w2", at(15.0), 5),
                // Asleep through the end of the large window.
                dump(8, "w0", at(10.0), 99),
                dump(8, "w2", at(20.0), 60),
                dump(9, "w0", None, 99),
                dump(9, "w1", None, 70),
                dump(9, "w2", None, 7),
            ],
            [5.0, 5.5],
        );
        let last = |windows: &ProcessWindows, large: f64, small: f64| {
            (windows.large.seconds - large).abs() < 1e-9 && (windows.small.seconds - small).abs() < 1e-9
        };
        assert!(last(&found[0], 2.5, 2.5) && last(&found[1], 5.0, 5.5), "{found:?}");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].small.instructions, found[1].large.instructions), (5, 70));
    }

    #[test]
    fn statements_of_the_counter_itself_cancel() {
        // Two a request, and one of the counter before each reading.
        let readings = [Some(10.0), Some(10.0 + 1_200.0 + 1.0), Some(1_211.0 + 120.0 + 1.0)];
        assert_eq!(statements_per_request(&readings, [60, 600]), Some(2.0));
        assert_eq!(statements_per_request(&[None, None, None], [60, 600]), None);
    }

    #[test]
    fn all_launches_of_a_case_have_the_requests_of_the_first() {
        let plan = CountPlan::new(Valgrind::sample(), vec![0, 1]);
        assert_eq!(plan.requests("a", Duration::from_millis(2), None), 600);
        assert_eq!(plan.requests("a", Duration::from_millis(90), None), 600);
        assert_eq!(plan.requests("b", Duration::from_millis(90), None), 120);
        assert_eq!(plan.requests("c", Duration::from_secs(1), None), LEAST);
        let longest = Some(Duration::from_secs(6));
        assert_eq!(plan.requests("d", Duration::from_millis(50), longest), 120);
        assert_eq!(plan.requests("e", Duration::from_millis(2), longest), 600);
        assert_eq!(plan.requests("f", Duration::from_secs(1), longest), LEAST);
        assert_eq!((plan.side_by_side(1), plan.side_by_side(2)), (2, 1));
        assert_eq!((plan.cpus(0, 1), plan.cpus(1, 1)), (vec![0], vec![1]));
    }
}
