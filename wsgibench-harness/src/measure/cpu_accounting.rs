//! CPU time of a round: the server's, its companions', and that of other processes.

use super::{
    environment::{self, CpuTicks},
    job::RunPlan,
    process_cpu::ProcessCpu,
};
use crate::{
    sandbox::{Launch, Usage, own_throttled_seconds},
    store::record::CompanionUsage,
};

/// Cumulative usage at the start or end of a round.
pub(super) struct UsageSnapshot {
    pub(super) usage: Option<Usage>,
    companions: Vec<(String, Usage)>,
    pub(super) ticks: CpuTicks,
    /// Time for which a CPU quota stopped this process's control group.
    own_throttled: f64,
}

impl UsageSnapshot {
    pub(super) fn at(launch: &Launch, plan: &RunPlan) -> Self {
        Self {
            usage: launch.usage().ok(),
            companions: launch.companion_usage(),
            ticks: environment::cpu_ticks(&plan.load_cpus),
            own_throttled: own_throttled_seconds(),
        }
    }
}

/// CPU time of a server, seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuSeconds {
    pub(super) total: f64,
    pub(super) user: f64,
    pub(super) system: f64,
    pub(super) throttled: f64,
}

/// CPU usage during a round.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// CPU time of the server; `None` if its cgroup was not readable.
    pub(super) cpu: Option<CpuSeconds>,
    pub(super) companions: Vec<CompanionUsage>,
    /// Seconds for which a CPU quota stopped the harness's own control group.
    pub(super) own_throttled: f64,
    pub(super) steal_share: f64,
    pub(super) neighbour_share: f64,
    /// The busiest other processes, formatted for display.
    pub(super) neighbours: Vec<String>,
}

impl Account {
    /// Returns the usage of the server and its companions between two snapshots.
    pub(super) fn between(before: &UsageSnapshot, after: &UsageSnapshot) -> Self {
        let cpu = before.usage.zip(after.usage).map(|(before, after)| CpuSeconds {
            total: after.cpu_total_seconds - before.cpu_total_seconds,
            user: after.cpu_user_seconds - before.cpu_user_seconds,
            system: after.cpu_system_seconds - before.cpu_system_seconds,
            throttled: after.throttled_seconds - before.throttled_seconds,
        });
        Self {
            cpu,
            companions: companions(before, after),
            own_throttled: (after.own_throttled - before.own_throttled).max(0.0),
            ..Self::default()
        }
    }

    /// Adds the hypervisor's share and that of other processes on the load CPUs, given the machine's CPU ticks at both
    /// edges of the round and the load generator's own CPU time.
    pub(super) fn with_machine_load(
        self,
        edges: [CpuTicks; 2],
        engine_seconds: f64,
        seconds: f64,
        neighbours: &[String],
        plan: &RunPlan,
    ) -> Self {
        let ticks = difference(edges[0], edges[1]);
        Self {
            steal_share: share(ticks.steal, ticks.total),
            neighbour_share: neighbours_share(ticks, engine_seconds, seconds, plan),
            neighbours: neighbours.to_vec(),
            ..self
        }
    }

    /// Adds the usage of another slice. The sum is unknown (`None`) if either part is.
    pub(super) fn add(&mut self, slice: Self) {
        self.own_throttled += slice.own_throttled;
        self.cpu = self.cpu.zip(slice.cpu).map(|(a, b)| CpuSeconds {
            total: a.total + b.total,
            user: a.user + b.user,
            system: a.system + b.system,
            throttled: a.throttled + b.throttled,
        });
        for more in slice.companions {
            match self.companions.iter_mut().find(|known| known.name == more.name) {
                Some(known) => {
                    known.cpu_seconds += more.cpu_seconds;
                    known.memory_bytes = more.memory_bytes;
                }
                None => self.companions.push(more),
            }
        }
    }
}

/// Returns the busiest other processes on the load CPUs since a snapshot. Empty if the servers share those CPUs, because
/// they would be reported as their own neighbours.
pub(super) fn busiest(since: &ProcessCpu, plan: &RunPlan) -> Vec<String> {
    if plan.shared_cpus {
        return Vec::new();
    }
    since.on(&ProcessCpu::now(), &plan.load_cpus)
}

fn companions(before: &UsageSnapshot, after: &UsageSnapshot) -> Vec<CompanionUsage> {
    let of = |(name, after): &(String, Usage)| {
        let (_, before) = before.companions.iter().find(|(known, _)| known == name)?;
        Some(CompanionUsage {
            name: name.clone(),
            cpu_seconds: after.cpu_total_seconds - before.cpu_total_seconds,
            memory_bytes: after.memory_bytes,
        })
    };
    after.companions.iter().filter_map(of).collect()
}

fn difference(before: CpuTicks, after: CpuTicks) -> CpuTicks {
    CpuTicks {
        total: after.total.saturating_sub(before.total),
        steal: after.steal.saturating_sub(before.steal),
        chosen_busy: after.chosen_busy.saturating_sub(before.chosen_busy),
        chosen_total: after.chosen_total.saturating_sub(before.chosen_total),
    }
}

#[expect(clippy::cast_precision_loss, reason = "clock ticks of one round are far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Returns the share of CPU time on the load CPUs that other processes used. Kernel work for the load runs there too and is
/// partly not charged to the load generator, so the rules ignore small values.
#[expect(clippy::cast_precision_loss, reason = "a handful of CPUs")]
fn neighbours_share(ticks: CpuTicks, engine_seconds: f64, seconds: f64, plan: &RunPlan) -> f64 {
    if plan.shared_cpus {
        return 0.0;
    }
    let cpus = plan.load_cpus.len().max(1) as f64;
    let engine = engine_seconds / (seconds * cpus).max(1e-9);
    (share(ticks.chosen_busy, ticks.chosen_total) - engine).max(0.0)
}
