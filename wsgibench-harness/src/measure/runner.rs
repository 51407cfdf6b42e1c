//! The runner: executes blocks of fresh launches in random order until the plan is complete or decided.

mod launches;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::runtime::Runtime;

use super::{
    availability,
    counting::CountPlan,
    event::Event,
    interleave,
    interrupt::Interrupt,
    job::{Job, Ready, RunPlan},
    launch_order,
    reference::Reference,
    validity,
};
use crate::{
    declare::ServerSpec,
    sandbox::{PrepareError, PreparedServer, Sandbox, SandboxKind},
    store::{
        Entry, RunWriter, StoreError,
        arms::{BASE, CANDIDATE},
        record::{CaseOutcome, Notice, RunRecord, ServerRecord},
    },
};

/// A launchable server, or the outcome of its cases.
type Built = Result<Arc<PreparedServer>, CaseOutcome>;

/// Decides after each block whether another one follows.
pub trait Policy {
    /// Returns the planned number of blocks, for progress.
    fn blocks(&self) -> u32;
    /// Returns whether another block follows. `block` is the number of finished blocks.
    fn more(&mut self, block: u32, run: &RunRecord) -> bool;
    /// Returns whether the following blocks contain a case; a case that is left out stays out. Called after `more`.
    fn measures(&self, _case: &str) -> bool {
        true
    }
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

/// The consequence of a launch, ordered by severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    GoOn,
    /// The case cannot continue.
    DropCase,
    /// The run cannot continue.
    EndRun,
}

/// Runs a plan.
pub struct Runner<'a> {
    /// The plan.
    pub order: &'a RunPlan,
    /// Where servers run.
    pub sandbox: &'a Sandbox,
    /// Runtime of the sandbox.
    pub runtime: &'a Runtime,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
    /// Reference load before and after each launch, if the plan includes it.
    pub reference: Option<&'a Reference>,
    /// Receiver of progress events.
    pub emit: &'a (dyn Fn(Event) + Sync),
}

