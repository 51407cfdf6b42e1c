//! Division of the CPUs between server and load engine. Pure except for [`online`].

use std::{collections::BTreeSet, fmt::Write as _, io};

/// CPUs of the servers and of the load engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// CPUs for servers, ascending. A server uses the first of them, as many as its limits allow.
    pub server: Vec<usize>,
    /// CPUs of the load engine, ascending.
    pub load: Vec<usize>,
    /// Whether the two sets overlap; the results of such a run are `suspect`.
    pub shared: bool,
    /// Reductions and overlaps, one sentence each, with the remedy.
    pub notices: Vec<String>,
}

/// An error in the requested division.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpuError {
    /// The text is not a list of CPUs.
    #[error("`{0}` is not a list of CPUs; write it like 0-3,6")]
    NotAList(String),
    /// A CPU is not available.
    #[error("CPU {cpu} of {option} is not available here; available are {online}")]
    Offline {
        /// The CPU.
        cpu: usize,
        /// Option that names the CPU.
        option: &'static str,
        /// Available CPUs, as a list.
        online: String,
    },
    /// One set takes all CPUs.
    #[error("{0} leaves no CPU for the other side; name fewer CPUs, or give both sets")]
    NothingLeft(&'static str),
    /// A set is empty.
    #[error("{0} is empty; name at least one CPU")]
    Empty(&'static str),
}

/// Divides the CPUs `online` so that the two sets are disjoint.
///
/// `wanted` is the largest number of CPUs that a server of the plan asks for. With nothing asked, the load engine takes the last
/// CPUs: half of them, but at least one, and no more than leaves the servers the CPUs that they ask for. A single CPU is shared by
/// both, which a notice reports.
///
/// # Errors
/// If a named CPU is not online, or no CPU is left for the other side.
pub fn partition(
    online: &[usize],
    wanted: usize,
    server: Option<&[usize]>,
    load: Option<&[usize]>,
) -> Result<Partition, CpuError> {
    let all: BTreeSet<usize> = online.iter().copied().collect();
    let named = |set: Option<&[usize]>, option: &'static str| -> Result<Option<BTreeSet<usize>>, CpuError> {
        let Some(set) = set else { return Ok(None) };
        if set.is_empty() {
            return Err(CpuError::Empty(option));
        }
        match set.iter().find(|cpu| !all.contains(cpu)) {
            Some(&cpu) => Err(CpuError::Offline {
                cpu,
                option,
                online: format_list(online),
            }),
            None => Ok(Some(set.iter().copied().collect())),
        }
    };
    let (server, load) = (named(server, "--server-cpus")?, named(load, "--load-cpus")?);
    let mut notices = Vec::new();
    let (server, load) = match (server, load) {
        (Some(server), Some(load)) => (server, load),
        (Some(server), None) => {
            let load: BTreeSet<usize> = all.difference(&server).copied().collect();
            (
                server,
                if load.is_empty() {
                    return Err(CpuError::NothingLeft("--server-cpus"));
                } else {
                    load
                },
            )
        }
        (None, Some(load)) => {
            let server: BTreeSet<usize> = all.difference(&load).copied().collect();
            (
                if server.is_empty() {
                    return Err(CpuError::NothingLeft("--load-cpus"));
                } else {
                    server
                },
                load,
            )
        }
        (None, None) if all.len() < 2 => (all.clone(), all.clone()),
        (None, None) => {
            let most_for_load = (all.len() / 2).max(1);
            let load = all.len().saturating_sub(wanted).clamp(1, most_for_load);
            let split = all.len() - load;
            (
                all.iter().take(split).copied().collect(),
                all.iter().skip(split).copied().collect(),
            )
        }
    };
    let shared = server.intersection(&load).next().is_some();
    if shared {
        notices.push(format!(
            "the servers (CPUs {}) and the load engine (CPUs {}) share CPUs: each slows the other; {}",
            format_list(server.iter()),
            format_list(load.iter()),
            if all.len() < 2 {
                "measure on a machine with two or more CPUs"
            } else {
                "give disjoint sets"
            },
        ));
    }
    if wanted > server.len() {
        notices.push(format!(
            "servers request up to {wanted} CPUs, but {} are available ({}): clamped to {}",
            server.len(),
            format_list(server.iter()),
            server.len(),
        ));
    }
    Ok(Partition {
        server: server.into_iter().collect(),
        load: load.into_iter().collect(),
        shared,
        notices,
    })
}

