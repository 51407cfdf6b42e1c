//! Permission to read other processes' memory.

use std::fs;

/// Bit of `CAP_SYS_PTRACE`.
const SYS_PTRACE: u32 = 19;

/// Steps that give the permission.
pub const REMEDY: &str = "run the bench as root, or give its program the capability: \
                          sudo setcap cap_sys_ptrace+ep PROGRAM; servers of --sandbox process that run as the same user need neither";

/// Whether this process may read the memory of processes of other users, such as those of containers.
#[must_use]
pub fn reads_other_users() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    has_capability(&status, SYS_PTRACE)
}

/// Whether a capability is effective, from the text of `/proc/<pid>/status`.
fn has_capability(status: &str, bit: u32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_mask() {
        assert!(has_capability("Name:\tx\nCapEff:\t000001ffffffffff\n", SYS_PTRACE));
        assert!(has_capability("CapEff:\t0000000000080000\n", SYS_PTRACE));
        assert!(!has_capability("CapEff:\t0000000000000000\n", SYS_PTRACE));
        assert!(!has_capability("CapPrm:\t000001ffffffffff\n", SYS_PTRACE));
    }
}
