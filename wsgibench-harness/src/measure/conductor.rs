//! The conductor: blocks of launches, each fresh, in random order, until the plan is done or decided.

use std::{collections::HashSet, fs, path::Path, rc::Rc, sync::Arc, time::Duration};

use tokio::runtime::Runtime;

use super::{
    event::Event,
    hooks,
    interrupt::Interrupt,
    job::{CANDIDATE, Job, Order, Ready},
    launch::{Context, Trouble, log_name, log_path},
    order,
    reference::Reference,
    validity,
};
use crate::{
    declare::ServerSpec,
    sandbox::{LaunchError, PrepareError, Prepared, Sandbox, StopInfo},
    store::{
        Entry, RunWriter, StoreError,
        record::{CaseOutcome, LaunchRecord, Notice, RunRecord, ServerRecord},
    },
};

/// Warm-up and length of a reference load.
const REFERENCE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(300));

/// A server that can be launched, or what its cases come to.
type Built = Result<Arc<Prepared>, CaseOutcome>;

/// Lines of a dead server's output that an error shows.
const LAST_LINES: usize = 15;

/// Decides after each block whether more are needed.
pub trait Policy {
    /// Blocks that the plan foresees, for progress.
    fn blocks(&self) -> u32;
    /// Whether another block follows. `block` is the number of those done.
    fn more(&mut self, block: u32, run: &RunRecord) -> bool;
}

/// A fixed number of launches.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub u32);

impl Policy for Fixed {
    fn blocks(&self) -> u32 {
        self.0
    }

    fn more(&mut self, block: u32, _run: &RunRecord) -> bool {
        block < self.0
    }
}

/// How a launch ended.
enum End {
    Fine,
    /// The server lacks what the load needs.
    Unsupported(String),
    Failed(String),
    /// A script holds a thread.
    Held(String),
}

/// What follows a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    /// The case cannot go on.
    DropCase,
    /// Nothing can.
    EndRun,
}

/// Measures what was ordered.
pub struct Conductor<'a> {
    /// The order.
    pub order: &'a Order,
    /// Where servers run.
    pub sandbox: &'a Sandbox,
    /// Drives the sandbox.
    pub runtime: &'a Runtime,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
    /// Brackets each launch, where the order asks for it.
    pub reference: Option<&'a Reference>,
    /// Who listens.
    pub emit: &'a (dyn Fn(Event) + Sync),
}

