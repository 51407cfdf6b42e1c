//! Servers as local processes, for machines without a container engine.
//!
//! Each server has a virtual environment; each launch has a process group, CPUs, and the limits that the machine grants. There is no
//! isolation: a server runs as the current user, on the machine's own network.

mod environment;
mod launch;
mod limits;
mod process_cleanup;

use std::{path::Path, sync::Arc};

pub(crate) use launch::ProcessLaunch;
pub(crate) use process_cleanup::emergency_cleanup;

use super::{LaunchError, PrepareError, PreparedServer, SandboxError, context::SandboxContext};
use crate::declare::ServerSpec;

/// The process sandbox.
pub(crate) struct ProcessSandbox {
    context: Arc<SandboxContext>,
}

impl ProcessSandbox {
    /// Finds a Python and removes objects left by dead runs.
    pub(crate) async fn open(context: Arc<SandboxContext>) -> Result<Self, SandboxError> {
        if !cfg!(unix) {
            return Err(SandboxError::NoProcesses("it needs Linux or another Unix".into()));
        }
        environment::python(None).await.map_err(SandboxError::NoProcesses)?;
        Ok(Self { context })
    }

    pub(crate) async fn prepare(&self, spec: &ServerSpec) -> Result<PreparedServer, PrepareError> {
        // Not before: a run of servers that someone else started has none here.
        self.context.notice(
            "",
            "the process sandbox provides no isolation: servers run as the current user, next to all other processes, over \
             loopback; compare its results only with each other",
        );
        environment::prepare(&self.context, spec).await
    }

    pub(crate) async fn launch(&self, prepared: &PreparedServer, log: &Path) -> Result<ProcessLaunch, LaunchError> {
        launch::launch(&self.context, prepared, log).await
    }
}

/// Removes processes, control groups and folders of runs that are proven dead.
pub(crate) fn reap_dead(context: &SandboxContext) {
    let removed = process_cleanup::sweep(&context.folder("tmp"), super::owner::Owner::is_proven_dead);
    if removed > 0 {
        context.report_progress(
            "sandbox",
            &format!("removed {removed} processes, control groups and folders of killed runs"),
        );
    }
}
