//! May a round be believed? Pure rules over its figures; each departure carries its figure, its threshold and a remedy.

use crate::{
    load::{Model, RoundResult, script::WHOLE_SCRIPT},
    store::record::{
        Ceiling, Finding, Validity,
        ValidityLevel::{self, Invalid, Suspect},
    },
};

/// Which rules apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadModel {
    /// Connections wait for their answers.
    #[default]
    Closed,
    /// The schedule does not wait.
    Open,
    /// Users come and go.
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

/// What the rules must know beside the engine's figures.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the round, each with a name of its own"
)]
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Model of the load.
    pub model: LoadModel,
    /// Users follow a script: they think, and open and close connections as they like.
    pub scripted: bool,
    /// The engine's ceiling on this path.
    pub ceiling: Option<Ceiling>,
    /// Local ports that may be used towards one address.
    pub port_range: u32,
    /// Local ports that rest in `TIME_WAIT` towards the server after the round: what our own closing has used up.
    pub time_wait: u32,
    /// CPU time held back by the hypervisor as a share of the round.
    pub steal_share: f64,
    /// CPU time that others took on the load CPUs, as a share of the round.
    pub neighbour_share: f64,
    /// The programs that took most of it, in words.
    pub neighbours: Vec<String>,
    /// Server and engine share CPUs.
    pub shared_cpus: bool,
    /// Measured through the published port for want of a route.
    pub published_port: bool,
    /// The server ran already and was not started by us.
    pub runs_already: bool,
    /// What the server uses cannot be read.
    pub unaccounted: bool,
}

impl Default for Surroundings {
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
            shared_cpus: false,
            published_port: false,
            runs_already: false,
            unaccounted: false,
        }
    }
}

/// Judges a round.
#[must_use]
pub fn judge(load: &RoundResult, around: &Surroundings) -> Validity {
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
    engine(load, around, &mut find);
    connections(load, around, &mut find);
    answers(load, &mut find);
    machine(load, around, &mut find);
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
    // What the schedule asked for and the engine could not send while connections were free is the engine's fault.
    let lag = load.client_lag.quantile(0.99).ns as f64 / 1e6;
    if lag > 10.0 {
        find(
            "client_lag",
            Invalid,
            lag,
            10.0,
            format!(
                "1 % of requests left {lag:.1} ms or more late although a connection was free: the engine could not keep {rate:.0}/s; give it more CPUs (--load-cpus)"
            ),
        );
    } else if lag > 1.0 {
        find(
            "client_lag",
            Suspect,
            lag,
            1.0,
            format!(
                "1 % of requests left {lag:.2} ms or more late although a connection was free; is something else running on the load CPUs?"
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
                "only {:.1} % of the offered requests could be sent: the server fell behind, read the figures as overload",
                share * 100.0
            ),
        );
    }
}

fn engine(load: &RoundResult, around: &Surroundings, find: Find<'_>) {
    if let Some(ceiling) = around
        .ceiling
        .filter(|c| c.requests_per_second > 0.0 && load.seconds > 0.0)
    {
        #[expect(clippy::cast_precision_loss, reason = "requests of one round are far below 2^52")]
        let share = load.counts.done as f64 / load.seconds / ceiling.requests_per_second;
        if share > 0.9 {
            let sped_up = if share > 1.0 {
                " (the machine has become faster since)"
            } else {
                ""
            };
            find(
                "ceiling",
                Invalid,
                share,
                0.9,
                format!(
                    "{:.0} % of what the engine reached against a server that does nothing{sped_up}: this measures the engine; give it more CPUs (--load-cpus)",
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
                    "{:.0} % of what the engine reaches against a server that does nothing; more load CPUs would tell more",
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
                "the engine's own CPUs were {:.0} % busy: it was the limit; give it more CPUs (--load-cpus)",
                load.engine_busy_share * 100.0
            ),
        );
    } else if load.engine_busy_share > 0.85 {
        find(
            "engine_busy",
            Suspect,
            load.engine_busy_share,
            0.85,
            format!(
                "the engine's own CPUs were {:.0} % busy",
                load.engine_busy_share * 100.0
            ),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of one round are far below 2^52")]
fn connections(load: &RoundResult, around: &Surroundings, find: Find<'_>) {
    let c = &load.connections;
    // Users who think between two requests have fewer connections than heads where the server closes them; that is a
    // finding only where connecting failed.
    if c.wanted > 0 && matches!(around.model, LoadModel::Closed) && (!around.scripted || cannot_connect(load)) {
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
    if c.wanted > 0 && !matches!(around.model, LoadModel::Open) {
        let served = c.served as f64 / c.wanted as f64;
        if served < 0.99 && load.seconds > 0.0 {
            let level = if served < 0.5 { Invalid } else { Suspect };
            find(
                "served",
                level,
                served,
                0.99,
                format!(
                    "only {} of {} connections got an answer: the others starved, so the latencies are those of the lucky ones",
                    c.served, c.wanted
                ),
            );
        }
        // Users who came earlier have asked for longer, and while fewer were there: that is no unfairness.
        if matches!(around.model, LoadModel::Closed) && c.jain < 0.8 && load.counts.done > c.wanted * 10 {
            find(
                "fairness",
                Suspect,
                c.jain,
                0.8,
                format!(
                    "answers were spread unevenly over connections (Jain's index {:.2})",
                    c.jain
                ),
            );
        }
        let wanted = c.wanted as f64;
        if let Some(busy) = accounted_for(load, around.scripted)
            && matches!(around.model, LoadModel::Closed)
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
                    "rate x time accounts for {busy:.1} of {wanted:.0} connections (Little's law): the others waited without an answer or were being reopened"
                ),
            );
        }
    }
    let range = f64::from(around.port_range.max(1));
    let used = f64::from(around.time_wait) / range;
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
                "no local port was left ({} may be used towards one address): the client was the limit; widen net.ipv4.ip_local_port_range or shorten the round",
                around.port_range
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
                "{} of {} local ports rest in TIME_WAIT towards the server: a port rests for a minute after use, and the run nears the limit of the client",
                around.time_wait, around.port_range
            ),
        );
    }
}

