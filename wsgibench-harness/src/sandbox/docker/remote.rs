//! Resource usage from the engine's API, for containers whose processes are not visible here (Docker Desktop, a remote engine).
//!
//! The callers are synchronous and may run on a runtime of their own, so a thread makes the requests. A response takes milliseconds,
//! whereas reading a control group takes microseconds.

use std::{
    io,
    sync::mpsc::{self, SyncSender},
    time::Duration,
};

use futures_util::StreamExt;
use testcontainers::bollard::{
    models::ContainerStatsResponse,
    query_parameters::{InspectContainerOptions, StatsOptionsBuilder},
};

use super::engine::{Engine, reason};
use crate::sandbox::Usage;

const TIMEOUT: Duration = Duration::from_secs(10);

enum Question {
    Usage(SyncSender<io::Result<Usage>>),
    Running(SyncSender<bool>),
}

/// A client for the usage of one container.
#[derive(Debug)]
pub(crate) struct Remote {
    questions: mpsc::Sender<Question>,
}

impl Remote {
    pub(crate) fn new(engine: &Engine, id: &str) -> io::Result<Self> {
        let (questions, inbox) = mpsc::channel();
        let (engine, id) = (engine.clone(), id.to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("wsgibench-engine-stats".into())
            .spawn(move || {
                for question in inbox {
                    runtime.block_on(async {
                        // A caller that stopped waiting does not end the thread.
                        let _ = match question {
                            Question::Usage(answer) => answer.send(usage(&engine, &id).await).is_ok(),
                            Question::Running(answer) => answer.send(is_running(&engine, &id).await).is_ok(),
                        };
                    });
                }
            })?;
        Ok(Self { questions })
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let (answer, inbox) = mpsc::sync_channel(1);
        self.questions.send(Question::Usage(answer)).map_err(io::Error::other)?;
        inbox
            .recv_timeout(TIMEOUT)
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    pub(crate) fn is_running(&self) -> bool {
        let (answer, inbox) = mpsc::sync_channel(1);
        self.questions.send(Question::Running(answer)).is_ok() && inbox.recv_timeout(TIMEOUT).unwrap_or(true)
    }
}

async fn usage(engine: &Engine, id: &str) -> io::Result<Usage> {
    let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
    let mut stats = std::pin::pin!(engine.api.stats(id, Some(options)));
    match stats.next().await {
        Some(Ok(stats)) => from_stats(&stats),
        Some(Err(error)) => Err(io::Error::other(reason(&error))),
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

async fn is_running(engine: &Engine, id: &str) -> bool {
    match engine.api.inspect_container(id, None::<InspectContainerOptions>).await {
        Ok(container) => container.state.and_then(|state| state.running).unwrap_or(false),
        Err(error) => !super::engine::is_not_found(&error),
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days of CPU time")]
fn from_stats(stats: &ContainerStatsResponse) -> io::Result<Usage> {
    let seconds = |nanoseconds: Option<u64>| nanoseconds.unwrap_or(0) as f64 / 1e9;
    let cpu = stats
        .cpu_stats
        .as_ref()
        .ok_or_else(|| io::Error::other("the engine sent no CPU figures"))?;
    let time = cpu.cpu_usage.clone().unwrap_or_default();
    let memory = stats.memory_stats.clone().unwrap_or_default();
    let parts = memory.stats.unwrap_or_default();
    let part = |name: &str| parts.get(name).copied();
    // `cache` in version 1, `file` in version 2; files in memory belong to the server.
    let cache = part("total_cache").or_else(|| part("file")).unwrap_or(0);
    let own = part("total_shmem").or_else(|| part("shmem")).unwrap_or(0);
    Ok(Usage {
        cpu_user_seconds: seconds(time.usage_in_usermode),
        cpu_system_seconds: seconds(time.usage_in_kernelmode),
        cpu_total_seconds: seconds(time.total_usage),
        throttled_seconds: seconds(cpu.throttling_data.as_ref().and_then(|data| data.throttled_time)),
        memory_bytes: memory.usage.unwrap_or(0).saturating_sub(cache.saturating_sub(own)),
        memory_peak_bytes: memory.max_usage,
        // The API has no count; `StopInfo` reports whether the limit ended the server.
        oom_kills: 0,
        pids: stats.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or(0),
    })
}

/// Returns the usage of a container as the engine tells it.
///
/// # Errors
/// If no engine answers, or the container is not running.
pub async fn engine_usage(id: &str) -> io::Result<Usage> {
    let engine = Engine::connect().await.map_err(io::Error::other)?;
    usage(&engine, id).await
}
