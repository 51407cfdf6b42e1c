//! Processes that share a listening socket.
//!
//! A connection wakes all workers of a server that forks them. One accepts it; the others find nothing to accept, or are not scheduled
//! before it is gone. How many wake in vain depends on the machine, and so does which one accepts: with three workers of gunicorn the
//! instructions per request scattered by up to 0.3 %. One of such workers is therefore counted, while the others are stopped.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::dumps::Dumps;

/// Intended length of a window in which workers are stopped. They may be stopped for twice as long: gunicorn replaces a worker that
/// has not reported for 30 s, and an idle one reports every 15 s.
pub(super) const WINDOW: Duration = Duration::from_secs(6);

/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Workers that can be stopped without loss, because a sibling accepts from the same socket.
pub(super) struct Siblings<'a> {
    dumps: &'a Dumps<'a>,
    spare: Vec<u32>,
}

impl<'a> Siblings<'a> {
    /// Finds them among the processes under valgrind.
    pub(super) fn find(dumps: &'a Dumps<'a>) -> Result<Self, String> {
        let pids: Vec<String> = dumps.state()?.pids().iter().map(u32::to_string).collect();
        let script = format!(
            "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; for p in {}; do echo \"process $p $(grep PPid: /proc/$p/status)\"; \
             ls -l /proc/$p/fd 2>/dev/null; done; true",
            pids.join(" ")
        );
        let text = dumps.shell(&script)?;
        Ok(Self {
            dumps,
            spare: spare(&String::from_utf8_lossy(&text)),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spare.is_empty()
    }

    /// Leaves them running from now on.
    pub(super) fn give_up(&mut self) -> Result<(), String> {
        self.go_on()?;
        self.spare.clear();
        Ok(())
    }

    pub(super) fn stop(&self) -> Result<(), String> {
        self.signal("STOP")
    }

    pub(super) fn go_on(&self) -> Result<(), String> {
        self.signal("CONT")
    }

    fn signal(&self, signal: &str) -> Result<(), String> {
        if self.is_empty() {
            return Ok(());
        }
        let pids: Vec<String> = self.spare.iter().map(u32::to_string).collect();
        self.dumps
            .shell(&format!("kill -{signal} {}; true", pids.join(" ")))
            .map(drop)
    }
}

/// Returns all but the first of each group of processes with the same parent and the same listening sockets.
fn spare(text: &str) -> Vec<u32> {
    let listening: BTreeSet<&str> = text.lines().filter_map(listening_inode).collect();
    // (parent, sockets) of each process.
    let mut processes: BTreeMap<u32, (&str, BTreeSet<&str>)> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("process ") {
            let mut words = rest.split_ascii_whitespace();
            current = words.next().and_then(|pid| pid.parse().ok());
            if let Some(pid) = current {
                processes.insert(pid, (words.nth(1).unwrap_or_default(), BTreeSet::new()));
            }
        } else if let Some(inode) = socket_inode(line).filter(|inode| listening.contains(inode))
            && let Some((_, sockets)) = current.and_then(|pid| processes.get_mut(&pid))
        {
            sockets.insert(inode);
        }
    }
    let mut groups: BTreeSet<(&str, Vec<&str>)> = BTreeSet::new();
    processes
        .into_iter()
        .filter(|(_, (_, sockets))| !sockets.is_empty())
        .filter(|(_, (parent, sockets))| !groups.insert((*parent, sockets.iter().copied().collect())))
        .map(|(pid, _)| pid)
        .collect()
}

/// Returns the inode of a listening socket from a line of `/proc/net/tcp`.
fn listening_inode(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    (words.len() > 9 && words[0].ends_with(':') && words[3] == LISTENING).then(|| words[9])
}

/// Returns the inode of a socket from a line of `ls -l /proc/PID/fd`.
fn socket_inode(line: &str) -> Option<&str> {
    line.rsplit_once(" -> socket:[")?.1.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 501 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F41 0100007F:9999 01 00000000:00000000 00:00000000 00000000 65534        0 502 1 0000000000000000 100 0 0 10 0
process 1 PPid:	0
lrwx------ 1 nobody nogroup 64 Nov 1 00:00 5 -> socket:[501]
process 7 PPid:	1
lrwx------ 1 nobody nogroup 64 Nov 1 00:00 5 -> socket:[501]
lrwx------ 1 nobody nogroup 64 Nov 1 00:00 6 -> pipe:[9]
process 8 PPid:	1
lrwx------ 1 nobody nogroup 64 Nov 1 00:00 5 -> socket:[501]
process 9 PPid:	1
lrwx------ 1 nobody nogroup 64 Nov 1 00:00 5 -> socket:[502]
process 10 PPid:	1
";

    #[test]
    fn one_of_the_workers_that_share_a_listening_socket_is_kept() {
        // The parent listens on the same socket, 9 has a connection only, and 10 no socket.
        assert_eq!(spare(TEXT), [8]);
        // Without the listening socket there is nothing to share.
        assert_eq!(spare(&TEXT.replace(" 0A ", " 01 ")), [0; 0]);
        assert_eq!(spare(""), [0; 0]);
    }
}
