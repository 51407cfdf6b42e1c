//! Removal of a launch's processes and control group: by the launch itself, in an emergency, or by the next start.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::limits;
use crate::sandbox::{
    group,
    owner::{Owner, VARIABLE},
    proc, temp,
};

/// Environment variable that identifies a launch's processes, even if they leave its group.
pub(super) const LAUNCH_VARIABLE: &str = "WSGIBENCH_LAUNCH";

/// Running launches, for an emergency cleanup.
static LIVE: Mutex<Vec<Arc<LaunchResources>>> = Mutex::new(Vec::new());

/// The processes and control group of one launch.
#[derive(Debug)]
pub(super) struct LaunchResources {
    /// Value of [`LAUNCH_VARIABLE`].
    pub(super) token: String,
    /// Process group.
    pub(super) group: u32,
    /// Folders of its control group.
    pub(super) cgroups: Vec<PathBuf>,
    /// Set once its processes are killed: the leader is reaped afterwards, and its id may then be reused for another group.
    pub(super) cleared: Mutex<bool>,
}

impl LaunchResources {
    /// Registers the launch for an emergency cleanup.
    pub(super) fn keep(self) -> Arc<Self> {
        let resources = Arc::new(self);
        LIVE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(resources.clone());
        resources
    }

    /// Kills all its processes, including those that have left its group or session, and removes its control group.
    pub(super) fn clear(&self) {
        let mut cleared = self.cleared.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *cleared, true) {
            return;
        }
        group::kill_group(self.group);
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let left = self.processes();
            left.iter().copied().for_each(group::kill);
            if left.is_empty() || Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.cgroups.iter().for_each(|folder| limits::remove(folder));
        LIVE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|other| other.token != self.token);
    }

    fn processes(&self) -> Vec<u32> {
        let grouped = self.cgroups.iter().flat_map(|folder| limits::members(folder));
        let mut found: Vec<u32> = grouped.collect();
        for (pid, stat) in proc::all() {
            let mine = stat.group == self.group
                || proc::started_with(pid, LAUNCH_VARIABLE).is_some_and(|token| token == self.token);
            if mine {
                found.push(pid);
            }
        }
        // A zombie is dead and waits for its parent to reap it.
        found.retain(|pid| proc::stat(*pid).is_some_and(|stat| stat.is_running()));
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Removes processes, control groups and folders whose owner satisfies `belongs`; returns their number.
pub(super) fn sweep(folders: &Path, belongs: impl Fn(&Owner) -> bool) -> usize {
    let mut removed = 0;
    for pid in proc::all().into_keys().filter(|pid| *pid != std::process::id()) {
        let owner = proc::started_with(pid, VARIABLE).and_then(|text| Owner::parse(&text));
        if owner.is_some_and(|owner| belongs(&owner)) {
            group::kill(pid);
            removed += 1;
        }
    }
    for folder in limits::parents()
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flatten()
        .filter_map(Result::ok)
    {
        let owner = folder.file_name().to_str().and_then(limits::owner_of);
        if owner.is_some_and(|owner| belongs(&owner)) {
            limits::members(&folder.path()).into_iter().for_each(group::kill);
            limits::remove(&folder.path());
            removed += usize::from(!folder.path().exists());
        }
    }
    removed + temp::sweep(folders, belongs)
}

/// Kills all launches of this process.
pub(crate) fn emergency_cleanup() {
    let live: Vec<_> = LIVE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for resources in live {
        resources.clear();
    }
}
