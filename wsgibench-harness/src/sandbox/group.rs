//! Process groups that are killed when their handle is dropped.

use std::{
    io,
    process::Output,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};

use super::owner::{Owner, VARIABLE};

/// Interval at which a command is asked whether it has exited. No kernel is too old for this, as it is for pidfds.
const PAUSE: Duration = Duration::from_millis(10);

/// Groups with live handles, for an emergency cleanup.
static LIVE: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Kills the group of this id when dropped.
#[derive(Debug)]
struct Group(u32);

impl Group {
    fn new(group: u32) -> Self {
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).push(group);
        Self(group)
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

/// Runs a command to its end in a process group of its own, and returns the output of those of its streams that are pipes. What is
/// left of the group is killed when the command has exited, after `timeout`, or when the future is dropped. `None` after `timeout`.
///
/// # Errors
/// If the command cannot be started, or its output cannot be read.
pub(crate) async fn run(command: &mut Command, timeout: Duration) -> io::Result<Option<Output>> {
    command.env(VARIABLE, Owner::this().to_string());
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn()?;
    let group = child.id().map(Group::new);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = tokio::time::timeout(timeout, async {
        // The group is killed before its leader is reaped: after that, its id may be another group's.
        let killed = async {
            exited(&child).await?;
            drop(group);
            Ok(())
        };
        let ((), stdout, stderr) = tokio::try_join!(killed, read(stdout), read(stderr))?;
        let status = child.wait().await?;
        Ok(Output { status, stdout, stderr })
    });
    ended.await.map_or(Ok(None), |output| output.map(Some))
}

/// Waits until a child has exited, and leaves it to be reaped.
async fn exited(child: &Child) -> io::Result<()> {
    let pid = child.id().and_then(pid).ok_or(io::ErrorKind::NotFound)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(pid), options)?.is_none() {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;
    use crate::sandbox::proc;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn wait_for_end_of(pid: u32) {
        while proc::stat(pid).is_some_and(|stat| stat.is_running()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn output_and_status_are_returned_and_what_is_left_is_killed() {
        // The child in the background holds both pipes.
        let mut command = shell("sleep 1000 & echo $!; echo told >&2; exit 3");
        let output = run(&mut command, Duration::from_secs(600)).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stderr, b"told\n");
        let left = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        wait_for_end_of(left).await;
    }

    #[tokio::test]
    async fn a_group_is_given_up_before_its_leader_is_reaped() {
        let mut command = shell("echo $$");
        let output = run(&mut command, Duration::from_secs(600)).await.unwrap().unwrap();
        let leader: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        assert!(
            !LIVE.lock().unwrap().contains(&leader),
            "it would be killed a second time"
        );
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let mut command = shell(&script);
        let ended = tokio::spawn(async move { run(&mut command, Duration::from_secs(1)).await });
        assert!(ended.await.unwrap().unwrap().is_none());
        if let Ok(text) = std::fs::read_to_string(file) {
            wait_for_end_of(text.trim().parse().unwrap()).await;
        }
    }
}
