//! A server: an image, a command, a port, limits.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::Limits;

/// Where a server's files come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A folder with a Dockerfile, relative to the declaring crate.
    Folder(PathBuf),
    /// An image by name, as the engine knows it.
    Image(String),
    /// Python requirement lines; the harness writes the Dockerfile.
    Requirements(Vec<String>),
    /// A server that runs already, `host:port`; accounted as far as it can be.
    Running(String),
}

/// How a server is set up; variants are never ranked together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// As a careful operator would run it.
    #[default]
    Tuned,
    /// As it comes.
    Default,
}

/// A command line, fixed or made for a number of CPUs.
#[derive(Clone)]
pub enum Command {
    /// The same everywhere. Empty: the image's own.
    Fixed(Vec<String>),
    /// Made for the number of CPUs that the server really gets (after clamping).
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

/// A server as its function declares it. Made by [`image`](Self::image) and its siblings, refined by the builder methods.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where its files come from.
    pub source: Source,
    /// Application folder, relative to the declaring crate: joins the build context as `app/`.
    pub app: Option<PathBuf>,
    /// Command line. `{host}`, `{port}` are replaced by where it must listen.
    pub command: Command,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Port it listens on in its container.
    pub port: u16,
    /// What it may use.
    pub limits: Limits,
    /// Path asked for until it answers.
    pub ready_path: String,
    /// How long it may take to answer.
    pub ready_within: Duration,
    /// Name sent as `Host`. `None`: its address.
    pub host: Option<String>,
    /// Linux capabilities it keeps (all others are dropped), e.g. `NET_BIND_SERVICE`.
    pub capabilities: Vec<String>,
    /// Folders it may write to, held in memory, beside `/tmp` and `/dev/shm`.
    pub tmpfs: Vec<String>,
    /// Its root stays writable (read-only unless told).
    pub writable_root: bool,
    /// User it runs as in its container (`65534:65534` unless told).
    pub user: String,
    /// Python it runs on, e.g. `3.9`; chooses the base image. `None`: any.
    pub python: Option<String>,
    /// Tuned or as it comes.
    pub variant: Variant,
    /// Tags, chosen by `--tag` and profiles.
    pub tags: Vec<String>,
    /// Remarks that every table shows with its figures.
    pub notes: Vec<String>,
    /// Companions on the same network (a database, a cache), started first.
    pub companions: Vec<Companion>,
    /// Signal that makes its first process reload gracefully, e.g. `SIGHUP`. `None`: it has no such thing.
    pub reload: Option<String>,
    /// It takes part only in scenarios that name it.
    pub opt_in: bool,
}

/// A companion of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// Its name on the network.
    pub name: String,
    /// Where its files come from.
    pub source: Source,
    /// Command line; empty: the image's own.
    pub command: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Port that must accept connections before the server starts.
    pub port: u16,
    /// Shut in as servers are: no capability, a read-only root, `/tmp` in memory.
    #[serde(default)]
    pub confined: bool,
}

impl Companion {
    /// A companion of this name, from anywhere. Its port must be said.
    #[must_use]
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        Self {
            name: name.into(),
            source,
            command: Vec::new(),
            env: Vec::new(),
            port: 0,
            confined: false,
        }
    }

    /// A companion built from a folder with a Dockerfile, relative to the declaring crate.
    #[must_use]
    pub fn dockerfile(name: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self::new(name, Source::Folder(folder.into()))
    }

    /// A companion from an image that the engine has or can pull, e.g. `Companion::image("db", "postgres:17").port(5432)`.
    #[must_use]
    pub fn image(name: impl Into<String>, image: impl Into<String>) -> Self {
        Self::new(name, Source::Image(image.into()))
    }

    /// Command line; without it the image's own. `{port}` is filled in.
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

    /// Port that must accept connections before the server starts.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Shuts it in as servers are: without any capability, on a read-only root, with `/tmp` in memory to write to. Not so unless said,
    /// since images made for everybody often begin as root and write where they like.
    #[must_use]
    pub fn confined(mut self) -> Self {
        self.confined = true;
        self
    }
}

