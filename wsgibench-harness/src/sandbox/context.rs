//! Options of a sandbox, and the progress output and notices that its parts share.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use crate::declare::Notice;

/// The sandbox to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SandboxChoice {
    /// `docker` if a container engine responds and a base image is available, else `process`.
    #[default]
    Auto,
    /// Containers; an error if they are not available.
    Docker,
    /// Local processes.
    Process,
}

/// A callback that receives the subject of a line (`sandbox`, `base image`, a server's name) and the line.
pub type ProgressSink = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Options of a sandbox.
#[derive(Clone)]
pub struct SandboxOptions {
    /// The sandbox to use.
    pub choice: SandboxChoice,
    /// Id of the run, part of names and labels.
    pub run_id: String,
    /// Folder of the run.
    pub run_dir: PathBuf,
    /// Cargo's target folder: virtual environments and temporary files are kept under `wsgibench/` in it.
    pub target_dir: PathBuf,
    /// CPUs for servers. A server uses the first of them, as many as its limits allow.
    pub server_cpus: Vec<usize>,
    /// Connect through the published port even if the container's own address is reachable. This costs a fast server more than half
    /// of its throughput and gives the container access to the outside: for comparison and for tests.
    pub published_port: bool,
    /// Receives progress messages, one line at a time.
    pub progress: ProgressSink,
}

impl fmt::Debug for SandboxOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxOptions")
            .field("choice", &self.choice)
            .field("run_id", &self.run_id)
            .field("run_dir", &self.run_dir)
            .field("target_dir", &self.target_dir)
            .field("server_cpus", &self.server_cpus)
            .field("published_port", &self.published_port)
            .finish_non_exhaustive()
    }
}

/// Options and notices shared by all parts of one sandbox.
#[derive(Debug)]
pub(crate) struct SandboxContext {
    pub(crate) options: SandboxOptions,
    notices: Mutex<Vec<Notice>>,
}

impl SandboxContext {
    pub(crate) fn new(options: SandboxOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            notices: Mutex::default(),
        })
    }

    pub(crate) fn report_progress(&self, what: &str, line: &str) {
        (self.options.progress)(what, line);
    }

    /// Records a notice and reports it as progress; repeated notices are dropped.
    pub(crate) fn notice(&self, about: &str, text: &str) {
        let notice = Notice {
            about: about.to_owned(),
            text: text.to_owned(),
        };
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if !notices.contains(&notice) {
            notices.push(notice);
            drop(notices);
            self.report_progress(if about.is_empty() { "sandbox" } else { about }, text);
        }
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns `wsgibench/NAME` under the target folder.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.options.target_dir.join("wsgibench").join(name)
    }

    /// Returns the CPUs of a server that may use `count` of them.
    pub(crate) fn cpus(&self, count: usize) -> &[usize] {
        let cpus = &self.options.server_cpus;
        &cpus[..count.clamp(1, cpus.len().max(1)).min(cpus.len())]
    }
}
