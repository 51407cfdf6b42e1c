//! Waits until a server is idle, so that each request finds it in the same state.
//!
//! A server goes on working after its response has arrived: it registers the connection again, wakes another thread, switches
//! threads. A client that sends its next request at once races with that, and the race decides how often the server waits and
//! wakes. The next request is therefore sent when no thread of the server runs or waits for a CPU.

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    load::{BeforeRequest, NextStep},
    sandbox::Launch,
};

/// Interval between looks.
const LOOK: Duration = Duration::from_micros(200);
/// Longest wait for a server to become idle.
const AT_MOST: Duration = Duration::from_millis(250);
/// Waits that may be in vain: a server that is never idle is not waited for any longer.
const IN_VAIN: u32 = 20;
/// Wait where the threads cannot be seen, or are never idle.
const BLIND: Duration = Duration::from_millis(2);

/// Returns a wait for the processes of a launch. With `every`, requests also have at least this distance in time.
pub(super) fn of(launch: &Launch, every: Option<Duration>) -> BeforeRequest {
    let pids: Arc<[u32]> = launch.pids().into();
    let in_vain = AtomicU32::new(0);
    let due = Mutex::new(None);
    BeforeRequest::new(move |next| {
        if pids.is_empty() || in_vain.load(Ordering::Relaxed) >= IN_VAIN {
            thread::sleep(BLIND);
        } else if !wait(AT_MOST, || is_busy(&pids)) {
            in_vain.fetch_add(1, Ordering::Relaxed);
        }
        if let (Some(every), NextStep::Request) = (every, next) {
            let mut due = due.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let at = due.unwrap_or(now);
            thread::sleep(at.saturating_duration_since(now));
            *due = Some(at + every);
        }
    })
}

/// Waits until two looks in succession find nothing busy; returns whether that happened within `at_most`.
fn wait(at_most: Duration, mut busy: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + at_most;
    let mut idle = 0;
    while idle < 2 {
        idle = if busy() { 0 } else { idle + 1 };
        if idle < 2 {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(LOOK);
        }
    }
    true
}

/// Whether a thread of these processes runs, waits for a CPU, or waits for a disk.
fn is_busy(pids: &[u32]) -> bool {
    pids.iter().any(|pid| {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            return false;
        };
        threads.filter_map(Result::ok).any(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            matches!(state(&stat), Some('R' | 'D'))
        })
    })
}

/// Returns the state in the text of a thread's `stat`. The name in brackets may contain any character.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_follows_a_name_of_any_characters() {
        assert_eq!(state("12 (callgrind) a) R 1 12 12"), Some('R'));
        assert_eq!(state("12 (python) S 1 12 12"), Some('S'));
        assert_eq!(state(""), None);
    }

    #[test]
    fn two_idle_looks_in_succession_end_the_wait() {
        let mut looks = [false, true, false, false, true].into_iter();
        assert!(wait(Duration::from_secs(60), || looks.next().unwrap()));
        assert_eq!(looks.next(), Some(true));
        assert!(!wait(Duration::ZERO, || true));
    }

    #[test]
    fn a_thread_that_runs_is_busy() {
        // This thread runs while it looks.
        assert!(is_busy(&[std::process::id()]));
        assert!(!is_busy(&[u32::MAX]));
    }
}
