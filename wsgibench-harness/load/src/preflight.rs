//! Checks before the first connection: file descriptors, local ports, listen backlog.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::{
    error::LoadError,
    model::{Load, Model},
    plan::{KeepAlive, LoadPlan},
};

/// File descriptors reserved for pollers, timers, files and the caller.
const OTHER_DESCRIPTORS: u64 = 256;

/// A warning that affects the interpretation of the results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notice {
    /// The subject.
    pub topic: Topic,
    /// The message, with the remedy.
    pub text: String,
}

/// The subject of a [`Notice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Topic {
    /// Local ports.
    Ports,
    /// The listen backlog.
    Backlog,
    /// CPUs of the load generator.
    Cpus,
}

/// Checks the plan against this machine and raises this process's soft descriptor limit as needed.
///
/// # Errors
/// Returns an error for a contradictory plan, too few descriptors, or fewer ports than simultaneous connections.
pub fn preflight(plan: &LoadPlan) -> Result<Vec<Notice>, LoadError> {
    plan.validate()?;
    raise_descriptors(&plan.load)?;
    let mut notices = Vec::new();
    let connections = simultaneous(&plan.load);
    if let Some(available) = port_range() {
        if connections > available {
            return Err(LoadError::Ports {
                needed: connections,
                available,
            });
        }
        if connections * 2 > available {
            notices.push(Notice {
                topic: Topic::Ports,
                text: format!(
                    "{connections} connections take more than half of the {available} local ports: a server that \
                     closes connections may exhaust them; widen net.ipv4.ip_local_port_range"
                ),
            });
        }
        if plan.load.keep_alive != KeepAlive::Always {
            notices.push(Notice {
                topic: Topic::Ports,
                text: format!(
                    "connections are not kept alive: where the port of a closed connection stays busy for 60 s, the \
                     {available} local ports allow about {} new connections per second",
                    available / 60
                ),
            });
        }
    }
    if let Some(backlog) = number("/proc/sys/net/core/somaxconn")
        && connections > backlog
    {
        notices.push(Notice {
            topic: Topic::Backlog,
            text: format!(
                "{connections} connections and a net.core.somaxconn of {backlog} (of this network namespace): a server \
                 that is slow to accept drops connection requests, each of which costs the client a second"
            ),
        });
    }
    Ok(notices)
}

/// Raises the soft limit of open files if the load needs more.
///
/// # Errors
/// [`LoadError::Descriptors`] when the hard limit is too low.
pub fn raise_descriptors(load: &Load) -> Result<(), LoadError> {
    // Connections that linger until the server closes overlap with the ones that replace them.
    let connections = simultaneous(load);
    let spare = if load.keep_alive == KeepAlive::Always {
        connections / 8
    } else {
        connections
    };
    let needed = connections + OTHER_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    let (Some(soft), maximum) = (limit.current, limit.maximum) else {
        return Ok(());
    };
    if let Some(hard) = maximum
        && needed > hard
    {
        return Err(LoadError::Descriptors { needed, hard });
    }
    let wanted = (needed + spare).min(maximum.unwrap_or(u64::MAX));
    if soft < wanted {
        let raised = Rlimit {
            current: Some(wanted),
            maximum,
        };
        setrlimit(Resource::Nofile, raised)
            .map_err(|error| LoadError::system("failed to raise the limit of open files")(error.into()))?;
    }
    Ok(())
}

/// Returns the maximum number of simultaneous connections that the plan determines; an open model has no such limit on users.
fn simultaneous(load: &Load) -> u64 {
    let idle = load.idle_connections as u64;
    idle + match &load.model {
        Model::Closed { connections } => *connections as u64,
        Model::Open { max_connections, .. } => *max_connections as u64,
        Model::Users {
            batch,
            every,
            arriving_for,
            ..
        } => {
            let batches = arriving_for.as_nanos().div_ceil(every.as_nanos().max(1));
            u64::try_from(batches).unwrap_or(u64::MAX).saturating_mul(*batch as u64)
        }
    }
}

/// Returns the number of local ports available to outgoing connections.
#[must_use]
pub fn port_range() -> Option<u64> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = text.split_ascii_whitespace().map(str::parse::<u64>);
    let low = ends.next()?.ok()?;
    let high = ends.next()?.ok()?;
    Some((high + 1).saturating_sub(low))
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
