//! Resolution of a declared server for this machine. Pure: the machine is an argument.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{Command, DeclaredServer, Limits, Notice, ServerSpec, Source, server::Companion};
use crate::load::Target;

/// The resources of the machine. The sandbox also clamps to limits of the container engine or shell (descriptors, backlog,
/// processes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// CPUs available to servers.
    pub server_cpus: usize,
    /// Memory, bytes.
    pub memory: u64,
}

/// Note on a server that is measured over TLS.
const OVER_TLS: &str = "over TLS, with a full handshake for each new connection";

/// Resolves a server for this machine; returns it with notices on clamped limits. `limits` (of a profile) replaces the server's
/// own.
#[must_use]
pub fn resolve(declared: &DeclaredServer, limits: Option<&Limits>, machine: &Machine) -> (ServerSpec, Vec<Notice>) {
    let server = &declared.server;
    let (limits, clamped) = clamp(limits.unwrap_or(&server.limits), machine);
    let notices = clamped.into_iter().map(|text| Notice {
        about: declared.name.clone(),
        text,
    });
    let command = match &server.command {
        Command::Fixed(words) => words.clone(),
        Command::PerCpus(make) => make(limits.cpus),
    };
    let base = &declared.manifest_dir;
    let mut tls = server.tls.clone();
    let mut notes = server.notes.clone();
    if let Some(tls) = &mut tls {
        tls.map_file(|file| absolute(base, file));
        notes.push(OVER_TLS.to_owned());
    }
    let spec = ServerSpec {
        name: declared.name.clone(),
        description: declared.description.clone(),
        source: absolute_source(base, &server.source),
        app: server.app.as_deref().map(|app| absolute(base, app)),
        command,
        env: server.env.clone(),
        port: server.port,
        limits,
        ready_path: server.ready_path.clone(),
        ready_within: server.ready_within,
        host: server.host.clone(),
        tls,
        capabilities: server.capabilities.clone(),
        tmpfs: server.tmpfs.clone(),
        writable_root: server.writable_root,
        user: server.user.clone(),
        python: server.python.clone(),
        variant: server.variant,
        tags: server.tags.clone(),
        notes,
        companions: server
            .companions
            .iter()
            .map(|companion| Companion {
                source: absolute_source(base, &companion.source),
                ..companion.clone()
            })
            .collect(),
        reload: server.reload.clone(),
        setting: declared.setting.clone().map(Box::new),
    };
    (spec, notices.collect())
}

/// Returns an address in the form of a `Host` header: without the default port and without the zone of an IPv6 address.
fn authority(address: SocketAddr, default_port: u16) -> String {
    let host = match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    match address.port() {
        port if port == default_port => host,
        port => format!("{host}:{port}"),
    }
}

