//! A server: an image, a command, a port, limits.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Limits, Setting};
use crate::load::Tls;

/// The source of a server's image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// A folder with a Dockerfile, relative to the declaring crate.
    Folder(PathBuf),
    /// An image that the container engine has or can pull, by name.
    Image(String),
    /// Python requirement lines; the harness generates the Dockerfile.
    Requirements(Vec<String>),
    /// A running server, `host:port`; its CPU and memory are measured only if it runs on this machine.
    Running(String),
}

/// The configuration of a server; variants are never ranked together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Variant {
    /// Configured for production.
    #[default]
    Tuned,
    /// With the server's defaults.
    Default,
}

/// A command line, fixed or computed from the number of CPUs.
#[derive(Clone)]
#[non_exhaustive]
pub enum Command {
    /// A fixed command. Empty: the image's own.
    Fixed(Vec<String>),
    /// A function of the number of CPUs that the server gets after clamping.
    PerCpus(Arc<dyn Fn(usize) -> Vec<String> + Send + Sync>),
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(words) => f.debug_tuple("Fixed").field(words).finish(),
            Self::PerCpus(make) => f.debug_tuple("PerCpus").field(&make(1)).finish(),
        }
    }
}

/// A server, as a `#[server]` function declares it.
///
/// ```
/// use wsgibench_harness::prelude::*;
///
/// let server = Server::python(["gunicorn==27.0.1"])
///     .app("app")
///     .command(["gunicorn", "--bind", "{host}:{port}", "wsgi:application"])
///     .readiness("/health", secs(30));
/// assert_eq!(server.port, 8000);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Server {
    /// Source of the image.
    pub source: Source,
    /// Application folder, relative to the declaring crate; copied into the build context as `app/`.
    pub app: Option<PathBuf>,
    /// Command line; `{host}` and `{port}` are replaced by the address to listen on.
    pub command: Command,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Port it listens on in its container.
    pub port: u16,
    /// Limits of CPU, memory, descriptors and processes.
    pub limits: Limits,
    /// Path of the readiness probe.
    pub ready_path: String,
    /// Time limit for becoming ready.
    pub ready_within: Duration,
    /// Name sent as `Host`. `None`: its address.
    pub host: Option<String>,
    /// TLS settings; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Linux capabilities it keeps (all others are dropped), e.g. `NET_BIND_SERVICE`.
    pub capabilities: Vec<String>,
    /// Writable folders in memory, besides `/tmp` and `/dev/shm`.
    pub tmpfs: Vec<String>,
    /// Whether the root file system is writable; read-only by default.
    pub writable_root: bool,
    /// User and group in the container, `65534:65534` by default.
    pub user: String,
    /// Python version, e.g. `3.9`, which selects the base image; `None`: any.
    pub python: Option<String>,
    /// Tuned or with its defaults.
    pub variant: Variant,
    /// Tags, selected by `--tag` and profiles.
    pub tags: Vec<String>,
    /// Remarks, shown in every table with the figures.
    pub notes: Vec<String>,
    /// Companions on the same network (a database, a cache), started first.
    pub companions: Vec<Companion>,
    /// Signal that makes the first process reload gracefully, e.g. `SIGHUP`; `None`: not supported.
    pub reload: Option<String>,
    /// Whether it is measured only in scenarios that name it.
    pub opt_in: bool,
    /// Whether it is the default variant of a server with parameters.
    pub default_variant: bool,
}

/// A container that runs with a server, e.g. a database; started before the server, on the same network.
///
/// ```
/// use wsgibench_harness::prelude::*;
///
/// let database = Companion::image("db", "postgres:17").env("POSTGRES_PASSWORD", "secret").port(5432);
/// let server = Server::dockerfile("images/api").with_companion(database);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Companion {
    /// Host name on the network of the run.
    pub name: String,
    /// Source of the image.
    pub source: Source,
    /// Command line; empty: the image's own.
    pub command: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Port that must accept connections before the server starts.
    pub port: u16,
    /// Whether it is confined as servers are: no capabilities, a read-only root, `/tmp` in memory.
    #[serde(default)]
    pub confined: bool,
    /// A command in its container that prints the number of database statements executed so far; empty: not counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statement_counter: Vec<String>,
}

