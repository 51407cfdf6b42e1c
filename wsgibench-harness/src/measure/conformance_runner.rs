//! Servers under examination: each is started as for a measurement, asked every rule, and stopped.

use std::{path::Path, sync::Arc};

use tokio::runtime::Runtime;

use super::{event::Event, interrupt::Interrupt};
use crate::{
    conformance::{self, Examined, RuleOutcome},
    declare::{ServerSpec, Variant},
    sandbox::{PrepareError, PreparedServer, Sandbox},
    store::ServerConformance,
};

/// Who examines, and where.
pub struct ConformanceRunner<'a> {
    /// Where servers run.
    pub sandbox: &'a Sandbox,
    /// Drives the sandbox.
    pub runtime: &'a Runtime,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
    /// Folder for what the servers print.
    pub logs: &'a Path,
    /// Who listens.
    pub emit: &'a (dyn Fn(Event) + Sync),
}

impl ConformanceRunner<'_> {
    /// Examines one server. One that cannot be had or started is told as such.
    #[must_use]
    pub fn examine(&self, spec: &Arc<ServerSpec>) -> ServerConformance {
        let mut result = ServerConformance {
            name: spec.name.clone(),
            untuned: spec.variant == Variant::Default,
            command: spec.command.clone(),
            versions: std::collections::BTreeMap::new(),
            trouble: None,
            findings: Vec::new(),
        };
        self.say(&spec.name, "preparing");
        match self.runtime.block_on(self.sandbox.prepare(spec)) {
            Ok(prepared) => {
                result.versions.clone_from(&prepared.versions);
                self.ask(&prepared, &mut result);
            }
            Err(PrepareError::NotAvailable(why)) => result.trouble = Some(format!("not available here: {why}")),
            Err(error) => result.trouble = Some(error.to_string()),
        }
        result
    }

    /// Asks every rule. Where one has ended the server, or made it deaf, the next is asked of a fresh one.
    fn ask(&self, prepared: &PreparedServer, result: &mut ServerConformance) {
        let name = result.name.clone();
        let rules = conformance::rules();
        self.say(&name, &format!("{} rules", rules.len()));
        let mut left = rules.into_iter().peekable();
        let mut start = 0;
        while left.peek().is_some() && !self.interrupt.asked() {
            let log = self.logs.join(format!("{name}-{start}.log"));
            let launch = match self.runtime.block_on(self.sandbox.launch(prepared, &log)) {
                Ok(launch) => launch,
                Err(error) => {
                    result.trouble = Some(error.to_string());
                    return;
                }
            };
            let examined = Examined::begin(launch.address(), &prepared.spec.ready_path);
            for rule in left.by_ref() {
                let mut finding = examined.ask(rule);
                let harm = if !launch.is_alive() {
                    Some("the server ended of it")
                } else if examined.answers() {
                    None
                } else {
                    Some("the server answers nobody any more")
                };
                if let Some(harm) = harm {
                    finding.verdict = RuleOutcome::Fail;
                    finding.why = format!("{}, and {harm}", finding.why);
                }
                result.findings.push(finding);
                if harm.is_some() || self.interrupt.asked() {
                    break;
                }
            }
            if let Err(error) = self.runtime.block_on(launch.stop()) {
                self.say(&name, &format!("its log could not be written: {error}"));
            }
            start += 1;
        }
    }

    fn say(&self, what: &str, text: &str) {
        (self.emit)(Event::Preparing {
            what: what.to_owned(),
            text: text.to_owned(),
        });
    }
}
