//! Current activity of a thread: running, or waiting in a system call.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
};

/// Activity of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// On a CPU, or ready to run.
    Running,
    /// Waiting, in a system call if its number is known.
    Waiting(Option<u32>),
}

/// Files of a thread in `/proc`, which stay open.
#[derive(Debug)]
pub(super) struct ThreadFiles {
    /// `/proc/<pid>/task/<tid>/syscall`, where this process may read it.
    syscall: Option<File>,
    stat: File,
    schedstat: Option<File>,
}

impl ThreadFiles {
    /// Opens the files of a thread.
    ///
    /// # Errors
    /// If the thread has ended.
    pub(super) fn open(pid: u32, task: u32) -> io::Result<Self> {
        let open = |name: &str| File::open(format!("/proc/{pid}/task/{task}/{name}"));
        Ok(Self {
            syscall: open("syscall").ok(),
            stat: open("stat")?,
            schedstat: open("schedstat").ok(),
        })
    }

    /// Returns the current activity.
    ///
    /// # Errors
    /// If the thread has ended.
    pub(super) fn activity(&self) -> io::Result<Activity> {
        let mut buffer = [0; 512];
        if let Some(file) = &self.syscall
            && let Ok(count) = file.read_at(&mut buffer, 0)
            && count > 0
        {
            return Ok(of_syscall(&buffer[..count]));
        }
        let count = self.stat.read_at(&mut buffer, 0)?;
        Ok(of_stat(&buffer[..count]))
    }

    /// Returns the CPU time of the thread so far, nanoseconds; `None` if the kernel does not account for it.
    pub(super) fn cpu_ns(&self) -> Option<u64> {
        let mut buffer = [0; 96];
        let count = self.schedstat.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let text = std::str::from_utf8(&buffer[..count]).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok()
    }
}

/// Parses `running`, or `7 0x1 0x2 ...` with the number of the call.
fn of_syscall(text: &[u8]) -> Activity {
    if text.starts_with(b"running") {
        return Activity::Running;
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[..digits])
        .ok()
        .and_then(|digits| digits.parse().ok());
    Activity::Waiting(number)
}

/// Parses the state in `/proc/<pid>/task/<tid>/stat`.
fn of_stat(text: &[u8]) -> Activity {
    let after_name = text.iter().rposition(|byte| *byte == b')').map_or(0, |at| at + 2);
    match text.get(after_name) {
        Some(b'R') => Activity::Running,
        _ => Activity::Waiting(None),
    }
}

/// Returns the name of a thread.
pub(super) fn name(pid: u32, task: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/task/{task}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// Returns the name of a system call that threads of servers wait in.
pub(crate) fn call(number: u32) -> String {
    #[cfg(target_arch = "x86_64")]
    const NAMES: &[(u32, &str)] = &[
        (0, "read"),
        (1, "write"),
        (7, "poll"),
        (17, "pread64"),
        (18, "pwrite64"),
        (20, "writev"),
        (19, "readv"),
        (23, "select"),
        (26, "msync"),
        (35, "nanosleep"),
        (42, "connect"),
        (43, "accept"),
        (44, "sendto"),
        (45, "recvfrom"),
        (46, "sendmsg"),
        (47, "recvmsg"),
        (61, "wait4"),
        (72, "fcntl"),
        (73, "flock"),
        (74, "fsync"),
        (75, "fdatasync"),
        (128, "rt_sigtimedwait"),
        (202, "futex"),
        (230, "clock_nanosleep"),
        (232, "epoll_wait"),
        (247, "waitid"),
        (257, "openat"),
        (270, "pselect6"),
        (271, "ppoll"),
        (281, "epoll_pwait"),
        (288, "accept4"),
        (426, "io_uring_enter"),
    ];
    #[cfg(target_arch = "aarch64")]
    const NAMES: &[(u32, &str)] = &[
        (22, "epoll_pwait"),
        (25, "fcntl"),
        (32, "flock"),
        (56, "openat"),
        (63, "read"),
        (64, "write"),
        (65, "readv"),
        (66, "writev"),
        (67, "pread64"),
        (68, "pwrite64"),
        (72, "pselect6"),
        (73, "ppoll"),
        (82, "fsync"),
        (83, "fdatasync"),
        (95, "waitid"),
        (98, "futex"),
        (101, "nanosleep"),
        (115, "clock_nanosleep"),
        (137, "rt_sigtimedwait"),
        (202, "accept"),
        (203, "connect"),
        (206, "sendto"),
        (207, "recvfrom"),
        (211, "sendmsg"),
        (212, "recvmsg"),
        (242, "accept4"),
        (260, "wait4"),
        (426, "io_uring_enter"),
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    const NAMES: &[(u32, &str)] = &[];
    let known = NAMES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("system call {number}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activities_are_parsed() {
        assert_eq!(of_syscall(b"running\n"), Activity::Running);
        assert_eq!(
            of_syscall(b"232 0x3 0x7f 0x0 0x7ffe 0x7f0b\n"),
            Activity::Waiting(Some(232))
        );
        assert_eq!(of_syscall(b"-1 0x7ffe 0x7f0b\n"), Activity::Waiting(None));
        assert_eq!(of_stat(b"12 (a) R b) S 1 2 3"), Activity::Waiting(None));
        assert_eq!(of_stat(b"12 (a) S b) R 1 2 3"), Activity::Running);
        assert_eq!(of_stat(b""), Activity::Waiting(None));
        assert_eq!(call(9_999), "system call 9999");
    }

    #[test]
    fn a_sleeping_thread_waits_and_has_its_cpu_time() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let files = ThreadFiles::open(child.id(), child.id()).unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let waits = || matches!(files.activity(), Ok(Activity::Waiting(_)));
        while !waits() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let (waits, cpu) = (waits(), files.cpu_ns());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(waits);
        assert!(cpu.is_none_or(|cpu| cpu > 0), "{cpu:?}");
        assert!(files.activity().is_err() || !matches!(files.activity(), Ok(Activity::Running)));
    }
}