impl Companion {
    /// Returns a companion with this host name; set its port with [`port`](Self::port).
    #[must_use]
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        Self {
            name: name.into(),
            source,
            command: Vec::new(),
            env: Vec::new(),
            port: 0,
            confined: false,
            statement_counter: Vec::new(),
        }
    }

    /// Sets a command in its container that prints the number of database statements executed so far, for
    /// `cargo bench -- --count`. The environment variable `WSGIBENCH_COUNTED` is `1` in a companion of a counted launch, so that
    /// it can load a statistics module then only.
    #[must_use]
    pub fn counts_statements_by<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.statement_counter = words.into_iter().map(Into::into).collect();
        self
    }

    /// Returns a companion built from a folder with a Dockerfile, relative to the declaring crate.
    #[must_use]
    pub fn dockerfile(name: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self::new(name, Source::Folder(folder.into()))
    }

    /// Returns a companion from an image that the engine has or can pull, e.g. `Companion::image("db", "postgres:17").port(5432)`.
    #[must_use]
    pub fn image(name: impl Into<String>, image: impl Into<String>) -> Self {
        Self::new(name, Source::Image(image.into()))
    }

    /// Sets the command line, the image's own by default. `{port}` is replaced by the port.
    #[must_use]
    pub fn command<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.command = words.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the port that must accept connections before the server starts.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Confines it as servers are: no capabilities, a read-only root, `/tmp` in memory. Off by default, since public images
    /// often start as root and write to their root file system.
    #[must_use]
    pub fn confined(mut self) -> Self {
        self.confined = true;
        self
    }
}

/// A server resolved for this machine, as the sandbox starts it and `run.json` records it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerSpec {
    /// Name, unique in a run.
    pub name: String,
    /// From its doc comment.
    pub description: String,
    /// Source of the image; folders are absolute.
    pub source: Source,
    /// Application folder, absolute.
    pub app: Option<PathBuf>,
    /// Command line for its CPUs, with the placeholders `{host}` and `{port}`.
    pub command: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Port.
    pub port: u16,
    /// Limits after clamping.
    pub limits: Limits,
    /// Readiness path.
    pub ready_path: String,
    /// Readiness deadline.
    pub ready_within: Duration,
    /// Name sent as `Host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// TLS settings, with the absolute path of the root certificate; `None` for plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Capabilities kept.
    pub capabilities: Vec<String>,
    /// Writable folders in memory.
    pub tmpfs: Vec<String>,
    /// Writable root.
    pub writable_root: bool,
    /// User.
    pub user: String,
    /// Python version.
    pub python: Option<String>,
    /// Variant.
    pub variant: Variant,
    /// Tags.
    pub tags: Vec<String>,
    /// Remarks.
    pub notes: Vec<String>,
    /// Companions, started first.
    #[serde(alias = "services")] // the name in runs before 0.1
    pub companions: Vec<Companion>,
    /// Signal that makes it reload gracefully.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<String>,
    /// Its parameters, if it is a variant of a server with parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<Box<Setting>>,
}

impl ServerSpec {
    /// Returns a server with the defaults of [`Server`] and the command of its image. Folders of `source` are absolute.
    #[must_use]
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        let server = Server::new(source);
        Self {
            name: name.into(),
            description: String::new(),
            source: server.source,
            app: server.app,
            command: Vec::new(),
            env: server.env,
            port: server.port,
            limits: server.limits,
            ready_path: server.ready_path,
            ready_within: server.ready_within,
            host: server.host,
            tls: server.tls,
            capabilities: server.capabilities,
            tmpfs: server.tmpfs,
            writable_root: server.writable_root,
            user: server.user,
            python: server.python,
            variant: server.variant,
            tags: server.tags,
            notes: server.notes,
            companions: server.companions,
            reload: server.reload,
            setting: None,
        }
    }
}

impl Server {
    fn new(source: Source) -> Self {
        Self {
            source,
            app: None,
            command: Command::Fixed(Vec::new()),
            env: Vec::new(),
            port: 8000,
            limits: Limits::default(),
            ready_path: "/".into(),
            ready_within: Duration::from_secs(30),
            host: None,
            tls: None,
            capabilities: Vec::new(),
            tmpfs: Vec::new(),
            writable_root: false,
            user: "65534:65534".into(),
            python: None,
            variant: Variant::Tuned,
            tags: Vec::new(),
            notes: Vec::new(),
            companions: Vec::new(),
            reload: None,
            opt_in: false,
            default_variant: false,
        }
    }

    /// Returns a server built from a folder with a Dockerfile, relative to the declaring crate.
    #[must_use]
    pub fn dockerfile(folder: impl Into<PathBuf>) -> Self {
        Self::new(Source::Folder(folder.into()))
    }

    /// Returns a server from an image that the engine has or can pull, e.g. `shop/api:1.2`.
    #[must_use]
    pub fn image(name: impl Into<String>) -> Self {
        Self::new(Source::Image(name.into()))
    }

    /// Returns a server from Python requirement lines, e.g. `["gunicorn==27.0.1"]`; the harness generates the Dockerfile.
    #[must_use]
    pub fn python<S: Into<String>>(requirements: impl IntoIterator<Item = S>) -> Self {
        Self::new(Source::Requirements(requirements.into_iter().map(Into::into).collect()))
    }

    /// Returns a server that is already running at `host:port`.
    #[must_use]
    pub fn running(address: impl Into<String>) -> Self {
        Self::new(Source::Running(address.into()))
    }

