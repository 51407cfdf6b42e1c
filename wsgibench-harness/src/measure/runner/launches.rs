//! Launches of one case, or of both arms of a case whose load can be interleaved. Outcomes are written immediately.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, PoisonError},
    thread,
    time::Duration,
};

use super::{Next, Runner};
use crate::{
    load::{Watch, raise_descriptors},
    measure::{
        counting::CountPlan,
        event::Event,
        hooks,
        interleave::{self, Arm},
        job::{Job, Ready},
        launch::{self, LaunchContext, LaunchFailure, log_name, log_path},
    },
    sandbox::{Launch, LaunchError, StopInfo},
    store::{
        Entry, RunWriter, StoreError,
        arms::CANDIDATE,
        record::{CaseOutcome, LaunchRecord, RoundRecord},
    },
};

/// Warm-up and length of a reference load.
const REFERENCE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(300));

/// Number of output lines of an exited server shown in an error.
const LAST_LINES: usize = 15;

/// The outcome of a launch.
enum End {
    Fine,
    /// The server lacks a feature that the load requires.
    Unsupported(String),
    Failed(String),
    /// A script blocks a thread.
    Held(String),
}

/// A launch that has begun.
struct Begun<'r> {
    ready: &'r Ready,
    launch: Rc<Launch>,
    record: LaunchRecord,
    log: PathBuf,
}

/// The arm of a round.
struct Key {
    case: String,
    arm: &'static str,
    launch: u32,
}

impl Begun<'_> {
    fn key(&self) -> Key {
        Key {
            case: self.ready.job.case.id.clone(),
            arm: self.ready.job.arm,
            launch: self.record.index,
        }
    }
}