/// Returns the limits reduced to the machine's resources, and a sentence for each reduction.
#[must_use]
pub fn clamp(asked: &Limits, machine: &Machine) -> (Limits, Vec<String>) {
    let mut limits = asked.clone();
    let mut texts = Vec::new();
    let cpus = machine.server_cpus.max(1);
    if limits.cpus > cpus {
        limits.cpus = cpus;
        texts.push(format!(
            "CPUs clamped from {} to {cpus}: the machine has no more for servers",
            asked.cpus
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 CPUs")]
    let most = limits.cpus as f64;
    if let Some(quota) = asked.cpu_quota.filter(|quota| *quota > most) {
        limits.cpu_quota = Some(most);
        texts.push(format!(
            "CPU quota clamped from {quota} to {most} cores, the size of the CPU set"
        ));
    }
    if limits.memory > machine.memory {
        limits.memory = machine.memory;
        texts.push(format!(
            "memory clamped from {} to {} MiB: the machine has no more",
            asked.memory >> 20,
            machine.memory >> 20
        ));
    }
    (limits, texts)
}

impl ServerSpec {
    /// Returns the address and the name by which requests call a server that listens at `address`.
    #[must_use]
    pub fn target(&self, address: SocketAddr) -> Target {
        let default_port = if self.tls.is_some() { 443 } else { 80 };
        let host = match (&self.host, &self.source) {
            (Some(host), _) => host.clone(),
            // An external server expects the name by which it was given.
            (None, Source::Running(name)) => {
                let default_port = format!(":{default_port}");
                name.strip_suffix(&default_port).unwrap_or(name).to_owned()
            }
            (None, _) => authority(address, default_port),
        };
        let target = Target::new(address, host);
        self.tls.clone().into_iter().fold(target, Target::tls)
    }

    /// Checks that the folders, the Dockerfile and the root certificate of the server exist. Reads the file system.
    ///
    /// # Errors
    /// The first missing folder, Dockerfile or root certificate, with the remedy.
    pub fn check_files(&self) -> Result<(), String> {
        if let Some(tls) = &self.tls {
            tls.check()
                .map_err(|problem| format!("server `{}`: {problem}", self.name))?;
        }
        if let Source::Folder(folder) = &self.source {
            if !folder.is_dir() {
                return Err(format!(
                    "server `{}`: folder {} not found; create it, or correct `Server::dockerfile(...)` (relative to the declaring crate)",
                    self.name,
                    folder.display()
                ));
            }
            if !folder.join("Dockerfile").is_file() {
                return Err(format!(
                    "server `{}`: no Dockerfile in {}; write one, or use `Server::python(...)`",
                    self.name,
                    folder.display()
                ));
            }
        }
        match &self.app {
            Some(app) if !app.is_dir() => Err(format!(
                "server `{}`: application folder {} not found; create it, or correct `.app(...)` (relative to the declaring crate)",
                self.name,
                app.display()
            )),
            _ => Ok(()),
        }
    }
}

fn absolute_source(base: &Path, source: &Source) -> Source {
    match source {
        Source::Folder(folder) => Source::Folder(absolute(base, folder)),
        other => other.clone(),
    }
}

/// Joins a path to the folder of the declaring crate and resolves `.` and `..` by name, so that messages show short paths.
fn absolute(base: &Path, path: &Path) -> PathBuf {
    let mut absolute = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                absolute.pop();
            }
            other => absolute.push(other),
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Machine, clamp, resolve};
    use crate::declare::{DeclaredServer, Limits, Location, Server, Source};

    const LARGE: Machine = Machine {
        server_cpus: 64,
        memory: 1 << 40,
    };

    fn declared(server: Server) -> DeclaredServer {
        DeclaredServer {
            name: "gunicorn".into(),
            description: "Gunicorn.".into(),
            location: Location {
                file: "src/lib.rs",
                line: 1,
                column: 1,
            },
            manifest_dir: "/project/suites".into(),
            setting: None,
            server,
        }
    }

    #[test]
    fn folders_are_relative_to_the_declaring_crate() {
        let server = Server::dockerfile("images/gunicorn").app("../app");
        let (spec, notices) = resolve(&declared(server), None, &LARGE);
        assert_eq!(spec.source, Source::Folder("/project/suites/images/gunicorn".into()));
        assert_eq!(spec.app.as_deref(), Some(Path::new("/project/app")));
        assert!(notices.is_empty());
        let (spec, _) = resolve(&declared(Server::dockerfile("/elsewhere/x")), None, &LARGE);
        assert_eq!(spec.source, Source::Folder(PathBuf::from("/elsewhere/x")));
    }

    #[test]
    fn command_is_computed_for_the_clamped_cpus() {
        let server = Server::dockerfile("x")
            .command_for_cpus(|cpus| ["gunicorn".to_owned(), format!("--workers={}", cpus + 1)])
            .limits(Limits {
                cpus: 3,
                ..Limits::default()
            });
        let (spec, notices) = resolve(
            &declared(server.clone()),
            None,
            &Machine {
                server_cpus: 1,
                ..LARGE
            },
        );
        assert_eq!(spec.command, ["gunicorn", "--workers=2"]);
        assert_eq!(notices[0].about, "gunicorn");
        assert!(notices[0].text.contains("CPUs clamped from 3 to 1"), "{notices:?}");
        let profile = Limits {
            cpus: 2,
            ..Limits::default()
        };
        assert_eq!(
            resolve(&declared(server), Some(&profile), &LARGE).0.command,
            ["gunicorn", "--workers=3"]
        );
    }

    #[test]
    fn every_limit_is_clamped_with_a_notice() {
        let asked = Limits {
            cpus: 4,
            cpu_quota: Some(3.0),
            memory: 4 << 30,
            descriptors: 65_536,
            backlog: 8_192,
            pids: 2_000,
        };
        let small = Machine {
            server_cpus: 1,
            memory: 1 << 30,
        };
        let (given, texts) = clamp(&asked, &small);
        assert_eq!(
            given,
            Limits {
                cpus: 1,
                cpu_quota: Some(1.0),
                memory: 1 << 30,
                ..asked.clone()
            }
        );
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert_eq!(clamp(&asked, &LARGE), (asked, vec![]));
    }

    #[test]
    fn missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        let (mut spec, _) = resolve(
            &declared(Server::dockerfile(&image).app(folder.path().join("app"))),
            None,
            &LARGE,
        );
        assert!(
            spec.check_files()
                .unwrap_err()
                .contains("not found; create it, or correct `Server::dockerfile")
        );
        std::fs::create_dir(&image).unwrap();
        assert!(spec.check_files().unwrap_err().contains("no Dockerfile"));
        std::fs::write(image.join("Dockerfile"), "FROM scratch").unwrap();
        assert!(spec.check_files().unwrap_err().contains("application folder"));
        spec.app = None;
        assert_eq!(spec.check_files(), Ok(()));
    }

    #[test]
    fn host_omits_default_port_and_address_zone() {
        for (address, default_port, host) in [
            ("127.0.0.1:80", 80, "127.0.0.1"),
            ("127.0.0.1:8080", 80, "127.0.0.1:8080"),
            ("[::1]:80", 80, "[::1]"),
            ("[fe80::1%2]:8000", 80, "[fe80::1]:8000"),
            ("127.0.0.1:443", 443, "127.0.0.1"),
            ("[::1]:80", 443, "[::1]:80"),
        ] {
            assert_eq!(super::authority(address.parse().unwrap(), default_port), host);
        }
    }
}
