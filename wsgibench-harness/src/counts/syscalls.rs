//! Parser for valgrind's `--trace-syscalls=yes`.

use std::collections::BTreeMap;

/// Calls that read a clock. The vDSO serves them without entering the kernel, but valgrind hides the vDSO.
pub const CLOCK_READS: [&str; 4] = ["clock_gettime", "gettimeofday", "time", "getcpu"];

/// Calls by which threads wait for each other. Their number depends on who comes first and on timeouts, such as that of
/// Python's interpreter lock.
pub const THREAD_WAITS: [&str; 2] = ["futex", "sched_yield"];

/// Returns the sum of calls that read a clock or wait for a thread.
#[must_use]
pub fn timing_dependent(by_name: &BTreeMap<String, f64>) -> f64 {
    let names = CLOCK_READS.into_iter().chain(THREAD_WAITS);
    names.filter_map(|name| by_name.get(name)).sum()
}

/// Counts system calls by name in a part of a trace.
///
/// A call is one `SYSCALL[pid,thread](number) sys_name (...)` however many lines report its progress.
#[must_use]
pub fn count(trace: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    // The trace has no line breaks of its own: what a call prints may follow another on one line.
    for call in trace.split("SYSCALL[").skip(1) {
        if let Some(name) = name(call) {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts
}

/// Returns the name in `1,1](  0) sys_read ( 3, ...`.
fn name(call: &str) -> Option<String> {
    let (ids, rest) = call.split_once(']')?;
    let is_id = |c: char| c.is_ascii_digit() || c == ',' || c == ' ';
    if !ids.chars().all(is_id) {
        return None;
    }
    let rest = rest.trim_start().strip_prefix('(')?;
    let (number, rest) = rest.split_once(')')?;
    let rest = rest.trim_start();
    // A line of progress (`[async] ...`, `... [async] --> Success`) has no name.
    let word: String = rest
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    // `sys_read`, `ppoll`, `sys[64]_fstat`: the prefix varies with the architecture.
    let word = word.strip_prefix("sys_").map_or(word.clone(), str::to_owned);
    let name = match rest.strip_prefix("sys[") {
        Some(rest) => rest.split_once("]_")?.1.split([' ', '(']).next()?.to_owned(),
        None => word,
    };
    if name.is_empty() {
        return number
            .trim()
            .parse::<u32>()
            .ok()
            .filter(|_| rest.starts_with('('))
            .map(|number| format!("call {number}"));
    }
    Some(name)
}

/// Returns calls per request by name: the slope from a window of `requests[0]` to an equally long one of `requests[1]`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
pub fn per_request(counts: &[BTreeMap<String, u64>; 2], requests: [u64; 2]) -> BTreeMap<String, f64> {
    let span = requests[1] as f64 - requests[0] as f64;
    let of = |window: usize, name: &str| counts[window].get(name).copied().unwrap_or(0) as f64;
    let names = counts.iter().flat_map(BTreeMap::keys);
    names
        .map(|name| (name.clone(), (of(1, name) - of(0, name)) / span))
        .filter(|(_, calls)| calls.abs() >= 0.005)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
SYSCALL[7,1](  0) sys_read ( 3, 0x1ffe, 1000 ) --> [async] ... 
SYSCALL[7,1](  0) ... [async] --> Success(0x1c) 
SYSCALL[7,1]( 44) sys_sendto ( 4, 0x58, 40 )[sync] --> Success(0x28) SYSCALL[7,2](228) sys_clock_gettime( 1, 0x1 )[sync] --> Success(0x0)
SYSCALL[7,1](  5) sys_newfstat ( 3, 0x1 )[sync] --> Success(0x0)
==7== a line of valgrind
";

    #[test]
    fn calls_are_counted_once_by_name() {
        let counts = count(TRACE);
        let expected = [("clock_gettime", 1), ("newfstat", 1), ("read", 1), ("sendto", 1)];
        assert_eq!(counts, expected.map(|(name, n)| (name.to_owned(), n)).into());
        assert!(CLOCK_READS.contains(&"clock_gettime"));
    }

    #[test]
    fn slopes_leave_out_what_both_windows_have() {
        let counts = |calls: &[(&str, u64)]| calls.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        // One read a request; a heartbeat.
        let small = counts(&[("read", 12), ("accept4", 1), ("utimensat", 20)]);
        let large = counts(&[("read", 102), ("accept4", 1), ("utimensat", 20), ("futex", 45)]);
        let calls = per_request(&[small, large], [10, 100]);
        assert_eq!(
            calls,
            BTreeMap::from([("read".to_owned(), 1.0), ("futex".to_owned(), 0.5)])
        );
        assert!((timing_dependent(&calls) - 0.5).abs() < 1e-9);
    }
}
