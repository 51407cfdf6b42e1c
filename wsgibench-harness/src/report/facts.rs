//! Environment of a run (machine, commit, tools) as names and values.

use super::units;
use crate::store::record::RunRecord;

/// Returns each known fact with its name.
#[must_use]
pub fn of_run(run: &RunRecord) -> Vec<(String, String)> {
    let environment = &run.environment;
    let cpus = |set: &[usize]| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut fact = |name: &str, value: String| {
        if !value.trim().is_empty() {
            facts.push((name.to_owned(), value));
        }
    };
    fact("run", run.id.clone());
    fact("started", run.started.to_string());
    fact(
        "finished",
        match run.finished {
            Some(at) if run.interrupted => format!("{at} (interrupted)"),
            Some(at) => at.to_string(),
            None => "no: it was killed or is still running".into(),
        },
    );
    fact("profile", format!("{}: {}", run.profile.name, run.profile.description));
    fact(
        "effort",
        format!(
            "{} launches per case, warm-up {:?}, {} rounds of {:?}",
            run.profile.launches, run.profile.warm_up_time, run.profile.rounds, run.profile.measurement_time
        ),
    );
    fact("arguments", run.arguments.join(" "));
    fact("seed", run.seed.to_string());
    fact("harness", run.harness_version.clone());
    fact("commit", environment.commit.clone().unwrap_or_default());
    fact(
        "sandbox",
        format!("{} ({})", environment.sandbox, environment.sandbox_reason),
    );
    fact("container engine", environment.engine.clone().unwrap_or_default());
    fact("load path", environment.path.clone());
    fact("operating system", environment.os.clone());
    fact("kernel", environment.kernel.clone());
    fact("CPU", format!("{} x {}", environment.cpu_count, environment.cpu_model));
    fact("server CPUs", cpus(&environment.server_cpus));
    fact("load engine CPUs", cpus(&environment.load_cpus));
    fact("frequency governor", environment.governor.clone().unwrap_or_default());
    if environment.memory_bytes > 0 {
        fact("memory", units::bytes(units::float(environment.memory_bytes)));
    }
    fact("cgroup", environment.cgroup.clone());
    let ceilings = [
        ("load engine ceiling", run.ceiling),
        ("scripted user ceiling", run.script_ceiling),
    ];
    for (name, ceiling) in ceilings {
        let Some(ceiling) = ceiling else { continue };
        fact(
            name,
            format!(
                "{} req/s, {} of engine CPU per request",
                units::rate(ceiling.requests_per_second),
                units::time(ceiling.engine_cpu_us_per_request * 1e3)
            ),
        );
    }
    for (name, value) in &environment.extra {
        fact(name, value.clone());
    }
    facts
}
