//! What every part of a sandbox is given: the options, a voice, and a place for notices.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use crate::declare::Notice;

/// Which sandbox is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxChoice {
    /// `docker` when an engine answers and a base image can be had, else `process`.
    #[default]
    Auto,
    /// Containers, or an error.
    Docker,
    /// Local processes.
    Process,
}

/// Called with what a line is about (`sandbox`, `base image`, a server's name) and the line.
pub type ProgressSink = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// How to open a sandbox.
#[derive(Clone)]
pub struct SandboxOptions {
    /// Which one.
    pub choice: SandboxChoice,
    /// Id of the run; becomes a part of names and labels.
    pub run_id: String,
    /// Folder of the run.
    pub run_dir: PathBuf,
    /// Cargo's target folder: virtual environments and temporary files are kept under `wsgibench/` in it.
    pub target_dir: PathBuf,
    /// CPUs that servers may get; a server takes as many of them, from the first on, as its limits say.
    pub server_cpus: Vec<usize>,
    /// Go through the published port even where the container's own address can be reached. It costs a fast server more than half
    /// of its throughput and leaves the container a way out: for seeing the difference, and for testing.
    pub published_port: bool,
    /// Says what goes on, a line at a time.
    pub say: ProgressSink,
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

/// Shared by all parts of one sandbox.
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

    pub(crate) fn say(&self, what: &str, line: &str) {
        (self.options.say)(what, line);
    }

    /// Says it and records it, once.
    pub(crate) fn notice(&self, about: &str, text: &str) {
        let notice = Notice {
            about: about.to_owned(),
            text: text.to_owned(),
        };
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if !notices.contains(&notice) {
            notices.push(notice);
            drop(notices);
            self.say(if about.is_empty() { "sandbox" } else { about }, text);
        }
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Our folder under the target folder.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.options.target_dir.join("wsgibench").join(name)
    }

    /// CPUs of a server that may use `count` of them.
    pub(crate) fn cpus(&self, count: usize) -> &[usize] {
        let cpus = &self.options.server_cpus;
        &cpus[..count.clamp(1, cpus.len().max(1)).min(cpus.len())]
    }
}
