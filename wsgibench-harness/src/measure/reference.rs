//! A null server on the same network path as the measured servers, for the load generator's ceiling and the reference
//! load before and after each launch.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use tokio::runtime::Runtime;

use crate::{
    declare::{DeclaredServer, Location, Machine, Server, ServerSpec, resolve},
    load::{
        Load, LoadError, LoadPlan, RoundResult, Session, Target, get,
        script::{ScriptSession, script},
    },
    null_server::{self, NullServerProcess},
    sandbox::{Launch, Sandbox, SandboxKind, executable},
    store::record::Ceiling,
};

/// Connections of the reference load: enough to saturate one core on either side.
const CONNECTIONS: usize = 64;
const PORT: u16 = 8000;

/// A null server that runs as long as the benchmark. It uses no CPU time between reference loads.
pub struct Reference {
    home: Home,
    address: SocketAddr,
}

enum Home {
    Container(Launch),
    Process(NullServerProcess),
}

impl Reference {
    /// Starts a null server in the sandbox: in a container, or as a local process.
    ///
    /// # Errors
    /// Returns the reason if it does not start; the run continues without it and prints a notice.
    pub fn start(sandbox: &Sandbox, runtime: &Runtime, server_cpus: &[usize], run_dir: &Path) -> Result<Self, String> {
        if sandbox.kind() != SandboxKind::Docker {
            let process = NullServerProcess::spawn(server_cpus.first().copied()).map_err(|e| e.to_string())?;
            return Ok(Self {
                address: process.address(),
                home: Home::Process(process),
            });
        }
        let temporary = tempfile::tempdir_in(run_dir).map_err(|e| format!("{}: {e}", run_dir.display()))?;
        // The image is named after its folder.
        let folder = temporary.path().join("null_server");
        fs::create_dir(&folder).map_err(|e| e.to_string())?;
        let command =
            executable::write_context(&folder).map_err(|e| format!("failed to write its build context: {e}"))?;
        let spec = spec(&folder, command);
        let prepared = runtime.block_on(sandbox.prepare(&spec)).map_err(|e| e.to_string())?;
        let launch = runtime
            .block_on(sandbox.launch(&prepared, &run_dir.join("logs/null-server.log")))
            .map_err(|e| e.to_string())?;
        Ok(Self {
            address: launch.address(),
            home: Home::Container(launch),
        })
    }

    /// Measures its throughput under a declared load for `length`, with all load CPUs.
    ///
    /// # Errors
    /// The load generator did not start, or no request was answered.
    pub fn measure(&self, load_cpus: &[usize], warm_up: Duration, length: Duration) -> Result<Ceiling, String> {
        let load = Load::closed(CONNECTIONS).request(get("/").expect_status(200));
        let plan = self.plan(load, load_cpus, warm_up, length);
        ceiling(declared(&plan))
    }

    /// Measures its throughput under scripted users, whose requests cost the load generator more CPU time.
    ///
    /// # Errors
    /// As [`measure`](Self::measure).
    pub fn measure_scripted(
        &self,
        load_cpus: &[usize],
        warm_up: Duration,
        length: Duration,
    ) -> Result<Ceiling, String> {
        let plan = self.plan(Load::closed(CONNECTIONS).for_script(), load_cpus, warm_up, length);
        ceiling(scripted(&plan))
    }

    fn plan(&self, load: Load, load_cpus: &[usize], warm_up: Duration, length: Duration) -> LoadPlan {
        let mut plan = LoadPlan::new(Target::new(self.address, "null"), load);
        plan.warm_up = warm_up;
        plan.measurement_time = length;
        plan.cpus = load_cpus.to_vec();
        plan
    }

    /// Stops and removes it.
    pub fn stop(self, runtime: &Runtime) {
        match self.home {
            // If this fails, the sandbox removes the container by its label when it closes.
            Home::Container(launch) => drop(runtime.block_on(launch.stop())),
            Home::Process(process) => drop(process),
        }
    }
}

fn declared(plan: &LoadPlan) -> Result<RoundResult, LoadError> {
    let mut session = Session::start(plan)?;
    let round = session
        .warm_up(plan.warm_up)
        .and_then(|_| session.round(plan.measurement_time));
    session.finish()?;
    round
}

fn scripted(plan: &LoadPlan) -> Result<RoundResult, LoadError> {
    let asking = script(|user| {
        Box::pin(async move {
            user.get("/").await?.expect_status(200)?;
            Ok(())
        })
    });
    let mut session = ScriptSession::start(plan, asking)?;
    let round = session
        .warm_up(plan.warm_up)
        .and_then(|_| session.round(plan.measurement_time));
    session.finish()?;
    round
}

fn ceiling(round: Result<RoundResult, LoadError>) -> Result<Ceiling, String> {
    let round = round.map_err(|e| e.to_string())?;
    if round.counts.done == 0 || round.seconds <= 0.0 {
        return Err("the null server answered no request".to_owned());
    }
    #[expect(clippy::cast_precision_loss, reason = "requests of a few seconds are far below 2^52")]
    let done = round.counts.done as f64;
    Ok(Ceiling {
        requests_per_second: done / round.seconds,
        engine_cpu_us_per_request: round.engine_cpu_seconds * 1e6 / done,
    })
}

fn spec(folder: &Path, command: Vec<String>) -> ServerSpec {
    let (name, value) = null_server::detached_order(PORT);
    let declared = DeclaredServer {
        name: "null_server".to_owned(),
        description: "Null server: answers each request immediately.".to_owned(),
        location: Location {
            file: file!(),
            line: line!(),
            column: column!(),
        },
        manifest_dir: folder.to_owned(),
        setting: None,
        server: Server::dockerfile(folder).command(command).env(name, value).port(PORT),
    };
    let machine = Machine {
        server_cpus: 1,
        memory: u64::MAX,
    };
    resolve(&declared, None, &machine).0
}
