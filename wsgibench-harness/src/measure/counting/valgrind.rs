//! Valgrind on this machine: where it is, and the command that counts with it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    counts::{CountEnvironment, cpu_features},
    sandbox::{Instrument, SandboxKind, instrument::HOME},
};

/// Folders where distributions and a build from source install valgrind's tools.
const LIBRARIES: [&str; 6] = [
    "/usr/libexec/valgrind",
    "/usr/lib/x86_64-linux-gnu/valgrind",
    "/usr/lib/aarch64-linux-gnu/valgrind",
    "/usr/lib/valgrind",
    "/usr/local/libexec/valgrind",
    "/usr/local/lib/valgrind",
];

/// Folder of the tools in a container.
const IN_CONTAINER: &str = "/wsgibench-valgrind";
/// Prefix of all files that valgrind writes.
pub(super) const PREFIX: &str = "wsgibench-count";
/// Factor by which memory limits and start-up time limits are multiplied.
const SLOWDOWN: u32 = 5;
/// Threads of a process: more than any server has, since valgrind aborts a process that starts one more.
const MAX_THREADS: u32 = 4_096;
/// Basic blocks between two looks for a request to dump. Dumps are asked for while the server is idle, and taken this soon
/// after it wakes.
const POLL: u32 = 50;

/// Why counting is not possible here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValgrindError {
    /// Not installed.
    #[error(
        "valgrind not found, which counts instructions; install it (Debian and Ubuntu: apt-get install valgrind; Fedora: dnf \
         install valgrind) and run the command again"
    )]
    Missing,
    /// Installed without the tool for this architecture.
    #[error("valgrind has no callgrind for {0} in {1}; install the valgrind package of this architecture")]
    Architecture(String, PathBuf),
    /// It does not run.
    #[error("failed to run `valgrind --version`: {0}")]
    Broken(String),
    /// The launcher cannot be written.
    #[error("failed to write {0}: {1}")]
    Launcher(PathBuf, String),
}

/// An installed valgrind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valgrind {
    version: String,
    /// Folder of the tools.
    library: PathBuf,
    /// The tool: statically linked, so that it runs in every image.
    tool: String,
    /// The program that asks for dumps.
    vgdb: PathBuf,
    /// The dynamic loader and the C library of this machine, with which vgdb runs in an image that has others.
    libc: Option<(PathBuf, PathBuf)>,
    /// A script that stands in for valgrind's launcher.
    launcher: PathBuf,
}

/// Starts the tool for a program that a server executes. Valgrind's own launcher needs a C library that an image may lack.
const LAUNCHER: &str =
    "#!/bin/sh\nVALGRIND_LAUNCHER=\"$0\"\nexport VALGRIND_LAUNCHER\nexec \"$VALGRIND_LIB/@TOOL@\" \"$@\"\n";

/// Returns the version of the valgrind that counting uses on this machine.
///
/// # Errors
/// If it is missing, does not run, or lacks callgrind for this architecture.
pub fn installed_version() -> Result<String, ValgrindError> {
    Installed::find().map(|installed| installed.version)
}

/// Valgrind's files on this machine.
struct Installed {
    version: String,
    library: PathBuf,
    tool: String,
    vgdb: PathBuf,
}

impl Installed {
    fn find() -> Result<Self, ValgrindError> {
        let program = in_path("valgrind").ok_or(ValgrindError::Missing)?;
        let vgdb = in_path("vgdb").ok_or(ValgrindError::Missing)?;
        let output = Command::new(&program)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| ValgrindError::Broken(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text
            .trim()
            .strip_prefix("valgrind-")
            .ok_or_else(|| ValgrindError::Broken(String::from_utf8_lossy(&output.stderr).trim().to_owned()))?;
        let tool = tool_name(std::env::consts::ARCH);
        let named = std::env::var_os("VALGRIND_LIB").map(PathBuf::from);
        let folders: Vec<PathBuf> = named.into_iter().chain(LIBRARIES.map(PathBuf::from)).collect();
        let library = library_with(&tool, &folders)?;
        Ok(Self {
            version: version.to_owned(),
            library,
            tool,
            vgdb,
        })
    }
}

impl Valgrind {
    /// Finds valgrind on this machine, and writes what servers need of it to `folder`.
    ///
    /// # Errors
    /// If it is missing, or lacks callgrind for this architecture.
    pub fn find(folder: &Path) -> Result<Self, ValgrindError> {
        let Installed {
            version,
            library,
            tool,
            vgdb,
        } = Installed::find()?;
        Ok(Self {
            version,
            library,
            launcher: write_launcher(folder, &tool)?,
            tool,
            vgdb,
            libc: own_libc(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default()),
        })
    }