/// Parses a list in the kernel's format: `0-3,6`.
///
/// # Errors
/// If the text is not such a list.
pub fn parse_list(text: &str) -> Result<Vec<usize>, CpuError> {
    let wrong = || CpuError::NotAList(text.to_owned());
    let mut cpus = BTreeSet::new();
    for part in text.trim().split(',') {
        let part = part.trim();
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| wrong())?;
        let last: usize = last.trim().parse().map_err(|_| wrong())?;
        // Above the CPU count of any machine; keeps a mistyped range from exhausting memory.
        if first > last || last > 65_535 {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus.into_iter().collect())
}

/// Formats CPUs as a list: `0-3,6`.
pub fn format_list<C: std::borrow::Borrow<usize>>(cpus: impl IntoIterator<Item = C>) -> String {
    let cpus: BTreeSet<usize> = cpus.into_iter().map(|cpu| *cpu.borrow()).collect();
    let mut text = String::new();
    let mut cpus = cpus.into_iter().peekable();
    while let Some(first) = cpus.next() {
        let mut last = first;
        while cpus.peek() == Some(&(last + 1)) {
            last += 1;
            cpus.next();
        }
        let comma = if text.is_empty() { "" } else { "," };
        let _ = if first == last {
            write!(text, "{comma}{first}")
        } else {
            write!(text, "{comma}{first}-{last}")
        };
    }
    text
}

/// Returns the CPUs that this process may use, ascending.
///
/// # Errors
/// If the system does not report them.
pub fn online() -> io::Result<Vec<usize>> {
    #[cfg(target_os = "linux")]
    {
        let set = rustix::thread::sched_getaffinity(None)?;
        Ok((0..rustix::thread::CpuSet::MAX_CPU)
            .filter(|&cpu| set.is_set(cpu))
            .collect())
    }
    #[cfg(not(target_os = "linux"))]
    {
        Ok((0..std::thread::available_parallelism()?.get()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(online: &[usize], wanted: usize) -> Partition {
        partition(online, wanted, None, None).unwrap()
    }

    #[test]
    fn load_engine_gets_half_but_leaves_the_servers_their_cpus() {
        let eight: Vec<usize> = (0..8).collect();
        assert_eq!(
            (of(&eight, 1).server, of(&eight, 1).load),
            (vec![0, 1, 2, 3], vec![4, 5, 6, 7])
        );
        assert_eq!((of(&eight, 6).server.len(), of(&eight, 6).load), (6, vec![6, 7]));
        let crowded = of(&eight, 12);
        assert_eq!((crowded.server.len(), crowded.load), (7, vec![7]));
        assert!(crowded.notices[0].contains("up to 12 CPUs"), "{:?}", crowded.notices);
    }

    #[test]
    fn two_cpus_are_divided_one_each() {
        let two = of(&[0, 1], 3);
        assert_eq!((&two.server, &two.load, two.shared), (&vec![0], &vec![1], false));
        assert!(two.notices[0].contains("clamped to 1"), "{:?}", two.notices);
    }

    #[test]
    fn single_cpu_is_shared_with_a_notice() {
        let one = of(&[3], 1);
        assert_eq!((one.server, one.load, one.shared), (vec![3], vec![3], true));
        assert!(one.notices[0].contains("share CPUs"), "{:?}", one.notices);
    }

    #[test]
    fn named_sets() {
        let asked = partition(&[0, 1, 2, 3], 2, Some(&[1, 2]), None).unwrap();
        assert_eq!((asked.server, asked.load), (vec![1, 2], vec![0, 3]));
        let asked = partition(&[0, 1], 1, Some(&[0, 1]), Some(&[1])).unwrap();
        assert!(asked.shared);
        assert_eq!(
            partition(&[0, 1], 1, Some(&[0, 1]), None),
            Err(CpuError::NothingLeft("--server-cpus"))
        );
        let error = partition(&[0, 1], 1, Some(&[5]), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "CPU 5 of --server-cpus is not available here; available are 0-1"
        );
    }

    #[test]
    fn lists() {
        assert_eq!(parse_list("0-2,5").unwrap(), [0, 1, 2, 5]);
        assert_eq!(parse_list(" 3 , 1\n").unwrap(), [1, 3]);
        for wrong in ["", "a", "3-1", "1,,2", "-1", "0-99999999"] {
            assert!(parse_list(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format_list([5usize, 0, 1, 2]), "0-2,5");
        assert_eq!(format_list::<usize>([]), "");
    }
}