/// Connections (or users) that rate x time accounts for: N = X x R over those that were served; the waiting of the others
/// is what `served` tells. Of scripted users whole scripts are counted, with the time to think in them, once there are
/// enough for those cut off at the ends of the round not to matter.
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

/// Whether connections failed to come about.
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
            "not one request was answered rightly in the round".to_owned(),
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
                "{:.1} % of the requests were sent again: the server closes idle connections without saying so",
                retried * 100.0
            ),
        );
    }
}

/// The programs in brackets.
fn named(programs: &[String]) -> String {
    if programs.is_empty() {
        String::new()
    } else {
        format!(" (busiest: {})", programs.join(", "))
    }
}

fn machine(load: &RoundResult, around: &Surroundings, find: Find<'_>) {
    let delay = load.run_queue_delay_seconds / load.seconds.max(1e-9);
    if delay > 0.1 {
        let level = if delay > 0.3 { Invalid } else { Suspect };
        find(
            "run_queue_delay",
            level,
            delay,
            0.1,
            format!(
                "the engine waited for a CPU during {:.0} % of the round: something else runs on the load CPUs{}",
                delay * 100.0,
                named(&around.neighbours)
            ),
        );
    }
    if around.steal_share > 0.05 {
        find(
            "steal",
            Suspect,
            around.steal_share,
            0.05,
            format!(
                "the hypervisor took {:.0} % of the CPU time",
                around.steal_share * 100.0
            ),
        );
    }
    if around.neighbour_share > 0.1 {
        let level = if around.neighbour_share > 0.3 { Invalid } else { Suspect };
        find(
            "neighbour",
            level,
            around.neighbour_share,
            0.1,
            format!(
                "other processes used {:.0} % of the load CPUs: stop them, or move them away{}",
                around.neighbour_share * 100.0,
                named(&around.neighbours)
            ),
        );
    }
    if around.shared_cpus {
        find(
            "shared_cpus",
            Suspect,
            1.0,
            0.0,
            "server and engine share CPUs on this machine: rates and latencies are those of the pair".to_owned(),
        );
    }
    if around.runs_already {
        let unseen = if around.unaccounted {
            "; its CPU time and memory cannot be seen from here"
        } else {
            ""
        };
        find(
            "runs_already",
            Suspect,
            1.0,
            0.0,
            format!(
                "the server ran already: its CPUs, limits and history are its own, and its launches are the same process again, so \
                 an interval over them says nothing of a fresh start{unseen}"
            ),
        );
    }
    if around.published_port {
        find(
            "path",
            Suspect,
            1.0,
            0.0,
            "there is no route to the container's address: the published port's proxy is in the path and may halve a fast server".to_owned(),
        );
    }
}

/// The validity of a case: invalid or suspect as the worst of more than half of its rounds (one bad round is a notice of
/// its own and is shown with it), and every finding once with its worst figure.
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
