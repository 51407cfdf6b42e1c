//! One run, from plan to exit status.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::runtime::Runtime;

use super::{
    Failure,
    args::{Args, SandboxArg},
    exit::{self, ExitStatus},
    plan::{self, Plan},
};
use crate::{
    declare::Source,
    measure::{Fixed, Interrupt, Job, Policy, Reference, Runner, environment, event::Event},
    report::Listener,
    sandbox::{Sandbox, SandboxChoice, SandboxKind, SandboxOptions},
    store::{
        Entry, RunWriter, Store,
        record::{CaseOutcome, CaseRecord, Notice, RunRecord, SCHEMA_VERSION, Validity},
    },
};

/// Warm-up and duration of the ceiling measurement.
const CEILING: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(1));

/// Resources that live as long as a run.
pub(super) struct Run {
    pub(super) store: Store,
    pub(super) runtime: Runtime,
    pub(super) interrupt: Interrupt,
    pub(super) listeners: Arc<Listeners>,
}

/// All receivers behind one lock, because events also come from the sampler's thread.
pub(super) struct Listeners(Mutex<Vec<Box<dyn Listener + Send>>>);

impl Listeners {
    pub(super) fn new(listeners: Vec<Box<dyn Listener + Send>>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(listeners)))
    }

    pub(super) fn tell(&self, event: &Event) {
        for listener in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            listener.on(event);
        }
    }

    pub(super) fn notice(&self, about: &str, text: impl Into<String>) {
        self.tell(&Event::Noticed(Notice {
            about: about.to_owned(),
            text: text.into(),
        }));
    }
}

/// Settings of a sandbox.
pub(super) struct Place {
    /// Names of objects in the engine.
    pub(super) run_id: String,
    /// Folder of the run.
    pub(super) run_dir: PathBuf,
    /// Cargo's target folder.
    pub(super) target_dir: PathBuf,
    /// CPUs of the servers.
    pub(super) server_cpus: Vec<usize>,
    /// Whether all servers are already running, so that none is started.
    pub(super) runs_already: bool,
}

impl Run {
    /// Measures a plan under a policy. When this returns, the record is on disk and all servers are stopped.
    pub(super) fn measure(&self, args: &Args, plan: &Plan, policy: &mut dyn Policy) -> Result<RunRecord, Failure> {
        self.measure_in(&self.store, args, plan, policy)
    }

    /// Measures a plan as a run of another storage.
    pub(super) fn measure_in(
        &self,
        store: &Store,
        args: &Args,
        plan: &Plan,
        policy: &mut dyn Policy,
    ) -> Result<RunRecord, Failure> {
        let mut writer = match &plan.resumes {
            Some(run) => store.resume(run.as_ref().clone())?,
            None => store.begin(first_record(plan))?,
        };
        let opened = self.open_sandbox(
            args,
            Place {
                run_id: writer.run().id.clone(),
                run_dir: writer.dir().to_owned(),
                target_dir: plan.target_dir.clone(),
                server_cpus: plan.order.server_cpus.clone(),
                runs_already: plan.order.jobs.iter().all(runs_already),
            },
        );
        let sandbox = match opened {
            Ok(sandbox) => sandbox,
            Err(failure) => {
                // An unfinished journal would be reported as a killed run by the next run.
                writer.finish(true)?;
                return Err(failure);
            }
        };
        let outcome = self.with_sandbox(&mut writer, plan, &sandbox, policy);
        self.runtime.block_on(sandbox.close());
        // A run that could not be completed counts as interrupted.
        let interrupted = self.interrupt.asked() || outcome.is_err();
        let run = writer.finish(interrupted)?;
        outcome?;
        Ok(run)
    }

    /// Opens the requested sandbox.
    pub(super) fn open_sandbox(&self, args: &Args, place: Place) -> Result<Sandbox, Failure> {
        let listeners = Arc::clone(&self.listeners);
        #[cfg(feature = "kubernetes")]
        let cluster = super::cluster::wanted(args).then(|| super::cluster::options(args));
        let options = SandboxOptions {
            choice: match args.sandbox {
                // Nothing is started, so neither images nor an engine are needed.
                SandboxArg::Auto if place.runs_already => SandboxChoice::Process,
                SandboxArg::Auto => SandboxChoice::Auto,
                SandboxArg::Docker | SandboxArg::Kubernetes => SandboxChoice::Docker,
                SandboxArg::Process => SandboxChoice::Process,
            },
            run_id: place.run_id,
            run_dir: place.run_dir,
            target_dir: place.target_dir,
            server_cpus: place.server_cpus,
            published_port: false,
            progress: Arc::new(move |what: &str, text: &str| {
                listeners.tell(&Event::Preparing {
                    what: what.to_owned(),
                    text: text.to_owned(),
                });
            }),
        };
        #[cfg(feature = "kubernetes")]
        if let Some(cluster) = cluster {
            return Ok(self.runtime.block_on(Sandbox::open_in_cluster(options, &cluster))?);
        }
        Ok(self.runtime.block_on(Sandbox::open(options))?)
    }

