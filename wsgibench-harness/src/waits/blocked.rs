//! System calls in which a thread is blocked, and what it waits for there.

use serde::{Deserialize, Serialize};

/// Cause of a thread's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// A time.
    Sleep,
    /// A lock, semaphore or condition of its process, or a lock on a file.
    Lock,
    /// A socket that is no connection of the load: a database, another service.
    Socket,
    /// A file system: a read, a write or `fsync`, or memory that is read from a file.
    Disk,
    /// A pipe.
    Pipe,
    /// The end of a child process.
    Child,
    /// Several sockets, or a timer: an event loop within a request.
    Events,
}

impl Cause {
    /// Name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Lock => "lock",
            Self::Socket => "socket",
            Self::Disk => "disk",
            Self::Pipe => "pipe",
            Self::Child => "child process",
            Self::Events => "event loop within a request",
        }
    }
}

/// A blocking system call, as far as its arguments tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The cause is known.
    Known(Cause),
    /// A futex. With a deadline, at this address in the process's memory, it may be the interpreter's own lock.
    Futex {
        /// Address of a `timespec`; `None` without deadline.
        deadline: Option<u64>,
        /// Whether the deadline is absolute, and on the clock of the calendar.
        absolute: bool,
        /// Clock of an absolute deadline.
        realtime: bool,
    },
    /// Depends on the file, pipe or socket of this descriptor.
    Descriptor(u32),
    /// `poll` of one descriptor, whose `pollfd` is at this address.
    PollOne(u64),
    /// New connections, or nothing that is known.
    Other,
}

/// Parses the text of `/proc/PID/task/TID/syscall`: the number of the call and its six arguments. `None` for a thread that runs;
/// without number if it is blocked outside of a system call.
#[must_use]
pub fn parse(text: &str) -> Option<(Option<u32>, [u64; 6])> {
    let mut words = text.split_ascii_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    let mut arguments = [0; 6];
    if number < 0 {
        return Some((None, arguments));
    }
    for argument in &mut arguments {
        let word = words.next().unwrap_or("0x0");
        *argument = u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()?;
    }
    Some((u32::try_from(number).ok(), arguments))
}

/// Operations of `futex` that wait.
const WAIT: u64 = 0;
const LOCK_PI: u64 = 6;
const WAIT_BITSET: u64 = 9;
/// `FUTEX_CLOCK_REALTIME`.
const REALTIME: u64 = 256;
/// `FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME` are no part of the operation.
const OPERATION: u64 = 0x7f;

/// Interprets a system call by its name and arguments.
#[must_use]
pub fn interpret(name: &str, arguments: [u64; 6]) -> Call {
    let descriptor = u32::try_from(arguments[0]).map_or(Call::Other, Call::Descriptor);
    match name {
        "clock_nanosleep" | "nanosleep" => Call::Known(Cause::Sleep),
        // Without descriptors, it is a sleep.
        "select" | "pselect6" if arguments[0] == 0 => Call::Known(Cause::Sleep),
        "poll" | "ppoll" => match arguments[1] {
            0 => Call::Known(Cause::Sleep),
            1 => Call::PollOne(arguments[0]),
            _ => Call::Known(Cause::Events),
        },
        "select" | "pselect6" | "epoll_wait" | "epoll_pwait" | "io_uring_enter" => Call::Known(Cause::Events),
        "futex" => match arguments[1] & OPERATION {
            WAIT | WAIT_BITSET | LOCK_PI => Call::Futex {
                deadline: (arguments[3] != 0).then_some(arguments[3]),
                absolute: arguments[1] & OPERATION != WAIT,
                realtime: arguments[1] & REALTIME != 0 || arguments[1] & OPERATION == LOCK_PI,
            },
            _ => Call::Other,
        },
        "flock" | "fcntl" => Call::Known(Cause::Lock),
        "fsync" | "fdatasync" | "sync_file_range" | "msync" | "sync" | "syncfs" | "openat" | "unlink" | "rename" => {
            Call::Known(Cause::Disk)
        }
        "wait4" | "waitid" => Call::Known(Cause::Child),
        "read" | "write" | "pread64" | "pwrite64" | "readv" | "writev" | "recvfrom" | "sendto" | "recvmsg"
        | "sendmsg" | "connect" => descriptor,
        _ => Call::Other,
    }
}

/// Longest wait for the interpreter's own lock before it is asked for again, with some margin: `CPython` waits 5 ms.
const SWITCH_NS: i64 = 20_000_000;

/// Whether a futex with this deadline is a lock of the program, and not the interpreter's own, for which a thread waits in short
/// intervals. `left_ns` is the time to the deadline.
#[must_use]
pub fn is_long(left_ns: i64) -> bool {
    left_ns > SWITCH_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_kernel_are_parsed() {
        assert_eq!(parse("running\n"), None);
        assert_eq!(parse("-1 0x7ffe 0x7f0b\n"), Some((None, [0; 6])));
        assert_eq!(
            parse("202 0x7f10 0x189 0x0 0x0 0x0 0xffffffff 0x7ffe 0x7f0b\n"),
            Some((Some(202), [0x7f10, 0x189, 0, 0, 0, 0xffff_ffff]))
        );
        assert_eq!(parse(""), None);
        assert_eq!(parse("7 zz"), None);
    }

    #[test]
    fn calls_are_told_by_their_arguments() {
        let of = |name: &str, arguments: &[u64]| {
            let mut all = [0; 6];
            all[..arguments.len()].copy_from_slice(arguments);
            interpret(name, all)
        };
        assert_eq!(of("clock_nanosleep", &[1, 0, 0x7ff]), Call::Known(Cause::Sleep));
        assert_eq!(of("select", &[0, 0, 0, 0, 0x7ff]), Call::Known(Cause::Sleep));
        assert_eq!(of("select", &[8, 0x7ff]), Call::Known(Cause::Events));
        assert_eq!(of("poll", &[0x7ff, 0, 100]), Call::Known(Cause::Sleep));
        assert_eq!(of("poll", &[0x7ff, 1, 100]), Call::PollOne(0x7ff));
        assert_eq!(of("poll", &[0x7ff, 3, 100]), Call::Known(Cause::Events));
        assert_eq!(of("recvfrom", &[9]), Call::Descriptor(9));
        assert_eq!(of("fsync", &[9]), Call::Known(Cause::Disk));
        assert_eq!(of("accept4", &[9]), Call::Other);
        let futex = |deadline, absolute, realtime| Call::Futex {
            deadline,
            absolute,
            realtime,
        };
        assert_eq!(of("futex", &[0x7f10, 0x189, 0, 0]), futex(None, true, true));
        assert_eq!(of("futex", &[0x7f10, 0x80, 0, 0x7ff]), futex(Some(0x7ff), false, false));
        assert_eq!(of("futex", &[0x7f10, 0x81, 1]), Call::Other, "a wake-up");
    }

    #[test]
    fn short_deadlines_are_those_of_the_interpreter() {
        assert!(!is_long(4_900_000) && !is_long(-1) && is_long(1_000_000_000));
    }
}
