//! What a server, its companions and the machine's other processes took of the CPUs in a round.

use super::{
    environment::{self, CpuTicks},
    job::RunPlan,
    process_cpu::ProcessCpu,
};
use crate::{
    sandbox::{Launch, Usage},
    store::record::CompanionUsage,
};

/// What is read at an edge of a round.
pub(super) struct UsageSnapshot {
    pub(super) usage: Option<Usage>,
    companions: Vec<(String, Usage)>,
    pub(super) ticks: CpuTicks,
}

impl UsageSnapshot {
    pub(super) fn at(launch: &Launch, order: &RunPlan) -> Self {
        Self {
            usage: launch.usage().ok(),
            companions: launch.companion_usage(),
            ticks: environment::cpu_ticks(&order.load_cpus),
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

/// What a round took of the machine beside the load's own figures.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// `None` where it could not be read.
    pub(super) cpu: Option<CpuSeconds>,
    pub(super) companions: Vec<CompanionUsage>,
    pub(super) steal_share: f64,
    pub(super) neighbour_share: f64,
    /// The busiest other programs, in words.
    pub(super) neighbours: Vec<String>,
}

impl Account {
    /// The server's and its companions' part of it.
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
            ..Self::default()
        }
    }

    /// The same with what else the machine did between two looks at its CPUs, while an engine took `engine_seconds`, and
    /// with the programs that did it, in words.
    pub(super) fn with_machine_load(
        self,
        edges: [CpuTicks; 2],
        engine_seconds: f64,
        seconds: f64,
        neighbours: &[String],
        order: &RunPlan,
    ) -> Self {
        let ticks = difference(edges[0], edges[1]);
        Self {
            steal_share: share(ticks.steal, ticks.total),
            neighbour_share: neighbours_share(ticks, engine_seconds, seconds, order),
            neighbours: neighbours.to_vec(),
            ..self
        }
    }

    /// Adds the server's part of another slice; one that could not be read leaves the sum unknown.
    pub(super) fn add(&mut self, slice: Self) {
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

/// The busiest other programs on the load CPUs since a look. Where the servers run there too, they would be called their own
/// neighbours.
pub(super) fn busiest(since: &ProcessCpu, order: &RunPlan) -> Vec<String> {
    if order.shared_cpus {
        return Vec::new();
    }
    since.on(&ProcessCpu::now(), &order.load_cpus)
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

/// CPU time on the load CPUs that was not the engine's. The kernel's work for the load itself runs there too, partly
/// outside the engine's own account, so only a clear excess counts.
#[expect(clippy::cast_precision_loss, reason = "a handful of CPUs")]
fn neighbours_share(ticks: CpuTicks, engine_seconds: f64, seconds: f64, order: &RunPlan) -> f64 {
    if order.shared_cpus {
        return 0.0;
    }
    let cpus = order.load_cpus.len().max(1) as f64;
    let engine = engine_seconds / (seconds * cpus).max(1e-9);
    (share(ticks.chosen_busy, ticks.chosen_total) - engine).max(0.0)
}
