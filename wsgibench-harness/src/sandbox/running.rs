//! External servers: resource usage is read where possible, and the harness never stops them.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    LaunchError, PrepareError, PreparedServer, Usage, proc,
    ready::{self, NotReady},
    tree,
};
use crate::declare::ServerSpec;

/// A server that was not started by the harness.
pub(crate) struct ExternalServer {
    address: SocketAddr,
    /// Whether its host name has other addresses too.
    several: bool,
    start_up: Duration,
    /// The topmost process that listens at the address, if it is visible on this machine.
    process: Option<(u32, u64)>,
}

pub(crate) async fn prepare(spec: &ServerSpec, address: &str) -> Result<PreparedServer, PrepareError> {
    resolve(address).await.map_err(PrepareError::Failed)?;
    Ok(PreparedServer {
        spec: spec.clone(),
        image: address.to_owned(),
        digest: None,
        bytes: None,
        versions: BTreeMap::new(),
        companions: Vec::new(),
        environment: None,
        instrument: None,
    })
}

pub(crate) async fn launch(spec: &ServerSpec, address: &str) -> Result<ExternalServer, LaunchError> {
    let addresses = resolve(address)
        .await
        .map_err(|error| LaunchError::not_started(&spec.name, error))?;
    let begun = Instant::now();
    match ready::any_ready(spec, &addresses, begun + spec.ready_within, || true).await {
        Ok(address) => Ok(ExternalServer {
            several: addresses.len() > 1,
            address,
            start_up: begun.elapsed(),
            process: listener(address),
        }),
        Err(why) => {
            let last = match why {
                NotReady::Deadline(last) => last.to_string(),
                NotReady::Died => String::new(),
            };
            Err(LaunchError::NotThere {
                server: spec.name.clone(),
                within: spec.ready_within,
                last,
            })
        }
    }
}

/// Returns all addresses of `host:port`.
async fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host(address)
        .await
        .map_err(|error| format!("failed to resolve `{address}` ({error}); write it like localhost:8000"))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(format!("`{address}` has no address"));
    }
    Ok(addresses)
}

impl ExternalServer {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether its host name has other addresses, so that the one in use must be reported.
    pub(crate) fn has_several_addresses(&self) -> bool {
        self.several
    }

    pub(crate) fn start_up(&self) -> Duration {
        self.start_up
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        match self.process {
            Some((pid, _)) => tree::usage(pid),
            None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the server's processes are not visible from here",
            )),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.process
            .is_none_or(|(pid, start)| proc::stat(pid).is_some_and(|stat| stat.start == start && stat.is_running()))
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.process.map(|(pid, _)| tree::members(pid)).unwrap_or_default()
    }
}

/// Returns the topmost process with a socket that listens at `address`.
fn listener(address: SocketAddr) -> Option<(u32, u64)> {
    if !address.ip().is_loopback() {
        return None;
    }
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default());
    let sockets: Vec<String> = tables
        .iter()
        .flat_map(|table| inodes(table, address.port()))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = proc::all();
    let holds = |pid: u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        open.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| {
            target
                .to_str()
                .is_some_and(|target| sockets.iter().any(|socket| socket == target))
        })
    };
    let holders: Vec<u32> = processes.keys().copied().filter(|pid| holds(*pid)).collect();
    let top = holders.iter().find(|pid| !holders.contains(&processes[pid].parent))?;
    Some((*top, processes[top].start))
}

/// Returns the inodes of the sockets that listen on `port`, from the text of `/proc/net/tcp`.
fn inodes(table: &str, port: u16) -> Vec<u64> {
    let wanted = format!(":{port:04X}");
    let listening = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let found = fields.get(1)?.ends_with(&wanted) && *fields.get(3)? == "0A";
        if found { fields.get(9)?.parse().ok() } else { None }
    });
    listening.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn listener_on_own_port_is_this_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = super::listener(listener.local_addr().unwrap());
        assert_eq!(found.map(|(pid, _)| pid), Some(std::process::id()));
        assert!(
            super::listener(([192, 0, 2, 1], 80).into()).is_none(),
            "not on this machine"
        );
    }
}