    /// Sets the application folder, relative to the declaring crate; it is copied into the build context as `app/`. A change
    /// in it rebuilds the image.
    #[must_use]
    pub fn app(mut self, folder: impl Into<PathBuf>) -> Self {
        self.app = Some(folder.into());
        self
    }

    /// Sets the command line; `{host}` and `{port}` are replaced by the address to listen on.
    #[must_use]
    pub fn command<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.command = Command::Fixed(words.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the command line as a function of the number of CPUs that the server gets.
    #[must_use]
    pub fn command_for_cpus<S: Into<String>, I: IntoIterator<Item = S>>(
        mut self,
        make: impl Fn(usize) -> I + Send + Sync + 'static,
    ) -> Self {
        self.command = Command::PerCpus(Arc::new(move |cpus| make(cpus).into_iter().map(Into::into).collect()));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the port to listen on, 8000 by default.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the limits of CPU, memory, descriptors and processes.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the path that must respond before the server counts as ready, and the time limit; `/` and 30 s by default.
    #[must_use]
    pub fn readiness(mut self, path: impl Into<String>, within: Duration) -> Self {
        self.ready_path = path.into();
        self.ready_within = within;
        self
    }

    /// Sets the name sent as `Host` by every request, including readiness probes, and used for cookies and redirects; the address by default.
    /// A server that is loaded by its address but serves `shop.test` needs `.host("shop.test")`.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.host = Some(name.into());
        self
    }

    /// Speaks TLS with it, in everything that talks to the server: readiness, checks, hooks, loads, scripted users and faults.
    /// Its certificate must come from an authority that [`Tls`] trusts, and be valid for the name given to
    /// [`host`](Self::host) or to [`Tls::server_name`]: its address differs from launch to launch in a container.
    ///
    /// ```
    /// use wsgibench_harness::prelude::*;
    ///
    /// let server = Server::image("shop/api:1.2")
    ///     .port(8443)
    ///     .tls(Tls::new().root_certificate("certs/root.pem").server_name("shop.test"));
    /// assert!(server.tls.is_some());
    /// ```
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Keeps a Linux capability, e.g. `NET_BIND_SERVICE`.
    #[must_use]
    pub fn capability(mut self, name: impl Into<String>) -> Self {
        self.capabilities.push(name.into());
        self
    }

    /// Adds a writable folder, held in memory.
    #[must_use]
    pub fn tmpfs(mut self, folder: impl Into<String>) -> Self {
        self.tmpfs.push(folder.into());
        self
    }

    /// Makes its root file system writable.
    #[must_use]
    pub fn writable_root(mut self) -> Self {
        self.writable_root = true;
        self
    }

    /// Sets the user (and group) as which it runs.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// Sets the Python version, `3.8` to `3.15`; the base image's by default.
    ///
    /// In a container it selects the base image for the folder or the requirements: the official image of this Python, or, if it cannot be
    /// pulled, one made from the packages of the Debian release with this Python (3.9, 3.11, 3.13). As a process, the server needs a
    /// `python3.x` of this version on the path. Otherwise the server is not available, and the reason is reported.
    #[must_use]
    pub fn python_version(mut self, version: impl Into<String>) -> Self {
        self.python = Some(version.into());
        self
    }

    /// Marks it as configured with its default settings; never ranked with tuned servers.
    #[must_use]
    pub fn untuned(mut self) -> Self {
        self.variant = Variant::Default;
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds a remark, which every table shows with the server's results.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Sets the signal that makes its first process reload gracefully: `SIGHUP`, `SIGUSR1` or `SIGUSR2`. Without it, scenarios with a
    /// reload are not supported by this server.
    #[must_use]
    pub fn reloads_on(mut self, signal: impl Into<String>) -> Self {
        self.reload = Some(signal.into());
        self
    }

    /// Adds a companion on the same network, which is started and ready before the server.
    #[must_use]
    pub fn with_companion(mut self, companion: Companion) -> Self {
        self.companions.push(companion);
        self
    }

    /// Marks this variant of a server with parameters as the default one if the condition holds: the setting in use, for which
    /// `baseline = app` and `--versus app` stand.
    ///
    /// ```
    /// use wsgibench_harness::prelude::*;
    ///
    /// #[server(threads = [1, 4, 16])]
    /// fn app(threads: usize) -> Server {
    ///     Server::python(["gunicorn==27.0.1"]).default_variant(threads == 4)
    /// }
    /// assert!(app(4).default_variant && !app(16).default_variant);
    /// ```
    #[must_use]
    pub fn default_variant(mut self, condition: bool) -> Self {
        self.default_variant = condition;
        self
    }

    /// Limits it to scenarios that name it in their `servers = [...]`, for servers set up for a specific comparison.
    #[must_use]
    pub fn opt_in(mut self) -> Self {
        self.opt_in = true;
        self
    }
}