impl Conductor<'_> {
    /// Runs the plan. What was measured is in `writer`, and on disk, whatever happens.
    ///
    /// # Errors
    /// Only when the run cannot be written any more (no disk): all else is an outcome of its case.
    pub fn run(&self, writer: &mut RunWriter, policy: &mut dyn Policy) -> Result<(), StoreError> {
        let mut ready = self.prepare(writer)?;
        self.emit_plan(writer, ready.len(), policy.blocks());
        let of = ready.len() * policy.blocks() as usize;
        let mut number = 0;
        let mut block = 0;
        let mut held = false;
        while !held && !self.interrupt.asked() && !ready.is_empty() && policy.more(block, writer.run()) {
            let mut dropped = HashSet::new();
            for index in order::of_block(ready.len(), self.order.seed, block) {
                if held || self.interrupt.asked() {
                    break;
                }
                number += 1;
                let job = &ready[index].job;
                if is_done(writer.run(), job, block) {
                    continue;
                }
                (self.emit)(Event::Launching {
                    case: job.case.id.clone(),
                    arm: job.arm.to_owned(),
                    number,
                    of,
                    left: self.left(&ready, number, of),
                });
                match self.launch(writer, &ready[index], block)? {
                    Next::GoOn => {}
                    Next::DropCase => {
                        dropped.insert(job.case.id.clone());
                    }
                    Next::EndRun => held = true,
                }
            }
            // A case that cannot run will not do so the next time either; both arms of it go.
            ready.retain(|r| !dropped.contains(&r.job.case.id));
            block += 1;
        }
        self.close_cases(writer);
        Ok(())
    }

    fn emit_plan(&self, writer: &RunWriter, jobs: usize, blocks: u32) {
        (self.emit)(Event::Planned {
            run: writer.run().id.clone(),
            cases: writer.run().cases.len(),
            launches: jobs * blocks as usize,
            expected: self.order.block_time() * blocks,
        });
    }

    fn left(&self, ready: &[Ready], number: usize, of: usize) -> Duration {
        let sum: Duration = ready.iter().map(|r| self.order.launch_time(&r.job.case.work)).sum();
        let each = sum / u32::try_from(ready.len().max(1)).unwrap_or(1);
        each * u32::try_from((of + 1).saturating_sub(number)).unwrap_or(u32::MAX)
    }

    /// Builds every server once. One that cannot be built costs its cases, never the run.
    fn prepare(&self, writer: &mut RunWriter) -> Result<Vec<Ready>, StoreError> {
        let mut built: Vec<(Arc<ServerSpec>, Built)> = Vec::new();
        let mut ready = Vec::new();
        for job in &self.order.jobs {
            if self.interrupt.asked() {
                break;
            }
            let known = built.iter().position(|(spec, _)| **spec == *job.spec);
            let at = if let Some(at) = known {
                at
            } else {
                let outcome = self.build(writer, job)?;
                built.push((Arc::clone(&job.spec), outcome));
                built.len() - 1
            };
            match &built[at].1 {
                Ok(prepared) => ready.push(Ready {
                    job: job.clone(),
                    prepared: Arc::clone(prepared),
                }),
                Err(outcome) => self.outcome(writer, &job.case.id, outcome.clone())?,
            }
        }
        let missing: HashSet<String> = writer
            .run()
            .cases
            .iter()
            .filter(|c| !matches!(c.outcome, CaseOutcome::Planned | CaseOutcome::Measured))
            .map(|c| c.id.clone())
            .collect();
        ready.retain(|r| !missing.contains(&r.job.case.id));
        Ok(ready)
    }

    fn build(&self, writer: &mut RunWriter, job: &Job) -> Result<Built, StoreError> {
        (self.emit)(Event::Preparing {
            what: job.spec.name.clone(),
            text: "preparing".to_owned(),
        });
        match self.runtime.block_on(self.sandbox.prepare(&job.spec)) {
            Ok(prepared) => {
                let server = ServerRecord {
                    spec: (*job.spec).clone(),
                    image: prepared.image.clone(),
                    image_digest: prepared.digest.clone(),
                    image_bytes: prepared.bytes,
                    versions: prepared.versions.clone(),
                };
                match writer
                    .run()
                    .servers
                    .iter()
                    .find(|known| known.spec.name == server.spec.name)
                {
                    // Of a run that goes on, or of the other arm.
                    Some(known) if *known == server => {}
                    Some(known) if known.image != server.image && self.order.resumed => {
                        return Ok(Err(CaseOutcome::Failed(format!(
                            "the interrupted run measured {}, and what is here now makes {}: its files have changed since; \
                             start a run of its own",
                            known.image, server.image
                        ))));
                    }
                    _ => writer.note(Entry::Server(Box::new(server)))?,
                }
                Ok(Ok(Arc::new(prepared)))
            }
            Err(PrepareError::NotAvailable(reason)) => Ok(Err(CaseOutcome::NotAvailable(reason))),
            Err(error) => Ok(Err(CaseOutcome::Failed(error.to_string()))),
        }
    }

    /// One launch.
    fn launch(&self, writer: &mut RunWriter, ready: &Ready, block: u32) -> Result<Next, StoreError> {
        let job = &ready.job;
        let id = &job.case.id;
        let index = self.launches_so_far(writer.run(), id, job.arm);
        let log = log_path(writer.dir(), id, job.arm, index);
        let started = jiff::Timestamp::now();
        let launch = match self.runtime.block_on(self.sandbox.launch(&ready.prepared, &log)) {
            Ok(launch) => launch,
            Err(error) => return self.failed_start(writer, ready, &error),
        };
        let mut record = LaunchRecord {
            index,
            block,
            arm: job.arm.to_owned(),
            started,
            start_up_seconds: launch.start_up().as_secs_f64(),
            address: launch.address().to_string(),
            memory_at_rest_bytes: launch.usage().map_or(0, |u| u.memory_bytes),
            rounds: Vec::new(),
            reference: Vec::new(),
            error: None,
            log: Some(log_name(id, job.arm, index)),
        };
        writer.note(Entry::LaunchBegun {
            case: id.clone(),
            launch: Box::new(record.clone()),
        })?;
        let context = Context {
            order: self.order,
            runtime: self.runtime,
            interrupt: self.interrupt,
            ceilings: writer.run().ceilings(),
            published_port: self.sandbox.path() == "published port",
            emit: self.emit,
        };
        self.bracket(&mut record);
        let mut disk = None;
        let mut notes = Vec::new();
        let keep = |round: crate::store::record::RoundRecord| {
            (self.emit)(Event::RoundDone {
                case: id.clone(),
                round: Box::new(round.clone()),
            });
            writer
                .note(Entry::Round {
                    case: id.clone(),
                    arm: job.arm.to_owned(),
                    launch: index,
                    round: Box::new(round),
                })
                .map_err(|e| {
                    let trouble = Trouble::Said(e.to_string());
                    disk = Some(e);
                    trouble
                })
        };
        let launch = Rc::new(launch);
        let case = &job.case;
        let outcome = hooks::run("set-up", case.setup, ready, &launch, self.runtime, self.interrupt)
            .and_then(|()| context.load(ready, &launch, &record, keep, |note| notes.push(note)));
        // Tear-down runs whatever came of the load; a failure of it counts only where there is no other.
        let torn_down = hooks::run("tear-down", case.teardown, ready, &launch, self.runtime, self.interrupt);
        let outcome = outcome.and(torn_down);
        self.bracket(&mut record);
        let stopped = match Rc::try_unwrap(launch) {
            Ok(launch) => self.runtime.block_on(launch.stop()).map(Some),
            // A hook has kept its context: the launch ends when that goes.
            Err(_) => Ok(None),
        };
        if let Some(error) = disk {
            return Err(error);
        }
        for note in notes {
            self.notice_once(writer, id, note)?;
        }
        let end = match (outcome, stopped) {
            (Ok(()) | Err(Trouble::Interrupted), Ok(_)) => End::Fine,
            (Ok(()) | Err(Trouble::Interrupted), Err(error)) => {
                self.notice_once(writer, id, format!("teardown: {error}"))?;
                End::Fine
            }
            (Err(Trouble::Unsupported(why)), _) => End::Unsupported(why),
            (Err(Trouble::Said(text)), _) => End::Failed(text),
            (Err(Trouble::Held(text)), _) => End::Held(text),
            (Err(Trouble::Died), stopped) => End::Failed(death(stopped.ok().flatten(), &log)),
        };
        self.conclude(writer, ready, record, end)
    }

    /// Writes down how a launch ended, and says what follows.
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
            // Which arm it was, where there are two: the launch and the case tell all else themselves.
            if arm != CANDIDATE {
                self.notice(writer, id, format!("launch {} ({arm}): {reason}", index + 1))?;
            }
            self.outcome(writer, id, CaseOutcome::Failed(reason))?;
        }
        if next == Next::EndRun {
            let text = "the run ends here: a script holds a thread of the load engine, and whatever else were measured \
                        now would be measured beside it";
            self.notice(writer, "", text.to_owned())?;
        }
        Ok(next)
    }

    /// A short fixed load on the null server: did the machine change speed around this launch? One that cannot be had
    /// counts as a departure.
    fn bracket(&self, record: &mut LaunchRecord) {
        if let Some(reference) = self.reference {
            let rate = reference
                .measure(&self.order.load_cpus, REFERENCE.0, REFERENCE.1)
                .map_or(0.0, |ceiling| ceiling.requests_per_second);
            record.reference.push(rate);
        }
    }

    fn failed_start(&self, writer: &mut RunWriter, ready: &Ready, error: &LaunchError) -> Result<Next, StoreError> {
        if !self.interrupt.asked() {
            self.outcome(writer, &ready.job.case.id, CaseOutcome::Failed(error.to_string()))?;
        }
        Ok(Next::DropCase)
    }

    #[expect(
        clippy::unused_self,
        reason = "reads as a question to the conductor beside its siblings"
    )]
    fn launches_so_far(&self, run: &RunRecord, id: &str, arm: &str) -> u32 {
        let count = run
            .cases
            .iter()
            .filter(|c| c.id == id)
            .flat_map(|c| &c.launches)
            .filter(|l| l.arm == arm)
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn notice_once(&self, writer: &mut RunWriter, about: &str, text: String) -> Result<(), StoreError> {
        let known = writer.run().notices.iter().any(|n| n.about == about && n.text == text);
        if known {
            Ok(())
        } else {
            self.notice(writer, about, text)
        }
    }

    fn notice(&self, writer: &mut RunWriter, about: &str, text: String) -> Result<(), StoreError> {
        let notice = Notice {
            about: about.to_owned(),
            text,
        };
        (self.emit)(Event::Noticed(notice.clone()));
        writer.note(Entry::Notice(notice))
    }

    fn outcome(&self, writer: &mut RunWriter, case: &str, outcome: CaseOutcome) -> Result<(), StoreError> {
        let new = writer.run().cases.iter().any(|c| c.id == case && c.outcome != outcome);
        writer.note(Entry::Outcome {
            case: case.to_owned(),
            outcome,
        })?;
        if new {
            self.emit_case(writer.run(), case);
        }
        Ok(())
    }

    fn emit_case(&self, run: &RunRecord, id: &str) {
        if let Some(case) = run.cases.iter().find(|c| c.id == id) {
            (self.emit)(Event::CaseDone {
                case: Box::new(case.clone()),
            });
        }
    }

    /// Gives each case its validity and tells of those that are done.
    fn close_cases(&self, writer: &mut RunWriter) {
        writer.amend(|run| {
            for case in &mut run.cases {
                let rounds = case.launches.iter().flat_map(|l| &l.rounds).map(|r| &r.validity);
                case.validity = validity::of_case(rounds);
            }
        });
        for case in &writer.run().cases {
            if case.outcome == CaseOutcome::Measured {
                (self.emit)(Event::CaseDone {
                    case: Box::new(case.clone()),
                });
            }
        }
    }
}

/// Whether a run that goes on has this launch already.
fn is_done(run: &RunRecord, job: &Job, block: u32) -> bool {
    run.cases
        .iter()
        .filter(|case| case.id == job.case.id)
        .flat_map(|case| &case.launches)
        .any(|launch| launch.block == block && launch.arm == job.arm)
}

/// How a server ended by itself, and what it printed last.
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
        format!("the server died during the round{how}; it printed nothing")
    } else {
        format!("the server died during the round{how}; it printed last:\n    {tail}")
    }
}