impl Runner<'_> {
    /// Runs one launch.
    pub(super) fn launch(&self, writer: &mut RunWriter, ready: &Ready, block: u32) -> Result<Next, StoreError> {
        let mut begun = match self.begin(writer, ready, block)? {
            Ok(begun) => begun,
            Err(next) => return Ok(next),
        };
        let context = self.context(writer);
        begun.record.reference.extend(self.reference_rate());
        let mut disk = None;
        let mut notes = Vec::new();
        let keep = |round| self.keep(writer, &begun.key(), round, &mut disk);
        let case = &ready.job.case;
        let note = |note| notes.push(note);
        let (launch, record) = (&begun.launch, &begun.record);
        let outcome = hooks::run("set-up", case.setup, ready, launch, self.runtime, self.interrupt).and_then(|()| {
            match &self.order.profiling {
                Some(plan) => context.profile(plan, ready, launch, record, keep, note),
                None => context.load(ready, launch, record, keep, note),
            }
        });
        let torn_down = self.tear_down(&begun);
        begun.record.reference.extend(self.reference_rate());
        if let Some(error) = disk {
            return Err(error);
        }
        for note in notes {
            self.notice_once(writer, &case.id, note)?;
        }
        self.end(writer, begun, outcome.and(torn_down))
    }

    /// Runs both arms of a case with alternating load. The case's outcome is the worse of the two.
    pub(super) fn launch_both(
        &self,
        writer: &mut RunWriter,
        ready: [&Ready; 2],
        block: u32,
    ) -> Result<Next, StoreError> {
        let mut first = match self.begin(writer, ready[0], block)? {
            Ok(begun) => begun,
            Err(next) => return Ok(next),
        };
        let second = match self.begin(writer, ready[1], block)? {
            Ok(begun) => begun,
            Err(next) => {
                self.end(writer, first, Ok(()))?;
                return Ok(next);
            }
        };
        let context = self.context(writer);
        let before = self.reference_rate();
        let mut disk = None;
        let mut notes = Vec::new();
        let keys = [first.key(), second.key()];
        let outcomes = {
            let mut keep = |arm: usize, round| self.keep(writer, &keys[arm], round, &mut disk);
            self.load_both(&context, [&first, &second], &mut keep, &mut notes)
        };
        let torn_down = [self.tear_down(&first), self.tear_down(&second)];
        let after = self.reference_rate();
        if let Some(error) = disk {
            return Err(error);
        }
        for note in notes {
            self.notice_once(writer, &ready[0].job.case.id, note)?;
        }
        let mut next = Next::GoOn;
        let [of_first, of_second] = outcomes;
        let [first_torn_down, second_torn_down] = torn_down;
        // Both launches share the same reference loads, which are recorded once.
        first.record.reference.extend(before.into_iter().chain(after));
        for (begun, outcome) in [
            (first, of_first.and(first_torn_down)),
            (second, of_second.and(second_torn_down)),
        ] {
            next = next.max(self.end(writer, begun, outcome)?);
        }
        Ok(next)
    }

    /// Set-up, checks and load of both arms.
    fn load_both(
        &self,
        context: &LaunchContext,
        begun: [&Begun; 2],
        keep: &mut dyn FnMut(usize, RoundRecord) -> Result<(), LaunchFailure>,
        notes: &mut Vec<String>,
    ) -> [Result<(), LaunchFailure>; 2] {
        let mut open = |arm: usize| {
            let begun = begun[arm];
            let case = &begun.ready.job.case;
            hooks::run(
                "set-up",
                case.setup,
                begun.ready,
                &begun.launch,
                self.runtime,
                self.interrupt,
            )
            .and_then(|()| context.open(begun.ready, &begun.launch, &begun.record, |note| notes.push(note)))
        };
        let first = match open(0) {
            Ok(Some(opened)) => opened,
            Ok(None) => return [Ok(()), Ok(())],
            Err(failure) => return [Err(failure), Ok(())],
        };
        let second = match open(1) {
            Ok(Some(opened)) => opened,
            other => return [launch::finish(first.driver, Ok(())), other.map(|_| ())],
        };
        let arm = |index: usize, opened| Arm {
            ready: begun[index].ready,
            launch: &begun[index].launch,
            opened,
        };
        interleave::run(context, [arm(0, first), arm(1, second)], keep)
    }

    /// Counts launches side by side, each on CPUs of its own. A case whose launch fails is added to `dropped`.
    pub(super) fn launch_counted(
        &self,
        plan: &CountPlan,
        writer: &mut RunWriter,
        turn: &[(u32, &Ready)],
        dropped: &mut HashSet<String>,
    ) -> Result<Next, StoreError> {
        let cpus = turn.iter().map(|(_, ready)| ready.job.spec.limits.cpus).max();
        let placed: Vec<(u32, Ready)> = turn
            .iter()
            .enumerate()
            .map(|(place, (block, ready))| {
                let cpus = plan.cpus(place, cpus.unwrap_or(1));
                let prepared = Arc::new(ready.prepared.on_cpus(&cpus));
                let job = ready.job.clone();
                (*block, Ready { job, prepared })
            })
            .collect();
        let starts = placed.iter().enumerate().map(|(place, (_, ready))| {
            let job = &ready.job;
            let same = |other: &Job| other.case.id == job.case.id && other.arm == job.arm;
            let earlier = placed[..place].iter().filter(|(_, other)| same(&other.job)).count();
            let index = self.launches_so_far(writer.run(), &job.case.id, job.arm) + u32::try_from(earlier).unwrap_or(0);
            let log = log_path(writer.dir(), &job.case.id, job.arm, index);
            async move { self.sandbox.launch(&ready.prepared, &log).await }
        });
        let started = self.runtime.block_on(futures_util::future::join_all(starts));
        let mut next = Next::GoOn;
        let mut running = Vec::new();
        for ((block, ready), launch) in placed.iter().zip(started) {
            match self.begun(writer, ready, *block, launch)? {
                Ok(begun) => running.push(begun),
                Err(_) => {
                    dropped.insert(ready.job.case.id.clone());
                }
            }
        }
        let context = self.context(writer);
        let kind = self.sandbox.kind();
        let set_up: Vec<Result<(), LaunchFailure>> = running
            .iter()
            .map(|begun| {
                let hook = begun.ready.job.case.setup;
                hooks::run("set-up", hook, begun.ready, &begun.launch, self.runtime, self.interrupt)
            })
            .collect();
        let cancels = Arc::clone(&context.cancels);
        self.interrupt.on_first(Some(Box::new(move || {
            let watches = cancels.lock().unwrap_or_else(PoisonError::into_inner);
            watches.iter().for_each(Watch::cancel);
        })));
        let outcomes: Vec<Result<RoundRecord, LaunchFailure>> = thread::scope(|scope| {
            let counting: Vec<_> = running
                .iter()
                .zip(set_up)
                .map(|(begun, set_up)| {
                    let (context, ready, launch): (_, _, &Launch) = (&context, begun.ready, &begun.launch);
                    set_up.map(|()| scope.spawn(move || context.count(plan, kind, ready, launch)))
                })
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Result<RoundRecord, LaunchFailure>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            counting.into_iter().map(|thread| thread.and_then(join)).collect()
        });
        self.interrupt.on_first(None);
        for (begun, outcome) in running.into_iter().zip(outcomes) {
            let torn_down = self.tear_down(&begun);
            let mut disk = None;
            let mut notes = Vec::new();
            let outcome = outcome.and_then(|round| {
                notes = round
                    .counts
                    .as_ref()
                    .map(|counts| counts.notes.clone())
                    .unwrap_or_default();
                self.keep(writer, &begun.key(), round, &mut disk)
            });
            if let Some(error) = disk {
                return Err(error);
            }
            let id = begun.ready.job.case.id.clone();
            for note in notes {
                self.notice_once(writer, &id, note)?;
            }
            match self.end(writer, begun, outcome.and(torn_down))? {
                Next::GoOn => {}
                Next::DropCase => {
                    dropped.insert(id);
                }
                Next::EndRun => next = Next::EndRun,
            }
        }
        Ok(next)
    }

    fn context(&self, writer: &RunWriter) -> LaunchContext<'_> {
        LaunchContext {
            order: self.order,
            runtime: self.runtime,
            interrupt: self.interrupt,
            ceilings: writer.run().ceilings(),
            published_port: self.sandbox.path() == "published port",
            emit: self.emit,
            cancels: Arc::default(),
        }
    }

    /// Starts a server and records the start. A failed start is an outcome of its case.
    fn begin<'r>(
        &self,
        writer: &mut RunWriter,
        ready: &'r Ready,
        block: u32,
    ) -> Result<Result<Begun<'r>, Next>, StoreError> {
        let job = &ready.job;
        let id = &job.case.id;
        let index = self.launches_so_far(writer.run(), id, job.arm);
        let log = log_path(writer.dir(), id, job.arm, index);
        // Report a limit of this process before starting a server.
        if let Err(error) = raise_descriptors(job.case.work.load()) {
            self.outcome(writer, id, CaseOutcome::Failed(error.to_string()))?;
            return Ok(Err(Next::DropCase));
        }
        let launch = self.runtime.block_on(self.sandbox.launch(&ready.prepared, &log));
        self.begun(writer, ready, block, launch)
    }

    /// Records a started server, or its failure to start.
    fn begun<'r>(
        &self,
        writer: &mut RunWriter,
        ready: &'r Ready,
        block: u32,
        launch: Result<Launch, LaunchError>,
    ) -> Result<Result<Begun<'r>, Next>, StoreError> {
        let launch = match launch {
            Ok(launch) => launch,
            Err(error) => return self.failed_start(writer, ready, &error).map(Err),
        };
        let job = &ready.job;
        let id = &job.case.id;
        let index = self.launches_so_far(writer.run(), id, job.arm);
        let log = log_path(writer.dir(), id, job.arm, index);
        let seconds = launch.start_up();
        let started = jiff::Timestamp::now()
            .saturating_sub(jiff::SignedDuration::try_from(seconds).unwrap_or_default())
            .unwrap_or_else(|_| jiff::Timestamp::now());
        // Unknown for a server that was not started by this run.
        let runs_already = matches!(job.spec.source, crate::declare::Source::Running(_));
        let record = LaunchRecord {
            index,
            block,
            arm: job.arm.to_owned(),
            started,
            start_up_seconds: (!runs_already).then(|| launch.start_up().as_secs_f64()),
            address: launch.address().to_string(),
            memory_at_rest_bytes: launch
                .usage()
                .ok()
                .map(|usage| usage.memory_bytes)
                .filter(|memory| *memory > 0 && !runs_already),
            rounds: Vec::new(),
            reference: Vec::new(),
            error: None,
            log: Some(log_name(id, job.arm, index)),
        };
        writer.note(Entry::LaunchBegun {
            case: id.clone(),
            launch: Box::new(record.clone()),
        })?;
        Ok(Ok(Begun {
            ready,
            launch: Rc::new(launch),
            record,
            log,
        }))
    }

    /// Writes a finished round to disk immediately; `disk` receives the write error.
    fn keep(
        &self,
        writer: &mut RunWriter,
        key: &Key,
        round: RoundRecord,
        disk: &mut Option<StoreError>,
    ) -> Result<(), LaunchFailure> {
        (self.emit)(Event::RoundDone {
            case: key.case.clone(),
            round: Box::new(round.clone()),
        });
        let entry = Entry::Round {
            case: key.case.clone(),
            arm: key.arm.to_owned(),
            launch: key.launch,
            round: Box::new(round),
        };
        writer.note(entry).map_err(|error| {
            let failure = LaunchFailure::Other(error.to_string());
            *disk = Some(error);
            failure
        })
    }

    /// Runs the teardown regardless of the load's outcome; its failure counts only if there is no other.
    fn tear_down(&self, begun: &Begun) -> Result<(), LaunchFailure> {
        let hook = begun.ready.job.case.teardown;
        hooks::run(
            "tear-down",
            hook,
            begun.ready,
            &begun.launch,
            self.runtime,
            self.interrupt,
        )
    }

    /// Stops a server and records the outcome of its launch.
    fn end(
        &self,
        writer: &mut RunWriter,
        begun: Begun,
        outcome: Result<(), LaunchFailure>,
    ) -> Result<Next, StoreError> {
        let Begun {
            ready,
            launch,
            record,
            log,
        } = begun;
        let stopped = match Rc::try_unwrap(launch) {
            Ok(launch) => self.runtime.block_on(launch.stop()).map(Some),
            // A hook kept its context; the launch ends when that is dropped.
            Err(_) => Ok(None),
        };
        let end = match (outcome, stopped) {
            (Ok(()) | Err(LaunchFailure::Interrupted), Ok(_)) => End::Fine,
            (Ok(()) | Err(LaunchFailure::Interrupted), Err(error)) => {
                self.notice_once(writer, &ready.job.case.id, format!("teardown: {error}"))?;
                End::Fine
            }
            (Err(LaunchFailure::Unsupported(why)), _) => End::Unsupported(why),
            (Err(LaunchFailure::Other(text)), _) => End::Failed(text),
            (Err(LaunchFailure::Held(text)), _) => End::Held(text),
            (Err(LaunchFailure::Died), stopped) => End::Failed(death(stopped.ok().flatten(), &log)),
        };
        self.conclude(writer, ready, record, end)
    }

    /// Records a launch's outcome and returns its consequence.
    fn conclude(
        &self,
        writer: &mut RunWriter,
        ready: &Ready,
        mut record: LaunchRecord,
        end: End,
    ) -> Result<Next, StoreError> {
        let (id, arm, index) = (&ready.job.case.id, ready.job.arm, record.index);
        let unsupported = match &end {
            End::Unsupported(why) => Some(CaseOutcome::Unsupported(why.clone())),
            _ => None,
        };
        let (failed, next) = match end {
            End::Fine => (None, Next::GoOn),
            End::Unsupported(_) => (None, Next::DropCase),
            End::Failed(reason) => (Some(reason), Next::DropCase),
            End::Held(reason) => (Some(reason), Next::EndRun),
        };
        record.error.clone_from(&failed);
        writer.note(Entry::LaunchDone {
            case: id.clone(),
            launch: Box::new(record.clone()),
        })?;
        (self.emit)(Event::LaunchDone {
            case: id.clone(),
            launch: Box::new(record),
        });
        if let Some(outcome) = unsupported {
            self.outcome(writer, id, outcome)?;
        }
        if let Some(reason) = failed {
            // Name the arm; launch and case contain everything else.
            if arm != CANDIDATE {
                self.notice(writer, id, format!("launch {} ({arm}): {reason}", index + 1))?;
            }
            self.outcome(writer, id, CaseOutcome::Failed(reason))?;
        }
        if next == Next::EndRun {
            let text = "the run ends here: a script blocks a thread of the load generator, which would disturb all further \
                        measurements";
            self.notice(writer, "", text.to_owned())?;
        }
        Ok(next)
    }

    /// Runs a short fixed load on the null server to detect changes of machine speed around this launch. A failed
    /// reference counts as a disturbance.
    fn reference_rate(&self) -> Option<f64> {
        self.reference.map(|reference| {
            reference
                .measure(&self.order.load_cpus, REFERENCE.0, REFERENCE.1)
                .map_or(0.0, |ceiling| ceiling.requests_per_second)
        })
    }

    fn failed_start(&self, writer: &mut RunWriter, ready: &Ready, error: &LaunchError) -> Result<Next, StoreError> {
        if !self.interrupt.asked() {
            let (id, arm) = (&ready.job.case.id, ready.job.arm);
            if arm != CANDIDATE {
                self.notice(writer, id, format!("failed to start the {arm} arm: {error}"))?;
            }
            self.outcome(writer, id, CaseOutcome::Failed(error.to_string()))?;
        }
        Ok(Next::DropCase)
    }
}

/// Describes the exit of a server, with the last lines of its output.
fn death(stopped: Option<StopInfo>, log: &Path) -> String {
    let how = match stopped {
        Some(StopInfo { oom_killed: true, .. }) => " (killed at its memory limit: raise Limits::memory)".to_owned(),
        Some(StopInfo { exit: Some(status), .. }) => format!(" (exit status {status})"),
        _ => String::new(),
    };
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let tail = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n    ");
    if tail.is_empty() {
        format!("the server exited during the round{how} without output")
    } else {
        format!("the server exited during the round{how}; its last output:\n    {tail}")
    }
}
