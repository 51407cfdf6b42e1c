//! Container requests with a server's limits.

use std::collections::HashMap;

use testcontainers::{
    ContainerRequest, GenericImage, ImageExt,
    bollard::models::{HostConfig, HostConfigLogConfig, PortBinding},
    core::{AccessMode, Host, IntoContainerPort, Mount},
};

use super::{
    endpoint::Endpoint,
    labels,
    network::{Network, Route},
};
use crate::{
    declare::ServerSpec,
    sandbox::{Instrument, context::SandboxContext, expand_placeholders, instrument::HOST_NAME},
};

/// Size of a container's `/dev/shm`, bytes.
const SHARED_MEMORY: u64 = 256 << 20;
/// Size at which the engine rotates a container's log, of which it keeps two files.
const LOG_FILE: &str = "32m";

/// Parts of a container request that differ between launches of the same server.
pub(crate) struct Shape<'a> {
    pub(crate) image: &'a str,
    pub(crate) network: &'a Network,
    /// Descriptor limit to request; `None` leaves the engine's default.
    pub(crate) descriptors: Option<u64>,
    /// The companions' names and addresses.
    pub(crate) hosts: &'a [super::companion::Name],
    /// A tool that it runs under.
    pub(crate) instrument: Option<&'a Instrument>,
}

/// Returns the request for a server's container.
pub(crate) fn server(context: &SandboxContext, spec: &ServerSpec, shape: &Shape<'_>) -> ContainerRequest<GenericImage> {
    let (name, tag) = split_reference(shape.image);
    let image = GenericImage::new(name, tag).with_exposed_port(spec.port.tcp());
    let tool = shape
        .instrument
        .map_or(&[] as &[String], |instrument| &instrument.command);
    let image = match tool.first() {
        Some(program) => image.with_entrypoint(program),
        None => image,
    };
    let mut request = image
        .with_network(shape.network.name.clone())
        .with_labels(labels(&context.options.run_id))
        .with_label("wsgibench.server", spec.name.clone())
        .with_cap_drop("ALL")
        .with_security_opt("no-new-privileges")
        .with_user(spec.user.clone())
        .with_readonly_rootfs(!spec.writable_root)
        .with_shm_size(SHARED_MEMORY);
    for capability in &spec.capabilities {
        request = request.with_cap_add(capability.clone());
    }
    if !spec.command.is_empty() {
        request = request.with_cmd(
            tool.iter()
                .skip(1)
                .chain(&spec.command)
                .map(|word| expand_placeholders(word, "0.0.0.0", spec.port)),
        );
    }
    for (name, value) in &spec.env {
        request = request.with_env_var(name.clone(), expand_placeholders(value, "0.0.0.0", spec.port));
    }
    for (name, address) in shape.hosts {
        request = request.with_host(name.clone(), Host::Addr(*address));
    }
    if let Some(descriptors) = shape.descriptors {
        let limit = i64::try_from(descriptors).unwrap_or(i64::MAX);
        request = request.with_ulimit("nofile", limit, Some(limit));
    }
    if let Some(instrument) = shape.instrument {
        request = request.with_hostname(HOST_NAME);
        for (source, target) in &instrument.mounts {
            let mount = Mount::bind_mount(source.display().to_string(), target.clone());
            request = request.with_mount(mount.with_access_mode(AccessMode::ReadOnly));
        }
    }
    let cpus = match shape.instrument {
        Some(instrument) if !instrument.cpus.is_empty() => &instrument.cpus,
        _ => context.cpus(spec.limits.cpus),
    };
    let modify = host_config(cpus, spec, shape.network.route);
    request.with_host_config_modifier(modify)
}

/// Sets the limits for which testcontainers has no setter.
fn host_config(cpus: &[usize], spec: &ServerSpec, route: Route) -> impl Fn(&mut HostConfig) + Send + Sync + 'static {
    let limits = spec.limits.clone();
    let cpus = crate::sandbox::cpus::format_list(cpus);
    let memory = i64::try_from(limits.memory).unwrap_or(i64::MAX);
    let port = format!("{}/tcp", spec.port);
    let writable = writable(&spec.tmpfs);
    move |host: &mut HostConfig| {
        host.cpuset_cpus = Some(cpus.clone());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a quota is a few cores, 10^9 nano-CPUs each"
        )]
        {
            host.nano_cpus = limits.cpu_quota.map(|cores| (cores * 1e9) as i64);
        }
        host.memory = Some(memory);
        // The same value as the memory limit: no swap.
        host.memory_swap = Some(memory);
        host.pids_limit = Some(i64::from(limits.pids));
        host.sysctls = Some(HashMap::from([(
            "net.core.somaxconn".to_owned(),
            limits.backlog.to_string(),
        )]));
        host.tmpfs = Some(writable.clone());
        host.log_config = Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), LOG_FILE.to_owned()),
                ("max-file".to_owned(), "2".to_owned()),
            ])),
        });
        host.publish_all_ports = Some(false);
        host.port_bindings = match route {
            Route::Bridge => None,
            Route::PublishedPort => Some(HashMap::from([(
                port.clone(),
                Some(vec![PortBinding {
                    host_ip: Some(published_on().to_owned()),
                    host_port: Some(String::new()),
                }]),
            )])),
        };
    }
}

/// Writable folders in memory, in addition to `/tmp`.
pub(super) fn writable(more: &[String]) -> HashMap<String, String> {
    std::iter::once("/tmp".to_owned())
        .chain(more.iter().cloned())
        .map(|folder| (folder, "rw,nosuid,nodev,exec,mode=1777".to_owned()))
        .collect()
}

/// Returns the address for the published port: loopback, unless the engine is on another machine or this process is in a container.
fn published_on() -> &'static str {
    let elsewhere = Endpoint::resolve().is_ok_and(|endpoint| endpoint.is_remote());
    if elsewhere || std::path::Path::new("/.dockerenv").exists() {
        "0.0.0.0"
    } else {
        "127.0.0.1"
    }
}

/// Splits a reference into name and tag: `registry:5000/name` has no tag, `name@sha256:abc` has its digest as the tag.
pub(crate) fn split_reference(reference: &str) -> (String, String) {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (reference.to_owned(), "latest".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let split = |reference| split_reference(reference);
        assert_eq!(split("python:3.12"), ("python".into(), "3.12".into()));
        assert_eq!(split("python"), ("python".into(), "latest".into()));
        assert_eq!(split("host:5000/a/b"), ("host:5000/a/b".into(), "latest".into()));
        assert_eq!(split("a@sha256:abc"), ("a@sha256".into(), "abc".into()));
    }

    #[test]
    fn host_and_port_placeholders_are_expanded() {
        assert_eq!(expand_placeholders("{host}:{port}", "0.0.0.0", 8000), "0.0.0.0:8000");
        assert_eq!(expand_placeholders("{other}", "0.0.0.0", 8000), "{other}");
    }
}
