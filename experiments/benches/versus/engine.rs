//! Runs the load generator in a separate process: this program again, with a plan as argument.

use std::{io::Write, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use wsgibench_harness::load::{
    self, Load, LoadPlan, LoadResult, Target, get,
    script::{ScriptSession, script},
};

use crate::clients::Work;

/// Marks the command line of the engine's process.
const FLAG: &str = "--versus-engine";

/// Output of that process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) failed: u64,
}

/// A plan for one load core without warm-up: one round.
pub(crate) fn plan(address: SocketAddr, load: Load, length: Duration, cpu: usize) -> LoadPlan {
    let mut plan = LoadPlan::new(Target::new(address, address.to_string()), load);
    plan.measurement_time = length;
    plan.cpus = vec![cpu];
    plan.seed = 1;
    plan.busy_poll = true;
    plan
}

/// Returns a closed loop of GETs.
pub(crate) fn closed(address: SocketAddr, connections: usize, seconds: u32, cpu: usize) -> LoadPlan {
    let load = Load::closed(connections).request(get("/").expect_status(200));
    plan(address, load, Duration::from_secs(seconds.into()), cpu)
}

/// Returns the command that runs `plan` in a separate process.
pub(crate) fn command(plan: &LoadPlan, script: bool) -> Result<(String, Vec<String>)> {
    let program = std::env::current_exe()?;
    let program = program.to_str().context("this program's path is not UTF-8")?.to_owned();
    let kind = if script { "script" } else { "declared" };
    Ok((program, vec![FLAG.into(), kind.into(), serde_json::to_string(plan)?]))
}

/// Reads what that process printed.
pub(crate) fn work(output: &str) -> Option<Work> {
    let report: Report = serde_json::from_str(output.trim()).ok()?;
    Some(Work {
        requests: report.requests,
        seconds: report.seconds,
    })
}

/// Runs the plan if this process was started as that child.
pub(crate) fn maybe_run() -> Option<Result<()>> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == FLAG).then(|| {
        let kind = arguments.next().context("no kind")?;
        let plan: LoadPlan = serde_json::from_str(&arguments.next().context("no plan")?)?;
        let result = match kind.as_str() {
            "declared" => load::run(&plan)?,
            "script" => run_script(&plan)?,
            _ => bail!("unknown kind `{kind}`"),
        };
        let report = report(&result);
        ensure!(
            report.failed == 0,
            "{} requests failed: {:?}",
            report.failed,
            result.rounds[0].errors
        );
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
        Ok(())
    })
}

/// Runs the same requests and checks with scripted users.
fn run_script(plan: &LoadPlan) -> Result<LoadResult> {
    let asking = script(|user| {
        Box::pin(async move {
            user.get("/").await?.expect_status(200)?;
            Ok(())
        })
    });
    let mut plan = plan.clone();
    plan.load.requests.clear();
    let mut session = ScriptSession::start(&plan, asking)?;
    let round = session.round(plan.measurement_time)?;
    session.finish()?;
    Ok(LoadResult::new(vec![round]))
}

fn report(result: &LoadResult) -> Report {
    let rounds = &result.rounds;
    Report {
        requests: rounds.iter().map(|round| round.counts.done).sum(),
        seconds: rounds.iter().map(|round| round.seconds).sum(),
        failed: rounds.iter().map(|round| round.counts.failed).sum(),
    }
}