/// A server resolved for this machine: what the sandbox is told and `run.json` records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerSpec {
    /// Name, unique in a run.
    pub name: String,
    /// From its doc comment.
    pub description: String,
    /// Where its files come from; folders are absolute here.
    pub source: Source,
    /// Application folder, absolute.
    pub app: Option<PathBuf>,
    /// Command line for the CPUs it gets, with `{host}` and `{port}` still in it.
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
    /// Capabilities kept.
    pub capabilities: Vec<String>,
    /// Writable folders in memory.
    pub tmpfs: Vec<String>,
    /// Writable root.
    pub writable_root: bool,
    /// User.
    pub user: String,
    /// Python wanted.
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
        }
    }

    /// A server built from a folder with a Dockerfile, relative to the declaring crate.
    #[must_use]
    pub fn dockerfile(folder: impl Into<PathBuf>) -> Self {
        Self::new(Source::Folder(folder.into()))
    }

    /// A server from an image the engine knows or can pull, by name.
    #[must_use]
    pub fn image(name: impl Into<String>) -> Self {
        Self::new(Source::Image(name.into()))
    }

    /// A server from Python requirement lines, e.g. `["gunicorn==27.0.1"]`; the harness writes the Dockerfile.
    #[must_use]
    pub fn python<S: Into<String>>(requirements: impl IntoIterator<Item = S>) -> Self {
        Self::new(Source::Requirements(requirements.into_iter().map(Into::into).collect()))
    }

    /// A server that runs already at `host:port`.
    #[must_use]
    pub fn running(address: impl Into<String>) -> Self {
        Self::new(Source::Running(address.into()))
    }

    /// Application folder, relative to the declaring crate: joins the build context as `app/`; both are hashed.
    #[must_use]
    pub fn app(mut self, folder: impl Into<PathBuf>) -> Self {
        self.app = Some(folder.into());
        self
    }

    /// Command line, the same on every machine.
    #[must_use]
    pub fn command<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.command = Command::Fixed(words.into_iter().map(Into::into).collect());
        self
    }

    /// Command line made for the number of CPUs that the server really gets.
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

    /// Port it listens on (8000 unless told).
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What it may use.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Path that must answer before the server counts as ready, and the time it may take (`/` and 30 s unless told).
    #[must_use]
    pub fn readiness(mut self, path: impl Into<String>, within: Duration) -> Self {
        self.ready_path = path.into();
        self.ready_within = within;
        self
    }

    /// Name sent as `Host` by every request, readiness included, and the site of cookies and redirects; its address unless set.
    /// A server that is loaded on a port of its own but answers for `shop.test` needs `.host("shop.test")`.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.host = Some(name.into());
        self
    }

    /// Keeps a Linux capability, e.g. `NET_BIND_SERVICE`.
    #[must_use]
    pub fn capability(mut self, name: impl Into<String>) -> Self {
        self.capabilities.push(name.into());
        self
    }

    /// A folder it may write to, held in memory.
    #[must_use]
    pub fn tmpfs(mut self, folder: impl Into<String>) -> Self {
        self.tmpfs.push(folder.into());
        self
    }

    /// Leaves its root writable.
    #[must_use]
    pub fn writable_root(mut self) -> Self {
        self.writable_root = true;
        self
    }

    /// User (and group) it runs as.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// The Python it runs on: `3.8` to `3.15`. Without it, that of the base image.
    ///
    /// In a container this chooses the base that its folder or its requirements are built on: the official image of this Python, or, where
    /// none can be pulled, one made from the packages of the Debian release whose Python it is (3.9, 3.11, 3.13). As a process the server
    /// needs a `python3.x` of this version on the path. Elsewhere it is not available, and says why.
    #[must_use]
    pub fn python_version(mut self, version: impl Into<String>) -> Self {
        self.python = Some(version.into());
        self
    }

    /// Marks it as set up as it comes; never ranked with tuned ones.
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

    /// A remark that every table shows with its figures.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The signal that makes its first process reload gracefully: `SIGHUP`, `SIGUSR1` or `SIGUSR2`. Without it, scenarios that
    /// reload are unsupported by this server.
    #[must_use]
    pub fn reloads_on(mut self, signal: impl Into<String>) -> Self {
        self.reload = Some(signal.into());
        self
    }

    /// A companion on the same network, started and awaited first.
    #[must_use]
    pub fn with_companion(mut self, companion: Companion) -> Self {
        self.companions.push(companion);
        self
    }

    /// Takes part only in scenarios that name it in their `servers = [...]`: for one that was set up for a single question.
    #[must_use]
    pub fn opt_in(mut self) -> Self {
        self.opt_in = true;
        self
    }
}
