//! Process groups that are killed when their handle is dropped.

use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Groups with live handles, for an emergency cleanup.
static LIVE: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Kills the group of this id when dropped.
#[derive(Debug)]
pub(crate) struct Group(u32);

impl Group {
    pub(crate) fn new(group: u32) -> Self {
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).push(group);
        Self(group)
    }

    /// Releases the group once its leader was reaped; its id may then be reused for another group.
    pub(crate) fn finished(self) {
        self.forget();
        std::mem::forget(self);
    }

    fn forget(&self) {
        LIVE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|group| *group != self.0);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill_group(self.0);
        self.forget();
    }
}

/// Kills all groups with live handles.
pub(crate) fn emergency_cleanup() {
    for group in LIVE.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        kill_group(group);
    }
}

/// Kills all processes of a group. A group that no longer exists is not an error.
pub(crate) fn kill_group(group: u32) {
    if let Some(group) = pid(group) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Kills a process. A process that no longer exists is not an error.
pub(crate) fn kill(process: u32) {
    if let Some(process) = pid(process) {
        let _ = kill_process(process, Signal::KILL);
    }
}

/// Never 0 or 1, which would mean this process's own group, or all processes.
pub(crate) fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number)
        .ok()
        .filter(|number| *number > 1)
        .and_then(Pid::from_raw)
}
