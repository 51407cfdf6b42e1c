//! Locates a process's control groups from its memberships (`/proc/<pid>/cgroup`) and the mounts (`/proc/self/mountinfo`). Pure.

use std::path::{Path, PathBuf};

use super::{Cgroup, V1Folders};

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The part of the hierarchy that the mount shows, `/` where it is the whole.
    pub(crate) root: String,
    pub(crate) at: PathBuf,
    /// Controllers of a version 1 hierarchy; empty for version 2.
    pub(crate) controllers: Vec<String>,
}

/// A process's place in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Empty for version 2.
    pub(crate) controllers: Vec<String>,
    pub(crate) path: String,
}

/// Parses the hierarchies in `/proc/self/mountinfo`.
pub(crate) fn mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut fields = before.split(' ').skip(3);
            let (root, at) = (fields.next()?, fields.next()?);
            let mut after = after.split(' ');
            let kind = after.next()?;
            let options = after.nth(1).unwrap_or_default();
            let controllers = match kind {
                "cgroup2" => Vec::new(),
                "cgroup" => options
                    .split(',')
                    .filter(|word| *word != "rw" && *word != "ro")
                    .map(str::to_owned)
                    .collect(),
                _ => return None,
            };
            Some(Mount {
                root: root.to_owned(),
                at: PathBuf::from(at),
                controllers,
            })
        })
        .collect()
}

/// Parses the memberships in `/proc/<pid>/cgroup`.
pub(crate) fn places(memberships: &str) -> Vec<Place> {
    memberships
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let controllers = fields.nth(1)?;
            let path = fields.next()?;
            Some(Place {
                controllers: controllers
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect(),
                path: path.to_owned(),
            })
        })
        .collect()
}

/// Returns the folder of `place` under `mount`, `None` if the mount does not include it.
pub(crate) fn folder(mount: &Mount, place: &Place) -> Option<PathBuf> {
    let below = Path::new(&place.path).strip_prefix(&mount.root).ok()?;
    Some(if below.as_os_str().is_empty() {
        mount.at.clone()
    } else {
        mount.at.join(below)
    })
}

/// Returns the group of a process. A machine with both versions counts as version 1 when its CPU accounting is there.
pub(crate) fn locate(memberships: &str, mountinfo: &str) -> Option<Cgroup> {
    let (mounts, places) = (mounts(mountinfo), places(memberships));
    let find = |controller: &str| {
        let place = places
            .iter()
            .find(|place| place.controllers.iter().any(|name| name == controller))?;
        let mount = mounts
            .iter()
            .find(|mount| mount.controllers.iter().any(|name| name == controller))?;
        folder(mount, place)
    };
    if let Some(cpuacct) = find("cpuacct") {
        return Some(Cgroup::V1(V1Folders {
            cpuacct: Some(cpuacct),
            cpu: find("cpu"),
            memory: find("memory"),
            pids: find("pids"),
        }));
    }
    let place = places.iter().find(|place| place.controllers.is_empty())?;
    let mount = mounts.iter().find(|mount| mount.controllers.is_empty())?;
    Some(Cgroup::V2(folder(mount, place)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_MOUNTS: &str = "\
25 20 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:7 - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
29 25 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const V2_MOUNTS: &str = "\
30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
";

    #[test]
    fn version_1_beside_an_empty_version_2() {
        let places = "9:name=systemd:/\n8:pids:/docker/abc\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n";
        assert_eq!(
            locate(places, V1_MOUNTS),
            Some(Cgroup::V1(V1Folders {
                cpuacct: Some("/sys/fs/cgroup/cpu,cpuacct/docker/abc".into()),
                cpu: Some("/sys/fs/cgroup/cpu,cpuacct/docker/abc".into()),
                memory: Some("/sys/fs/cgroup/memory/docker/abc".into()),
                pids: Some("/sys/fs/cgroup/pids/docker/abc".into()),
            }))
        );
    }

    #[test]
    fn version_2_under_systemd() {
        assert_eq!(
            locate("0::/system.slice/docker-abc.scope\n", V2_MOUNTS),
            Some(Cgroup::V2("/sys/fs/cgroup/system.slice/docker-abc.scope".into()))
        );
    }

    #[test]
    fn mount_of_a_subfolder_is_located() {
        let mounts = "30 23 0:26 /docker/me /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        assert_eq!(
            locate("0::/docker/me\n", mounts),
            Some(Cgroup::V2("/sys/fs/cgroup".into()))
        );
        assert_eq!(
            locate("0::/docker/me/x\n", mounts),
            Some(Cgroup::V2("/sys/fs/cgroup/x".into()))
        );
        assert_eq!(locate("0::/docker/another\n", mounts), None);
    }
}