    /// Its version, e.g. `3.19.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the instrument that counts a server.
    pub(super) fn instrument(&self, kind: SandboxKind) -> Instrument {
        let (library, launcher, mounts) = match kind {
            SandboxKind::Docker | SandboxKind::Kubernetes => {
                let mut mounts = vec![
                    (self.library.clone(), format!("{IN_CONTAINER}/lib")),
                    (self.vgdb.clone(), format!("{IN_CONTAINER}/vgdb")),
                    (self.launcher.clone(), format!("{IN_CONTAINER}/launcher")),
                ];
                if let Some((loader, libc)) = &self.libc {
                    mounts.push((loader.clone(), format!("{IN_CONTAINER}/ld.so")));
                    mounts.push((libc.clone(), format!("{IN_CONTAINER}/libc/libc.so.6")));
                }
                (
                    format!("{IN_CONTAINER}/lib"),
                    format!("{IN_CONTAINER}/launcher"),
                    mounts,
                )
            }
            SandboxKind::Process => (
                self.library.display().to_string(),
                self.launcher.display().to_string(),
                Vec::new(),
            ),
        };
        let tool = format!("{library}/{}", self.tool);
        let prefix = format!("{}/{PREFIX}", folder(kind));
        let command = vec![
            tool,
            "--tool=callgrind".to_owned(),
            "--trace-children=yes".to_owned(),
            // Start-up is not counted, and takes a third of the time without instrumentation.
            "--instr-atstart=no".to_owned(),
            "--collect-systime=yes".to_owned(),
            "--cache-sim=no".to_owned(),
            "--trace-syscalls=yes".to_owned(),
            format!("--max-threads={MAX_THREADS}"),
            format!("--vgdb-poll={POLL}"),
            format!("--vgdb-prefix={prefix}"),
            format!("--callgrind-out-file={prefix}.out.%p"),
            format!("--log-file={prefix}.log.%p"),
        ];
        Instrument {
            command,
            env: vec![
                ("VALGRIND_LIB".to_owned(), library),
                ("VALGRIND_LAUNCHER".to_owned(), launcher),
                ("PYTHONHASHSEED".to_owned(), "0".to_owned()),
            ],
            mounts,
            cpus: Vec::new(),
            slowdown: SLOWDOWN,
        }
    }

    /// Returns the shell command that runs vgdb in a server's sandbox.
    pub(super) fn vgdb_command(&self, kind: SandboxKind) -> String {
        match (kind, &self.libc) {
            (SandboxKind::Docker | SandboxKind::Kubernetes, Some(_)) => {
                format!("{IN_CONTAINER}/ld.so --library-path {IN_CONTAINER}/libc {IN_CONTAINER}/vgdb")
            }
            (SandboxKind::Docker | SandboxKind::Kubernetes, None) => format!("{IN_CONTAINER}/vgdb"),
            (SandboxKind::Process, _) => format!("'{}'", self.vgdb.display()),
        }
    }

    /// Returns what counts depend on, on this machine and with servers of `cpus` CPUs.
    #[must_use]
    pub fn environment(&self, sandbox: &str, kernel: &str, cpus: usize) -> CountEnvironment {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = info.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            ["flags", "Features"].contains(&name.trim()).then_some(value)
        });
        CountEnvironment {
            architecture: std::env::consts::ARCH.to_owned(),
            valgrind: self.version.clone(),
            cpu_features: cpu_features(flags.unwrap_or_default()),
            cpus,
            kernel: kernel.split('.').take(2).collect::<Vec<_>>().join("."),
            client: env!("CARGO_PKG_VERSION").to_owned(),
            sandbox: sandbox.to_owned(),
        }
    }
}

/// Returns the folder that has the tool. Without one, the error names the first folder that exists.
fn library_with(tool: &str, folders: &[PathBuf]) -> Result<PathBuf, ValgrindError> {
    let with_tool = folders.iter().find(|folder| folder.join(tool).is_file());
    with_tool.cloned().ok_or_else(|| {
        let folder = folders.iter().find(|folder| folder.is_dir());
        ValgrindError::Architecture(
            std::env::consts::ARCH.to_owned(),
            folder.cloned().unwrap_or_else(|| PathBuf::from(LIBRARIES[0])),
        )
    })
}

/// Folder of valgrind's files: a container's `/tmp` in memory, or the home that a process is given.
fn folder(kind: SandboxKind) -> &'static str {
    match kind {
        SandboxKind::Docker | SandboxKind::Kubernetes => "/tmp",
        SandboxKind::Process => HOME,
    }
}

/// The same folder as a word of a shell.
pub(super) fn shell_folder(kind: SandboxKind) -> &'static str {
    match kind {
        SandboxKind::Docker | SandboxKind::Kubernetes => "/tmp",
        SandboxKind::Process => "\"$HOME\"",
    }
}

