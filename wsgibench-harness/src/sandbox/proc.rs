//! Processes in `/proc`. The parser is pure; on systems without `/proc` nothing is found.

use std::{collections::BTreeMap, fs, time::Duration};

/// The used fields of `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) state: char,
    /// CPU time of the process alone in both modes, clock ticks.
    pub(crate) own_ticks: u64,
    /// CPU time in user mode including reaped children, clock ticks.
    pub(crate) user_ticks: u64,
    /// CPU time in the kernel including reaped children, clock ticks.
    pub(crate) system_ticks: u64,
    pub(crate) threads: u64,
    /// Clock ticks from boot to its start; identifies the process together with the pid.
    pub(crate) start: u64,
    pub(crate) resident_pages: u64,
}

impl Stat {
    /// Whether the process is neither a zombie nor dead.
    pub(crate) fn is_running(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Parses the text of `/proc/<pid>/stat`. The command, in brackets, may contain any character.
pub(crate) fn parse(text: &str) -> Option<Stat> {
    let (_, after) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: u32::try_from(number(1)?).ok()?,
        group: u32::try_from(number(2)?).ok()?,
        own_ticks: number(11)? + number(12)?,
        user_ticks: number(11)? + number(13)?,
        system_ticks: number(12)? + number(14)?,
        threads: number(17)?,
        start: number(19)?,
        resident_pages: number(21)?,
    })
}

/// Returns a process, `None` if there is no such process (or no `/proc`).
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Returns all processes.
pub(crate) fn all() -> BTreeMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .collect()
}

/// Returns `root` and its descendants among `processes`.
pub(crate) fn tree(root: u32, processes: &BTreeMap<u32, Stat>) -> Vec<u32> {
    let mut found: Vec<u32> = processes.contains_key(&root).then_some(root).into_iter().collect();
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            processes
                .iter()
                .filter(|(_, stat)| stat.parent == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found
}

/// Returns the length of a clock tick.
pub(crate) fn tick() -> Duration {
    #[cfg(target_os = "linux")]
    let per_second = rustix::param::clock_ticks_per_second();
    #[cfg(not(target_os = "linux"))]
    let per_second = 100;
    Duration::from_secs(1) / u32::try_from(per_second.max(1)).unwrap_or(100)
}

/// Returns the value of an environment variable with which a process was started.
pub(crate) fn started_with(pid: u32, variable: &str) -> Option<String> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environ.split(|&byte| byte == 0).find_map(|entry| {
        let entry = std::str::from_utf8(entry).ok()?;
        let (name, value) = entry.split_once('=')?;
        (name == variable).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_with_brackets_and_spaces_is_parsed() {
        let text = "4242 (a) b (c) S 7 4242 4242 0 -1 4194560 900 80 0 0 150 50 10 5 20 0 3 0 987654 9000000 1200 1844";
        assert_eq!(
            parse(text),
            Some(Stat {
                parent: 7,
                group: 4242,
                state: 'S',
                own_ticks: 200,
                user_ticks: 160,
                system_ticks: 55,
                threads: 3,
                start: 987_654,
                resident_pages: 1200,
            })
        );
        assert_eq!(parse("4242 (a"), None);
        assert_eq!(parse("1 (a) S 1"), None);
    }

    #[test]
    fn tree_contains_descendants_only() {
        let stat = |parent| {
            let text = format!("1 (x) S {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0");
            parse(&text).unwrap()
        };
        let processes = BTreeMap::from([(1, stat(0)), (5, stat(1)), (6, stat(5)), (7, stat(1)), (8, stat(6))]);
        assert_eq!(tree(5, &processes), [5, 6, 8]);
        assert_eq!(tree(99, &processes), [] as [u32; 0]);
    }
}
