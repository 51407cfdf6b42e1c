//! Validity rules: pure functions over the figures of a round. Each finding has a value, a threshold and a remedy.

use crate::{
    load::{Model, RoundResult, script::WHOLE_SCRIPT},
    store::record::{
        Ceiling, Finding, Validity,
        ValidityLevel::{self, Invalid, Suspect},
    },
};

/// The kind of load, which decides the rules that apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadModel {
    /// A fixed number of connections, each with one request in flight.
    #[default]
    Closed,
    /// An arrival schedule, independent of the server.
    Open,
    /// Users who arrive over time, each a closed loop.
    Users,
}

impl From<&Model> for LoadModel {
    fn from(model: &Model) -> Self {
        match model {
            Model::Closed { .. } => Self::Closed,
            Model::Open { .. } => Self::Open,
            Model::Users { .. } => Self::Users,
        }
    }
}

/// Facts about the machine and the server that the load generator does not measure.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the round, each with a name of its own"
)]
#[derive(Clone, Debug)]
pub struct RoundContext {
    /// Load model.
    pub model: LoadModel,
    /// Users follow a script: they pause, and open and close connections themselves.
    pub scripted: bool,
    /// The load generator's ceiling on this network path.
    pub ceiling: Option<Ceiling>,
    /// Local ports available for connections to one address.
    pub port_range: u32,
    /// Local ports in `TIME_WAIT` towards the server after the round, i.e. closed first by this client.
    pub time_wait: u32,
    /// CPU time taken by the hypervisor, as a share of the round.
    pub steal_share: f64,
    /// CPU time of other processes on the load CPUs, as a share of the round.
    pub neighbour_share: f64,
    /// The busiest of those processes, formatted for display.
    pub neighbours: Vec<String>,
    /// Server and load generator share CPUs.
    pub shared_cpus: bool,
    /// The load goes through the published port because the container's address is not routable.
    pub published_port: bool,
    /// Seconds for which a CPU quota stopped the harness's own control group.
    pub own_throttled: f64,
    /// The server was not started by this run (`--server-url`).
    pub runs_already: bool,
    /// The server's CPU time and memory are not readable.
    pub unaccounted: bool,
}

impl Default for RoundContext {
    fn default() -> Self {
        Self {
            model: LoadModel::Closed,
            scripted: false,
            ceiling: None,
            port_range: 28_232,
            time_wait: 0,
            steal_share: 0.0,
            neighbour_share: 0.0,
            neighbours: Vec::new(),
            own_throttled: 0.0,
            shared_cpus: false,
            published_port: false,
            runs_already: false,
            unaccounted: false,
        }
    }
}

/// Judges a round.
#[must_use]
pub fn judge(load: &RoundResult, context: &RoundContext) -> Validity {
    let mut validity = Validity::default();
    let mut find = |check: &str, level, value: f64, threshold: f64, text: String| {
        validity.add(Finding {
            check: check.to_owned(),
            level,
            value,
            threshold,
            text,
        });
    };
    offered(load, &mut find);
    engine(load, context, &mut find);
    connections(load, context, &mut find);
    answers(load, &mut find);
    machine(load, context, &mut find);
    validity
}

type Find<'a> = &'a mut dyn FnMut(&str, ValidityLevel, f64, f64, String);

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of one round are far below 2^52"
)]
fn offered(load: &RoundResult, find: Find<'_>) {
    let Some(rate) = load.offered_rate.filter(|rate| *rate > 0.0) else {
        return;
    };
    let sent = load.counts.offered.saturating_sub(load.counts.unsent) as f64;
    let share = sent / (load.counts.offered.max(1) as f64);
    // A request sent late although a connection was free is delayed by the load generator, not by the server.
    let lag = load.client_lag.quantile(0.99).ns as f64 / 1e6;
    if lag > 10.0 {
        find(
            "client_lag",
            Invalid,
            lag,
            10.0,
            format!(
                "1 % of requests were sent {lag:.1} ms or more late although a connection was free: the load generator could not sustain {rate:.0}/s; give it more CPUs (--load-cpus)"
            ),
        );
    } else if lag > 1.0 {
        find(
            "client_lag",
            Suspect,
            lag,
            1.0,
            format!(
                "1 % of requests were sent {lag:.2} ms or more late although a connection was free; check for other processes on the load CPUs"
            ),
        );
    }
    if share < 0.99 {
        find(
            "achieved_rate",
            Suspect,
            share,
            0.99,
            format!(
                "only {:.1} % of the offered requests were sent: the server is overloaded",
                share * 100.0
            ),
        );
    }
}