/// Returns the file name of callgrind for an architecture.
fn tool_name(architecture: &str) -> String {
    let valgrinds = match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    };
    format!("callgrind-{valgrinds}-linux")
}

/// Writes the launcher, unless it is there.
fn write_launcher(folder: &Path, tool: &str) -> Result<PathBuf, ValgrindError> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = folder.join("valgrind-launcher");
    let text = LAUNCHER.replace("@TOOL@", tool);
    let write = || {
        // Rewriting a file that a running server executes would fail.
        if std::fs::read_to_string(&file).is_ok_and(|known| known == text) {
            return Ok(());
        }
        std::fs::create_dir_all(folder)?;
        std::fs::write(&file, &text)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))
    };
    write()
        .and_then(|()| file.canonicalize())
        .map_err(|error: std::io::Error| ValgrindError::Launcher(file.clone(), error.to_string()))
}

/// Returns the loader and the C library of this process from its `/proc/self/maps`; `None` if it is linked statically or with
/// another C library than glibc.
fn own_libc(maps: &str) -> Option<(PathBuf, PathBuf)> {
    let named = |test: fn(&str) -> bool| {
        let mut paths = maps.lines().filter_map(|line| line.split_ascii_whitespace().nth(5));
        paths
            .find(|path| path.rsplit('/').next().is_some_and(test))
            .map(PathBuf::from)
    };
    let loader = named(|name| name.starts_with("ld-linux") || name.starts_with("ld-2."))?;
    let libc = named(|name| name == "libc.so.6" || name.starts_with("libc-2."))?;
    Some((loader, libc))
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
impl Valgrind {
    /// Returns one for tests, which need not be installed.
    pub(crate) fn sample() -> Self {
        Self {
            version: "3.19.0".into(),
            library: "/usr/libexec/valgrind".into(),
            tool: tool_name("x86_64"),
            vgdb: "/usr/bin/vgdb".into(),
            libc: None,
            launcher: "/target/valgrind-launcher".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sample() -> Valgrind {
        Valgrind::sample()
    }

    #[test]
    fn containers_get_the_tools_read_only_and_processes_use_them_in_place() {
        let docker = sample().instrument(SandboxKind::Docker);
        assert_eq!(docker.command[0], "/wsgibench-valgrind/lib/callgrind-amd64-linux");
        assert_eq!(docker.mounts.len(), 3);
        let process = sample().instrument(SandboxKind::Process);
        assert_eq!(process.command[0], "/usr/libexec/valgrind/callgrind-amd64-linux");
        assert!(process.mounts.is_empty());
        let launcher = process.env.iter().find(|(name, _)| name == "VALGRIND_LAUNCHER");
        assert_eq!(
            launcher.map(|(_, value)| value.as_str()),
            Some("/target/valgrind-launcher")
        );
    }

    #[test]
    fn vgdb_runs_with_this_machines_libc_in_any_image() {
        let maps = "7f-80 r--p 0 fe:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n80-81 r-xp 0 fe:00 2 \
                    /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2\n81-82 rw-p 0 00:00 0\n";
        let mut valgrind = sample();
        valgrind.libc = own_libc(maps);
        assert!(valgrind.libc.is_some());
        assert!(
            valgrind
                .vgdb_command(SandboxKind::Docker)
                .contains("ld.so --library-path")
        );
        assert_eq!(valgrind.instrument(SandboxKind::Docker).mounts.len(), 5);
        assert_eq!(own_libc("81-82 rw-p 0 00:00 0 [heap]\n"), None);
    }

    #[test]
    fn valgrind_of_another_architecture_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("callgrind-s390x-linux"), "").unwrap();
        let folders = [PathBuf::from("/nonexistent"), folder.path().to_owned()];
        let found = library_with("callgrind-s390x-linux", &folders);
        assert_eq!(found, Ok(folder.path().to_owned()));
        let error = library_with("callgrind-amd64-linux", &folders).unwrap_err().to_string();
        assert!(
            error.contains(std::env::consts::ARCH) && error.contains(&folder.path().display().to_string()),
            "{error}"
        );
        assert!(
            error.contains("install the valgrind package of this architecture"),
            "{error}"
        );
    }

    #[test]
    fn launcher_is_executable_and_names_the_tool() {
        let folder = tempfile::tempdir().unwrap();
        let file = write_launcher(folder.path(), "callgrind-amd64-linux").unwrap();
        assert!(is_executable(&file));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("exec \"$VALGRIND_LIB/callgrind-amd64-linux\""), "{text}");
        assert_eq!(write_launcher(folder.path(), "callgrind-amd64-linux").unwrap(), file);
    }

    #[test]
    fn environment_names_the_kernel_by_major_and_minor() {
        let environment = sample().environment("docker", "6.1.0-18-amd64", 2);
        assert_eq!((environment.kernel.as_str(), environment.cpus), ("6.1", 2));
    }
}
