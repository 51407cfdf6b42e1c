//! Launches servers of the suite for experiments that drive the load generator themselves.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tokio::runtime::Runtime;
use wsgibench_harness::{
    cli::target_dir,
    declare::{Declarations, Machine, resolve},
    sandbox::{Launch, MachineLock, PreparedServer, Sandbox, SandboxChoice, SandboxOptions},
};
use wsgibench_suites as _;

/// A sandbox and the machine lock.
pub(crate) struct Testbed {
    runtime: Runtime,
    sandbox: Sandbox,
    logs: tempfile::TempDir,
    _lock: MachineLock,
}

impl Testbed {
    /// Waits for the machine lock and opens the sandbox; servers run on `server_cpu`.
    pub(crate) fn open(what: &str, server_cpu: usize) -> Result<Self> {
        let logs = tempfile::tempdir()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let lock = runtime.block_on(MachineLock::acquire(|text| println!("{text}")))?;
        let sandbox = runtime.block_on(Sandbox::open(SandboxOptions {
            choice: SandboxChoice::Auto,
            run_id: format!("{what}-{}", std::process::id()),
            run_dir: logs.path().to_owned(),
            target_dir: target_dir(env!("CARGO_MANIFEST_DIR").as_ref()),
            server_cpus: vec![server_cpu],
            published_port: false,
            progress: Arc::new(|what, text| println!("{what}: {text}")),
        }))?;
        Ok(Self {
            runtime,
            sandbox,
            logs,
            _lock: lock,
        })
    }

    /// Builds a server of the suite.
    pub(crate) fn prepare(&self, server: &str) -> Result<PreparedServer> {
        let declarations = Declarations::collect().map_err(|error| anyhow!("{error}"))?;
        let declared = declarations
            .servers
            .iter()
            .find(|declared| declared.name == server)
            .with_context(|| format!("server `{server}` not found; `cargo bench -- --list` lists all"))?;
        let machine = Machine {
            server_cpus: 1,
            memory: u64::MAX,
        };
        let spec = resolve(declared, None, &machine).0;
        Ok(self.runtime.block_on(self.sandbox.prepare(&spec))?)
    }

    /// Starts a server, passes it to `work`, and stops it.
    pub(crate) fn with_launch<T>(&self, server: &PreparedServer, work: impl FnOnce(&Launch) -> Result<T>) -> Result<T> {
        let log = self.logs.path().join("server.log");
        let launch = self.runtime.block_on(self.sandbox.launch(server, &log))?;
        let done = work(&launch);
        self.runtime.block_on(launch.stop())?;
        done
    }

    /// Closes the sandbox and removes its containers.
    pub(crate) fn close(self) {
        self.runtime.block_on(self.sandbox.close());
    }
}