impl Runner<'_> {
    /// Runs the plan. Finished measurements are in `writer` and on disk in any case.
    ///
    /// # Errors
    /// Returns an error only if the run cannot be written; other failures are outcomes of their cases.
    pub fn run(&self, writer: &mut RunWriter, policy: &mut dyn Policy) -> Result<(), StoreError> {
        let mut ready = self.prepare(writer)?;
        self.emit_plan(writer, ready.len(), policy.blocks());
        if let Some(plan) = &self.order.counting {
            self.run_counted(plan, writer, &ready, policy)?;
            self.close_cases(writer);
            return Ok(());
        }
        let mut of = ready.len() * policy.blocks() as usize;
        let mut number = 0;
        let mut block = 0;
        let mut held = false;
        while !held && !self.interrupt.asked() && !ready.is_empty() && policy.more(block, writer.run()) {
            let before = ready.len();
            ready.retain(|ready| policy.measures(&ready.job.case.id));
            if ready.len() < before {
                of = number + ready.len() * policy.blocks().saturating_sub(block) as usize;
            }
            let mut dropped = HashSet::new();
            for turn in self.turns(&ready, block) {
                if held || self.interrupt.asked() {
                    break;
                }
                let first = &ready[turn[0]];
                number += turn.len();
                if is_done(writer.run(), &first.job, block) {
                    continue;
                }
                let names = |name: fn(&Ready) -> &str| {
                    let mut names: Vec<&str> = turn.iter().map(|&index| name(&ready[index])).collect();
                    names.dedup();
                    names.join(" and ")
                };
                (self.emit)(Event::Launching {
                    case: names(|ready| &ready.job.case.id),
                    arm: names(|ready| ready.job.arm),
                    number,
                    // Repeated blocks are added to the plan.
                    of: of.max(number),
                    left: self.left(&ready, number, of),
                });
                let next = match turn[..] {
                    [a, b] => self.launch_both(writer, [&ready[a], &ready[b]], block)?,
                    _ => self.launch(writer, first, block)?,
                };
                match next {
                    Next::GoOn => {}
                    Next::DropCase => {
                        dropped.insert(first.job.case.id.clone());
                    }
                    Next::EndRun => held = true,
                }
            }
            // A case that cannot run is dropped with both arms.
            ready.retain(|r| !dropped.contains(&r.job.case.id));
            block += 1;
        }
        self.close_cases(writer);
        Ok(())
    }

    /// Counts all blocks, as many launches side by side as have CPUs of their own.
    fn run_counted(
        &self,
        plan: &CountPlan,
        writer: &mut RunWriter,
        ready: &[Ready],
        policy: &mut dyn Policy,
    ) -> Result<(), StoreError> {
        let cpus = ready.iter().map(|ready| ready.job.spec.limits.cpus).max().unwrap_or(1);
        let all: Vec<(u32, &Ready)> = (0..policy.blocks())
            .flat_map(|block| {
                let order = launch_order::of_block(ready.len(), self.order.seed, block);
                order.into_iter().map(move |index| (block, &ready[index]))
            })
            .collect();
        let mut waiting: VecDeque<(u32, &Ready)> = all
            .iter()
            .filter(|(block, ready)| !is_done(writer.run(), &ready.job, *block))
            .copied()
            .collect();
        let mut dropped = HashSet::new();
        while let Some((block, _)) = waiting.front()
            && !self.interrupt.asked()
            && policy.more(*block, writer.run())
        {
            let number = all.len() - waiting.len() + 1;
            let turn: Vec<(u32, &Ready)> = waiting.drain(..plan.side_by_side(cpus).min(waiting.len())).collect();
            let names = |name: fn(&Ready) -> &str| {
                let mut names: Vec<&str> = turn.iter().map(|(_, ready)| name(ready)).collect();
                names.dedup();
                names.join(" and ")
            };
            (self.emit)(Event::Launching {
                case: names(|ready| &ready.job.case.id),
                arm: names(|ready| ready.job.arm),
                number,
                of: all.len(),
                left: self.left(ready, number, all.len()),
            });
            if self.launch_counted(plan, writer, &turn, &mut dropped)? == Next::EndRun {
                break;
            }
            waiting.retain(|(_, ready)| !dropped.contains(&ready.job.case.id));
        }
        Ok(())
    }

    /// Returns the launches of a block in random order; the two arms of a case together if their load can be interleaved.
    fn turns(&self, ready: &[Ready], block: u32) -> Vec<Vec<usize>> {
        let order = launch_order::of_block(ready.len(), self.order.seed, block);
        let pairs = |a: &Ready, b: &Ready| {
            !self.order.test_mode
                && self.order.profiling.is_none()
                && self.sandbox.kind() != SandboxKind::Kubernetes
                && a.job.case.id == b.job.case.id
                && a.job.arm != b.job.arm
                && interleave::is_possible(&a.job.case.work, &b.job.case.work)
        };
        launch_order::paired(&order, |a, b| pairs(&ready[a], &ready[b]))
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

    /// Builds every server once. A failed build fails the server's cases, not the run.
    fn prepare(&self, writer: &mut RunWriter) -> Result<Vec<Ready>, StoreError> {
        let mut specs: Vec<&ServerSpec> = Vec::new();
        for job in &self.order.jobs {
            if !specs.contains(&&*job.spec) {
                specs.push(&job.spec);
            }
        }
        let outcomes = self.runtime.block_on(self.sandbox.prepare_all(&specs, |spec| {
            let goes_on = !self.interrupt.asked();
            if goes_on {
                (self.emit)(Event::Preparing {
                    what: spec.name.clone(),
                    text: "preparing".to_owned(),
                });
            }
            goes_on
        }));
        // After an interrupt there are fewer outcomes than servers.
        let mut built: Vec<(&ServerSpec, Built)> = Vec::new();
        for (spec, outcome) in specs.into_iter().zip(outcomes) {
            if let Some(outcome) = outcome {
                built.push((spec, self.record_server(writer, spec, outcome)?));
            }
        }
        if let Some(plan) = &self.order.counting {
            for (_, outcome) in &mut built {
                if let Ok(prepared) = outcome {
                    let instrumented = plan.instrumented(self.sandbox, prepared);
                    *outcome = self
                        .runtime
                        .block_on(instrumented)
                        .map(Arc::new)
                        .map_err(CaseOutcome::NotAvailable);
                }
            }
        }
        let mut ready = Vec::new();
        let mut arms: BTreeMap<&str, Vec<Option<CaseOutcome>>> = BTreeMap::new();
        for job in &self.order.jobs {
            let Some((_, outcome)) = built.iter().find(|(spec, _)| **spec == *job.spec) else {
                continue;
            };
            arms.entry(&job.case.id).or_default().push(outcome.clone().err());
            if let Ok(prepared) = outcome {
                ready.push(Ready {
                    job: job.clone(),
                    prepared: Arc::clone(prepared),
                });
            }
        }
        for (case, arms) in arms {
            if let Some(outcome) = availability::outcome(&arms) {
                self.outcome(writer, case, outcome)?;
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

    /// Writes a prepared server into the run; one that could not be prepared becomes the outcome of its cases.
    fn record_server(
        &self,
        writer: &mut RunWriter,
        spec: &ServerSpec,
        outcome: Result<PreparedServer, PrepareError>,
    ) -> Result<Built, StoreError> {
        match outcome {
            Ok(prepared) => {
                let server = ServerRecord {
                    spec: spec.clone(),
                    image: prepared.image.clone(),
                    image_digest: prepared.digest.clone(),
                    image_bytes: prepared.bytes,
                    versions: prepared.versions.clone(),
                    companions: prepared.companions(),
                };
                match writer
                    .run()
                    .servers
                    .iter()
                    .find(|known| known.spec.name == server.spec.name)
                {
                    // Recorded by the resumed run, or by the other arm.
                    Some(known) if *known == server => {}
                    Some(known) if self.order.resumed && known.images() != server.images() => {
                        return Ok(Err(CaseOutcome::Failed(format!(
                            "the interrupted run measured {}, but the current files result in {}; \
                             start a new run",
                            known.images().join(" with "),
                            server.images().join(" with ")
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

    #[expect(
        clippy::unused_self,
        reason = "a method for consistency with the other questions to the runner"
    )]
    fn launches_so_far(&self, run: &RunRecord, id: &str, arm: &str) -> u32 {
        let count = run
            .cases
            .iter()
            .filter(|c| c.id == id)
            .flat_map(|c| c.of_arm(arm))
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

    /// Sets the validity of each case and reports finished cases.
    fn close_cases(&self, writer: &mut RunWriter) {
        writer.amend(|run| {
            for case in &mut run.cases {
                let rounds = case.launches.iter().flat_map(|l| &l.rounds).map(|r| &r.validity);
                let mut validity = validity::of_case(rounds);
                // Half of the rounds belong to the other arm; they must not hide invalid rounds of this one.
                for arm in [CANDIDATE, BASE] {
                    let own = case.of_arm(arm).flat_map(|l| &l.rounds).map(|r| &r.validity);
                    validity.level = validity.level.max(validity::of_case(own).level);
                }
                case.validity = validity;
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

/// Returns whether a resumed run already contains this launch.
fn is_done(run: &RunRecord, job: &Job, block: u32) -> bool {
    run.cases
        .iter()
        .filter(|case| case.id == job.case.id)
        .flat_map(|case| &case.launches)
        .any(|launch| launch.block == block && launch.arm == job.arm)
}
