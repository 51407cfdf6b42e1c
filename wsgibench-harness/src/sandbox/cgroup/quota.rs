//! The CPU quota of this process's own control group (a CI pod, a slice), and the time for which it throttled the process.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use super::{Cgroup, field, microseconds, nanoseconds, read};

/// The folders whose quota applies to this process: its group and those above it.
static OWN: LazyLock<Option<Folders>> = LazyLock::new(|| match Cgroup::of_process(std::process::id()).ok()? {
    Cgroup::V1(folders) => Some(Folders {
        version_1: true,
        folders: with_parents(&folders.cpu?),
    }),
    Cgroup::V2(folder) => Some(Folders {
        version_1: false,
        folders: with_parents(&folder),
    }),
});

struct Folders {
    version_1: bool,
    folders: Vec<PathBuf>,
}

fn with_parents(folder: &Path) -> Vec<PathBuf> {
    let has_files = |folder: &&Path| folder.join("cpu.stat").is_file();
    folder
        .ancestors()
        .take_while(has_files)
        .map(Path::to_path_buf)
        .collect()
}

/// Returns how long the processes of this process's control group were kept from running by a CPU quota, seconds since
/// the group was made; 0 if the system does not report it.
pub(crate) fn own_throttled_seconds() -> f64 {
    let Some(own) = &*OWN else { return 0.0 };
    own.folders
        .iter()
        .filter_map(|folder| read(Some(folder), "cpu.stat").ok().flatten())
        .map(|stat| throttled(own.version_1, &stat))
        .sum()
}

/// Returns the number of CPUs that a quota grants to this process, `None` without a quota.
pub(crate) fn own_cpu_quota() -> Option<f64> {
    let own = OWN.as_ref()?;
    let text = |folder: &PathBuf, file| read(Some(folder), file).ok().flatten();
    let quotas = own.folders.iter().filter_map(|folder| {
        if own.version_1 {
            let pair = (text(folder, "cpu.cfs_quota_us")?, text(folder, "cpu.cfs_period_us")?);
            quota(&format!("{} {}", pair.0.trim(), pair.1.trim()))
        } else {
            quota(&text(folder, "cpu.max")?)
        }
    });
    quotas.min_by(f64::total_cmp)
}

fn throttled(version_1: bool, stat: &str) -> f64 {
    if version_1 {
        field(stat, "throttled_time").map_or(0.0, nanoseconds)
    } else {
        field(stat, "throttled_usec").map_or(0.0, microseconds)
    }
}

/// Parses `quota period`; `max` and -1 are no quota.
fn quota(text: &str) -> Option<f64> {
    let mut words = text.split_ascii_whitespace();
    let quota: f64 = words.next()?.parse().ok()?;
    let period: f64 = words.next()?.parse().ok()?;
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_is_parsed_in_both_versions() {
        assert_eq!(quota("150000 100000\n"), Some(1.5));
        assert_eq!(quota("max 100000\n"), None);
        assert_eq!(quota("-1 100000"), None);
        assert_eq!(quota(""), None);
    }

    #[test]
    fn throttled_time_is_parsed_in_both_versions() {
        let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
        assert!(near(
            throttled(true, "nr_periods 10\nnr_throttled 2\nthrottled_time 250000000\n"),
            0.25
        ));
        assert!(near(throttled(false, "nr_throttled 4\nthrottled_usec 350000\n"), 0.35));
        assert!(near(throttled(false, "usage_usec 1\n"), 0.0));
    }
}
