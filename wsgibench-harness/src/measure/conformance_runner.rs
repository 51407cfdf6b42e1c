//! Conformance runs: starts each server as for a measurement, checks every rule, and stops it.

use std::{path::Path, sync::Arc};

use tokio::runtime::Runtime;

use super::{event::Event, interrupt::Interrupt};
use crate::{
    conformance::{self, Examined, RuleOutcome},
    declare::{ServerSpec, Variant},
    sandbox::{PrepareError, PreparedServer, Sandbox},
    store::ServerConformance,
};

/// Runs the conformance rules against servers.
pub struct ConformanceRunner<'a> {
    /// Sandbox of the servers.
    pub sandbox: &'a Sandbox,
    /// Runtime of the sandbox.
    pub runtime: &'a Runtime,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
    /// Folder of the servers' logs.
    pub logs: &'a Path,
    /// Receives progress events.
    pub emit: &'a (dyn Fn(Event) + Sync),
}

impl ConformanceRunner<'_> {
    /// Examines one server. The result says why if it is unavailable or did not start.
    #[must_use]
    pub fn examine(&self, spec: &Arc<ServerSpec>) -> ServerConformance {
        let mut result = ServerConformance {
            name: spec.name.clone(),
            untuned: spec.variant == Variant::Default,
            command: spec.command.clone(),
            versions: std::collections::BTreeMap::new(),
            unexamined: None,
            findings: Vec::new(),
        };
        self.report_progress(&spec.name, "preparing");
        match self.runtime.block_on(self.sandbox.prepare(spec)) {
            Ok(prepared) => {
                result.versions.clone_from(&prepared.versions);
                self.ask(&prepared, &mut result);
            }
            Err(PrepareError::NotAvailable(why)) => result.unexamined = Some(format!("not available here: {why}")),
            Err(error) => result.unexamined = Some(error.to_string()),
        }
        result
    }

    /// Checks every rule. After a rule that ended the server or made it unresponsive, a new one is started.
    fn ask(&self, prepared: &PreparedServer, result: &mut ServerConformance) {
        let name = result.name.clone();
        let rules = conformance::rules();
        self.report_progress(&name, &format!("{} rules", rules.len()));
        let mut left = rules.into_iter().peekable();
        let mut start = 0;
        while left.peek().is_some() && !self.interrupt.asked() {
            let log = self.logs.join(format!("{name}-{start}.log"));
            let launch = match self.runtime.block_on(self.sandbox.launch(prepared, &log)) {
                Ok(launch) => launch,
                Err(error) => {
                    result.unexamined = Some(error.to_string());
                    return;
                }
            };
            let examined = Examined::begin(&prepared.spec.target(launch.address()), &prepared.spec.ready_path);
            for rule in left.by_ref() {
                let mut finding = examined.ask(rule);
                let harm = if !launch.is_alive() {
                    Some("the server process ended")
                } else if examined.answers() {
                    None
                } else {
                    Some("the server stopped responding")
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
                self.report_progress(&name, &format!("failed to write its log: {error}"));
            }
            start += 1;
        }
    }

    fn report_progress(&self, what: &str, text: &str) {
        (self.emit)(Event::Preparing {
            what: what.to_owned(),
            text: text.to_owned(),
        });
    }
}