    fn with_sandbox(
        &self,
        writer: &mut RunWriter,
        plan: &Plan,
        sandbox: &Sandbox,
        policy: &mut dyn Policy,
    ) -> Result<(), Failure> {
        let then = &writer.run().environment.sandbox;
        if plan.resumes.is_some() && then != sandbox.kind().name() {
            return Err(Failure::usage(format!(
                "cannot resume run {}: its servers ran in sandbox {then}, instead of {} now",
                writer.run().id,
                sandbox.kind().name()
            )));
        }
        writer.amend(|run| {
            sandbox.kind().name().clone_into(&mut run.environment.sandbox);
            sandbox.reason().clone_into(&mut run.environment.sandbox_reason);
            run.environment.engine = sandbox.engine().map(str::to_owned);
            sandbox.path().clone_into(&mut run.environment.path);
            run.environment.cgroup = sandbox.cgroup();
        });
        writer.restate()?;
        for notice in sandbox.notices().into_iter().chain(plan.notices.iter().cloned()) {
            self.listeners.tell(&Event::Noticed(notice.clone()));
            // A resumed run already has most of them.
            if !writer.run().notices.contains(&notice) {
                writer.note(Entry::Notice(notice))?;
            }
        }
        let reference = self.ceiling(writer, plan, sandbox)?;
        let profiling = plan.order.profiling.is_some();
        let emit = |event: Event| {
            // What a sampled server reaches is no figure.
            if !(profiling && matches!(event, Event::CaseDone { .. } | Event::RoundDone { .. })) {
                self.listeners.tell(&event);
            }
        };
        let runner = Runner {
            order: &plan.order,
            sandbox,
            runtime: &self.runtime,
            interrupt: &self.interrupt,
            reference: reference.as_ref().filter(|_| plan.order.reference),
            emit: &emit,
        };
        let outcome = runner.run(writer, policy);
        if let Some(reference) = reference {
            reference.stop(&self.runtime);
        }
        Ok(outcome?)
    }

    /// Measures the maximum rate of the load engine against the null server, on the same path as the servers.
    fn ceiling(&self, writer: &mut RunWriter, plan: &Plan, sandbox: &Sandbox) -> Result<Option<Reference>, Failure> {
        if plan.order.test_mode
            || plan.order.counting.is_some()
            || plan.order.profiling.is_some()
            // The load generator of this machine offers no load.
            || sandbox.kind() == SandboxKind::Kubernetes
            || self.interrupt.asked()
        {
            return Ok(None);
        }
        let order = &plan.order;
        let started = Reference::start(sandbox, &self.runtime, &order.server_cpus, writer.dir());
        let measured = started.and_then(|reference| {
            let ceiling = reference.measure(&order.load_cpus, CEILING.0, CEILING.1)?;
            let scripted = order.jobs.iter().any(|job| job.case.work.script().is_some());
            let of_scripts = scripted
                .then(|| reference.measure_scripted(&order.load_cpus, CEILING.0, CEILING.1))
                .transpose()?;
            Ok((reference, ceiling, of_scripts))
        });
        match measured {
            Ok((reference, ceiling, of_scripts)) => {
                writer.note(Entry::Ceiling(ceiling))?;
                if let Some(ceiling) = of_scripts {
                    writer.note(Entry::ScriptCeiling(ceiling))?;
                }
                Ok(Some(reference))
            }
            Err(why) if order.reference => Err(Failure::usage(format!(
                "failed to set up the reference load of the comparison: {why}"
            ))),
            Err(why) => {
                let notice = Notice {
                    about: String::new(),
                    text: format!("failed to measure the ceiling of the load engine: {why}"),
                };
                self.listeners.tell(&Event::Noticed(notice.clone()));
                writer.note(Entry::Notice(notice))?;
                Ok(None)
            }
        }
    }
}

fn runs_already(job: &Job) -> bool {
    matches!(job.spec.source, Source::Running(_))
}

/// Returns the policy of a run without a comparison.
pub(super) fn fixed(plan: &Plan) -> Fixed {
    Fixed(plan.order.launches())
}

fn first_record(plan: &Plan) -> RunRecord {
    let started = jiff::Timestamp::now();
    let mut environment = environment::read(&plan.order.manifest_dir);
    environment.server_cpus.clone_from(&plan.order.server_cpus);
    environment.load_cpus.clone_from(&plan.order.load_cpus);
    let mut cases: Vec<CaseRecord> = Vec::new();
    for case in &plan.cases {
        if cases.iter().any(|known| known.id == case.id) {
            continue;
        }
        cases.push(CaseRecord {
            id: case.id.clone(),
            scenario: case.scenario.clone(),
            server: case.server.clone(),
            param: case.param.clone(),
            values: case.values.clone(),
            description: case.description.clone(),
            load: case.work.load().clone(),
            scripted: case.work.script().is_some(),
            outcome: plan::ignored(case).map_or(CaseOutcome::Planned, CaseOutcome::Ignored),
            launches: Vec::new(),
            validity: Validity::default(),
        });
    }
    RunRecord {
        schema_version: SCHEMA_VERSION,
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        id: run_id(started),
        started,
        finished: None,
        interrupted: false,
        seed: plan.order.seed,
        profile: plan.order.profile.clone(),
        arguments: std::env::args().skip(1).filter(|a| a != "--bench").collect(),
        environment,
        notices: Vec::new(),
        servers: Vec::new(),
        cases,
        ceiling: None,
        script_ceiling: None,
        counted: None,
        thresholds: None,
        comparison: None,
        explanation: None,
        tuning: None,
    }
}

/// Returns an id that sorts by time, with a suffix to distinguish runs of the same second.
fn run_id(started: jiff::Timestamp) -> String {
    let rest = u16::try_from((started.subsec_nanosecond() / 1_000).unsigned_abs() % 0x1_0000).unwrap_or(0);
    format!("{}-{rest:04x}", started.strftime("%Y%m%dT%H%M%S"))
}

/// Returns the exit status of a run without a comparison.
pub(super) fn status(run: &RunRecord) -> ExitStatus {
    exit::of_run(run)
}