fn engine(load: &RoundResult, context: &RoundContext, find: Find<'_>) {
    if let Some(ceiling) = context
        .ceiling
        .filter(|c| c.requests_per_second > 0.0 && load.seconds > 0.0)
    {
        #[expect(clippy::cast_precision_loss, reason = "requests of one round are far below 2^52")]
        let share = load.counts.done as f64 / load.seconds / ceiling.requests_per_second;
        if share > 0.9 {
            let sped_up = if share > 1.0 {
                " (the machine is faster now than when the ceiling was measured)"
            } else {
                ""
            };
            find(
                "ceiling",
                Invalid,
                share,
                0.9,
                format!(
                    "throughput is {:.0} % of the load generator's ceiling{sped_up}: the load generator is the limit; give it more CPUs (--load-cpus)",
                    share * 100.0
                ),
            );
        } else if share > 0.8 {
            find(
                "ceiling",
                Suspect,
                share,
                0.8,
                format!(
                    "throughput is {:.0} % of the load generator's ceiling; give it more CPUs (--load-cpus)",
                    share * 100.0
                ),
            );
        }
    }
    if load.engine_busy_share > 0.95 {
        find(
            "engine_busy",
            Invalid,
            load.engine_busy_share,
            0.95,
            format!(
                "the load CPUs were {:.0} % busy: the load generator is the limit; give it more CPUs (--load-cpus)",
                load.engine_busy_share * 100.0
            ),
        );
    } else if load.engine_busy_share > 0.85 {
        find(
            "engine_busy",
            Suspect,
            load.engine_busy_share,
            0.85,
            format!("the load CPUs were {:.0} % busy", load.engine_busy_share * 100.0),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of one round are far below 2^52")]
fn connections(load: &RoundResult, context: &RoundContext, find: Find<'_>) {
    let c = &load.connections;
    // Scripted users who pause have fewer open connections than users where the server closes idle ones. That is a
    // finding only if connecting failed.
    if c.wanted > 0 && matches!(context.model, LoadModel::Closed) && (!context.scripted || cannot_connect(load)) {
        let established = c.established as f64 / c.wanted as f64;
        if established < 0.99 {
            let level = if established < 0.9 { Invalid } else { Suspect };
            find(
                "connections",
                level,
                established,
                0.99,
                format!(
                    "only {} of {} connections were established: raise the server's backlog and descriptor limits",
                    c.established, c.wanted
                ),
            );
        }
    }
    if c.wanted > 0 && !matches!(context.model, LoadModel::Open) {
        let served = c.served as f64 / c.wanted as f64;
        if served < 0.99 && load.seconds > 0.0 {
            let level = if served < 0.5 { Invalid } else { Suspect };
            find(
                "served",
                level,
                served,
                0.99,
                format!(
                    "only {} of {} connections got a response: the others starved, and the latencies describe only those that were served",
                    c.served, c.wanted
                ),
            );
        }
        // Users who arrived early sent more requests, and met less load: uneven counts are expected there.
        if matches!(context.model, LoadModel::Closed) && c.jain < 0.8 && load.counts.done > c.wanted * 10 {
            find(
                "fairness",
                Suspect,
                c.jain,
                0.8,
                format!(
                    "responses were distributed unevenly over connections (Jain's index {:.2})",
                    c.jain
                ),
            );
        }
        let wanted = c.wanted as f64;
        if let Some(busy) = accounted_for(load, context.scripted)
            && matches!(context.model, LoadModel::Closed)
            && load.counts.done > 1_000
            && load.counts.failed == 0
            && busy < wanted * 0.8
        {
            find(
                "littles_law",
                Suspect,
                busy / wanted,
                0.8,
                format!(
                    "throughput x latency accounts for {busy:.1} of {wanted:.0} connections (Little's law): the others were starved or reconnecting"
                ),
            );
        }
    }
    let range = f64::from(context.port_range.max(1));
    let used = f64::from(context.time_wait) / range;
    let no_ports = load
        .errors
        .iter()
        .any(|(kind, n)| *kind == crate::load::ErrorKind::NoPorts && *n > 0);
    if no_ports {
        find(
            "ports",
            Invalid,
            used,
            1.0,
            format!(
                "the client ran out of local ports ({} are available for one address); widen net.ipv4.ip_local_port_range or shorten the round",
                context.port_range
            ),
        );
    } else if used > 0.5 {
        let level = if used > 0.8 { Invalid } else { Suspect };
        find(
            "ports",
            level,
            used,
            0.5,
            format!(
                "{} of {} local ports are in TIME_WAIT towards the server for a minute after use: the client is running out of ports; shorten the round or widen net.ipv4.ip_local_port_range",
                context.time_wait, context.port_range
            ),
        );
    }
}

/// Returns the number of connections (or users) that Little's law accounts for, N = X x R over the served ones.
/// For scripted users, X and R are those of whole scripts including pauses, and `None` until enough scripts ended for
/// those cut off by the round's edges to be negligible.
#[expect(clippy::cast_precision_loss, reason = "counts of one round are far below 2^52")]
fn accounted_for(load: &RoundResult, scripted: bool) -> Option<f64> {
    let seconds = load.seconds.max(1e-9);
    if scripted {
        let whole = load.steps.iter().find(|step| step.name == WHOLE_SCRIPT)?;
        let runs = &whole.latency.histogram;
        let enough = runs.len() > load.connections.wanted * 20 && whole.failed == 0;
        return enough.then(|| runs.len() as f64 * runs.mean() / 1e9 / seconds);
    }
    let rate = load.counts.done as f64 / seconds;
    let connecting = load.connections.opened as f64 / seconds * load.connect_time.histogram.mean() / 1e9;
    Some(rate * load.service_time.histogram.mean() / 1e9 + connecting)
}

/// Returns whether any connection attempt failed.
fn cannot_connect(load: &RoundResult) -> bool {
    use crate::load::ErrorKind::{ConnectReset, ConnectTimeout, NoDescriptors, Refused, Unreachable};
    let kinds = [Refused, Unreachable, ConnectTimeout, ConnectReset, NoDescriptors];
    load.errors.iter().any(|(kind, n)| *n > 0 && kinds.contains(kind))
}

#[expect(clippy::cast_precision_loss, reason = "counts of one round are far below 2^52")]
fn answers(load: &RoundResult, find: Find<'_>) {
    let share = super::metrics::error_share(&load.counts);
    if load.counts.done == 0 {
        find(
            "answers",
            Invalid,
            0.0,
            1.0,
            "no request of the round succeeded".to_owned(),
        );
    } else if share > 0.05 {
        find(
            "errors",
            Invalid,
            share,
            0.05,
            format!("{:.1} % of the requests failed", share * 100.0),
        );
    } else if share > 0.001 {
        find(
            "errors",
            Suspect,
            share,
            0.001,
            format!("{:.2} % of the requests failed", share * 100.0),
        );
    }
    let retried = load.counts.retried as f64 / load.counts.done.max(1) as f64;
    if retried > 0.01 {
        find(
            "retries",
            Suspect,
            retried,
            0.01,
            format!(
                "{:.1} % of the requests were sent again: the server closes connections without announcing it",
                retried * 100.0
            ),
        );
    }
}

/// Formats the busiest processes in brackets.
fn busiest_processes(programs: &[String]) -> String {
    if programs.is_empty() {
        String::new()
    } else {
        format!(" (busiest: {})", programs.join(", "))
    }
}

fn machine(load: &RoundResult, context: &RoundContext, find: Find<'_>) {
    if context.own_throttled > 0.0 {
        find(
            "throttled",
            Invalid,
            context.own_throttled,
            0.0,
            format!(
                "a CPU quota stopped the load generator for {:.3} s: run without a CPU limit (a pod's `limits.cpu`, \
                 `docker run --cpus`), or with whole CPUs by a CPU set",
                context.own_throttled
            ),
        );
    }
    let delay = load.run_queue_delay_seconds / load.seconds.max(1e-9);
    if delay > 0.1 {
        let level = if delay > 0.3 { Invalid } else { Suspect };
        find(
            "run_queue_delay",
            level,
            delay,
            0.1,
            format!(
                "the load generator waited for a CPU during {:.0} % of the round: other processes use the load CPUs{}",
                delay * 100.0,
                busiest_processes(&context.neighbours)
            ),
        );
    }
    if context.steal_share > 0.05 {
        find(
            "steal",
            Suspect,
            context.steal_share,
            0.05,
            format!(
                "the hypervisor took {:.0} % of the CPU time",
                context.steal_share * 100.0
            ),
        );
    }
    if context.neighbour_share > 0.1 {
        let level = if context.neighbour_share > 0.3 {
            Invalid
        } else {
            Suspect
        };
        find(
            "neighbour",
            level,
            context.neighbour_share,
            0.1,
            format!(
                "other processes used {:.0} % of the load CPUs: stop them or bind them to other CPUs{}",
                context.neighbour_share * 100.0,
                busiest_processes(&context.neighbours)
            ),
        );
    }
    if context.shared_cpus {
        find(
            "shared_cpus",
            Suspect,
            1.0,
            0.0,
            "server and load generator share CPUs: throughput and latency depend on both".to_owned(),
        );
    }
    if context.runs_already {
        let unseen = if context.unaccounted {
            "; its CPU time and memory are unavailable"
        } else {
            ""
        };
        find(
            "runs_already",
            Suspect,
            1.0,
            0.0,
            format!(
                "the server was not started by this run: its CPUs and limits are unknown, and all launches are the same process, \
                 so intervals do not cover the variation between starts{unseen}"
            ),
        );
    }
    if context.published_port {
        find(
            "path",
            Suspect,
            1.0,
            0.0,
            "no route to the container's address: the load goes through the published port's proxy, which can halve the throughput of a fast server".to_owned(),
        );
    }
}

/// Combines the validity of a case's rounds: invalid if more than half of them are, suspect if any has a finding. Each
/// finding appears once, with its worst figure.
#[must_use]
pub fn of_case<'a>(rounds: impl IntoIterator<Item = &'a Validity>) -> Validity {
    let all: Vec<&Validity> = rounds.into_iter().collect();
    let mut merged = Validity::default();
    for finding in all.iter().flat_map(|v| &v.findings) {
        match merged.findings.iter_mut().find(|f| f.check == finding.check) {
            Some(old) if finding.level > old.level => *old = finding.clone(),
            Some(_) => {}
            None => merged.findings.push(finding.clone()),
        }
    }
    let at_least = |level| all.iter().filter(|v| v.level >= level).count() * 2 > all.len();
    merged.level = if at_least(Invalid) {
        Invalid
    } else if merged.findings.is_empty() {
        ValidityLevel::Valid
    } else {
        Suspect
    };
    merged
}

#[cfg(test)]
mod tests;
