//! Servers under examination: each is started as for a measurement, asked every rule, and stopped.

use std::{path::Path, sync::Arc};

use tokio::runtime::Runtime;

use super::{event::Event, interrupt::Interrupt};
use crate::{
    conformance,
    declare::{ServerSpec, Variant},
    sandbox::{PrepareError, Prepared, Sandbox},
    store::ServerConformance,
};

/// Who examines, and where.
pub struct Examiner<'a> {
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

impl Examiner<'_> {
    /// Examines one server. One that cannot be had or started is told as such.
    #[must_use]
    pub fn examine(&self, spec: &Arc<ServerSpec>) -> ServerConformance {
        let mut result = ServerConformance {
            name: spec.name.clone(),
            as_it_comes: spec.variant == Variant::Default,
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

    fn ask(&self, prepared: &Prepared, result: &mut ServerConformance) {
        let name = &result.name;
        let log = self.logs.join(format!("{name}.log"));
        let launch = match self.runtime.block_on(self.sandbox.launch(prepared, &log)) {
            Ok(launch) => launch,
            Err(error) => {
                result.trouble = Some(error.to_string());
                return;
            }
        };
        self.say(name, &format!("{} rules", conformance::rules().len()));
        let path = &prepared.spec.ready_path;
        result.findings =
            conformance::examine(launch.address(), path, |_| !self.interrupt.asked() && launch.is_alive());
        if !launch.is_alive() {
            let last = result
                .findings
                .last()
                .map_or("the first rule", |finding| finding.rule.as_str());
            result.trouble = Some(format!(
                "the server ended at {last}; what it printed is in {}",
                log.display()
            ));
        }
        if let Err(error) = self.runtime.block_on(launch.stop()) {
            self.say(&result.name, &format!("its log could not be written: {error}"));
        }
    }

    fn say(&self, what: &str, text: &str) {
        (self.emit)(Event::Preparing {
            what: what.to_owned(),
            text: text.to_owned(),
        });
    }
}
