//! Companions of a server (a database, a cache): started before it, on the same network, reachable by name.

use std::time::{Duration, Instant};

use testcontainers::{
    GenericImage, ImageExt,
    bollard::{models::HostConfig, query_parameters::InspectContainerOptions},
    core::{Host, IntoContainerPort},
};

use super::{
    DockerSandbox,
    container::{split_reference, writable},
    container_stats::ContainerStats,
    engine::reason,
    guard::Guarded,
    labels,
};
use crate::{
    declare::{ServerSpec, server::Companion},
    sandbox::{
        cpus,
        error::{SHOWN_LINES, last_lines, output_text},
        expand_placeholders,
        ready::{self, NotReady, ProbeError},
    },
};

/// Time limit for a companion to accept connections.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running companion.
pub(super) struct RunningCompanion {
    pub(super) name: String,
    pub(super) container: Guarded,
    pub(super) stats: ContainerStats,
}

/// A host name and its address.
pub(super) type Name = (String, std::net::IpAddr);

/// Starts a server's companions in order; each can reach the earlier ones by name.
pub(super) async fn start_all(
    sandbox: &DockerSandbox,
    spec: &ServerSpec,
    images: &[String],
) -> Result<(Vec<RunningCompanion>, Vec<Name>), String> {
    let (mut running, mut hosts) = (Vec::new(), Vec::new());
    for (companion, image) in spec.companions.iter().zip(images) {
        let (container, stats, address) = start(sandbox, companion, image, &hosts)
            .await
            .map_err(|error| format!("companion `{}` failed to start: {error}", companion.name))?;
        hosts.push((companion.name.clone(), address));
        running.push(RunningCompanion {
            name: companion.name.clone(),
            container,
            stats,
        });
    }
    Ok((running, hosts))
}

async fn start(
    sandbox: &DockerSandbox,
    companion: &Companion,
    image: &str,
    hosts: &[Name],
) -> Result<(Guarded, ContainerStats, std::net::IpAddr), String> {
    let (name, tag) = split_reference(image);
    // The CPUs for servers, never the load engine's.
    let cpus = cpus::format_list(&sandbox.context.options.server_cpus);
    let confined = companion.confined;
    let mut request = GenericImage::new(name, tag)
        .with_exposed_port(companion.port.tcp())
        .with_network(sandbox.network.name.clone())
        .with_labels(labels(&sandbox.context.options.run_id))
        .with_label("wsgibench.companion", companion.name.clone())
        .with_security_opt("no-new-privileges")
        .with_host_config_modifier(move |host: &mut HostConfig| {
            host.cpuset_cpus = Some(cpus.clone());
            host.publish_all_ports = Some(false);
            host.tmpfs = confined.then(|| writable(&[]));
        });
    if confined {
        request = request.with_cap_drop("ALL").with_readonly_rootfs(true);
    }
    if !companion.command.is_empty() {
        request = request.with_cmd(
            companion
                .command
                .iter()
                .map(|word| expand_placeholders(word, "0.0.0.0", companion.port)),
        );
    }
    for (name, value) in &companion.env {
        request = request.with_env_var(name.clone(), expand_placeholders(value, "0.0.0.0", companion.port));
    }
    for (name, address) in hosts {
        request = request.with_host(name.clone(), Host::Addr(*address));
    }
    let deadline = Instant::now() + READY_WITHIN;
    let container = Guarded::start(&sandbox.engine, request).await?;
    let inspected = sandbox
        .engine
        .api
        .inspect_container(container.id(), None::<InspectContainerOptions>)
        .await
        .map_err(|error| reason(&error))?;
    let pid = inspected.state.and_then(|state| state.pid);
    let stats = ContainerStats::open(&sandbox.engine, container.id(), pid).map_err(|error| error.to_string())?;
    let address = inspected
        .network_settings
        .and_then(|settings| settings.networks?.remove(&sandbox.network.name)?.ip_address)
        .and_then(|address| address.parse().ok());
    let why = match address {
        None => NotReady::Died,
        Some(address) => {
            let accepting = wait_until_accepting(sandbox, &container, address, companion.port, deadline, &stats).await;
            match accepting {
                Ok(()) => return Ok((container, stats, address)),
                Err(why) => why,
            }
        }
    };
    let output = last_lines(&container.output().await, SHOWN_LINES);
    let why = match why {
        NotReady::Died => "it ended".to_owned(),
        NotReady::Deadline(last) => format!("nothing accepted connections on its port {} ({last})", companion.port),
    };
    Err(format!("{why}; {}", output_text(&output)))
}

/// Connects from here if there is a route; otherwise looks for a listening socket inside the container.
async fn wait_until_accepting(
    sandbox: &DockerSandbox,
    container: &Guarded,
    address: std::net::IpAddr,
    port: u16,
    deadline: Instant,
    stats: &ContainerStats,
) -> Result<(), NotReady> {
    if sandbox.network.has_route {
        return ready::wait_until_accepting((address, port).into(), deadline, || stats.is_alive()).await;
    }
    loop {
        if !stats.is_alive() {
            return Err(NotReady::Died);
        }
        if Instant::now() > deadline {
            return Err(NotReady::Deadline(ProbeError::Nobody(
                "nothing listens there".to_owned(),
            )));
        }
        let tables = container
            .exec(&["cat", "/proc/net/tcp", "/proc/net/tcp6"])
            .await
            .map(|output| output.stdout);
        if tables.is_ok_and(|tables| listens(&String::from_utf8_lossy(&tables), port)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether a table in the format of `/proc/net/tcp` has a listener on `port`.
fn listens(table: &str, port: u16) -> bool {
    let wanted = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next().is_some_and(|address| address.ends_with(&wanted));
        local && fields.nth(1) == Some("0A")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_is_found_in_the_socket_table() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
               0: 0100007F:1F40 00000000:0000 0A 00000000:00000000\n\
               1: 00000000:0050 0200007F:1F41 01 00000000:00000000\n";
        assert!(listens(table, 8000));
        assert!(!listens(table, 80), "a connection, not a listener");
        assert!(!listens(table, 8001));
    }
}
