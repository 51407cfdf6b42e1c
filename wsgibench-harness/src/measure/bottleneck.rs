//! Finds the resource that limits a server in a case, from the records of its rounds.

use crate::{
    declare::ServerSpec,
    load::Model,
    stats::sample::mean,
    store::{
        arms::CANDIDATE,
        record::{CaseRecord, RoundRecord, ValidityLevel},
    },
};

/// Share of a resource from which it is the limit.
const EXHAUSTED: f64 = 0.9;

/// Cores from which a companion may be the limit: its own number of CPUs is that of the server.
const BUSY_COMPANION: f64 = 0.8;

/// Findings that say that the load generator is the limit.
const CLIENT: [&str; 3] = ["ceiling", "engine_busy", "client_lag"];

/// Returns what limits the case: resources in use to at least 90 %, the load generator, companions, or else waiting. Each is one
/// sentence without a full stop.
#[must_use]
pub fn of_case(case: &CaseRecord, spec: &ServerSpec) -> Vec<String> {
    let rounds: Vec<&RoundRecord> = case.of_arm(CANDIDATE).flat_map(|launch| &launch.rounds).collect();
    let mut limits = Vec::new();
    let cores = cores(&rounds, |round| round.server_cpu_seconds);
    let available = available_cores(spec);
    let of = format!("{available} {}", if available > 1.0 { "CPUs" } else { "CPU" });
    if let Some(cores) = cores.filter(|cores| *cores >= EXHAUSTED * available) {
        limits.push(format!("CPU: the server used {cores:.2} of its {of}"));
    }
    limits.extend(memory(&rounds, spec));
    limits.extend(companions(&rounds));
    limits.extend(client(&rounds));
    if limits.is_empty() && !rounds.is_empty() {
        let used = cores.map_or_else(
            || "its CPU time was not measured".to_owned(),
            |cores| format!("it used {cores:.2} of its {of}"),
        );
        limits.push(match case.load.model {
            Model::Open { .. } if !case.load.of_capacity => format!("the arrival rate: {used}"),
            _ => format!(
                "waiting: {used}; requests wait for a free worker or thread, or for something outside of the server"
            ),
        });
    }
    limits
}

#[expect(clippy::cast_precision_loss, reason = "numbers of CPUs are small")]
fn available_cores(spec: &ServerSpec) -> f64 {
    let set = spec.limits.cpus as f64;
    spec.limits.cpu_quota.map_or(set, |quota| quota.min(set))
}

/// Returns the mean number of cores in use.
fn cores(rounds: &[&RoundRecord], seconds: impl Fn(&RoundRecord) -> Option<f64>) -> Option<f64> {
    let each: Vec<f64> = rounds
        .iter()
        .filter(|round| round.load.seconds > 0.0)
        .filter_map(|round| Some(seconds(round)? / round.load.seconds))
        .collect();
    (!each.is_empty()).then(|| mean(&each))
}

#[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes of memory")]
fn memory(rounds: &[&RoundRecord], spec: &ServerSpec) -> Option<String> {
    let peak = rounds.iter().filter_map(|round| round.memory_peak_bytes).max()? as f64;
    let limit = spec.limits.memory as f64;
    (peak >= EXHAUSTED * limit).then(|| {
        format!(
            "memory: the server reached {:.0} % of its limit of {:.0} MiB",
            peak / limit * 100.0,
            limit / f64::from(1 << 20)
        )
    })
}

fn companions(rounds: &[&RoundRecord]) -> Vec<String> {
    let mut names: Vec<&str> = rounds
        .iter()
        .flat_map(|round| &round.companions)
        .map(|companion| companion.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| {
            let used = cores(rounds, |round| {
                let mut companions = round.companions.iter();
                companions
                    .find(|companion| companion.name == name)
                    .map(|companion| companion.cpu_seconds)
            })?;
            (used >= BUSY_COMPANION).then(|| format!("the companion `{name}`: it used {used:.2} CPUs"))
        })
        .collect()
}

/// Returns the load generator's finding, if half of the rounds have one.
fn client(rounds: &[&RoundRecord]) -> Option<String> {
    let of = |round: &&&RoundRecord| {
        let mut findings = round.validity.findings.iter();
        findings.any(|finding| CLIENT.contains(&finding.check.as_str()) && finding.level >= ValidityLevel::Suspect)
    };
    let limited: Vec<&&RoundRecord> = rounds.iter().filter(of).collect();
    let mut findings = limited.iter().flat_map(|round| &round.validity.findings);
    let finding = findings.find(|finding| CLIENT.contains(&finding.check.as_str()))?;
    (limited.len() * 2 >= rounds.len()).then(|| format!("the load generator: {}", finding.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        declare::samples::spec,
        store::{
            record::{CaseOutcome, CompanionUsage, Finding},
            samples,
        },
    };

    fn limits(change: impl Fn(&mut RoundRecord)) -> Vec<String> {
        let launch = samples::launch(0, CANDIDATE, 0.1, [1.0, 1.0]);
        let case = samples::case("a", &CaseOutcome::Measured, &[launch]);
        let mut case = samples::run("r", &[case]).cases.remove(0);
        let mut round = samples::round();
        round.load.seconds = 2.0;
        round.server_cpu_seconds = Some(0.6);
        change(&mut round);
        case.launches[0].rounds.push(round);
        of_case(&case, &spec())
    }

    #[test]
    fn exhausted_resources_are_limits_and_otherwise_requests_wait() {
        let waiting = limits(|_| {});
        assert!(
            waiting.len() == 1 && waiting[0].starts_with("waiting: it used 0.30 of its 1 CPU;"),
            "{waiting:?}"
        );
        assert_eq!(
            limits(|round| round.server_cpu_seconds = Some(1.9)),
            ["CPU: the server used 0.95 of its 1 CPU"]
        );
        assert_eq!(
            limits(|round| round.memory_peak_bytes = Some(1_000 << 20)),
            ["memory: the server reached 98 % of its limit of 1024 MiB"]
        );
        assert_eq!(
            limits(|round| round.companions.push(CompanionUsage {
                name: "db".into(),
                cpu_seconds: 1.8,
                memory_bytes: 1,
            })),
            ["the companion `db`: it used 0.90 CPUs"]
        );
        let busy = limits(|round| {
            round.validity.add(Finding {
                check: "engine_busy".into(),
                level: ValidityLevel::Suspect,
                value: 0.9,
                threshold: 0.85,
                text: "the load CPUs were 90 % busy".into(),
            });
        });
        assert_eq!(busy, ["the load generator: the load CPUs were 90 % busy"]);
    }
}
