//! Virtual environments of servers, kept under the target folder and shared by servers with the same packages.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use ring::digest;
use tokio::process::Command;

use crate::{
    declare::{ServerSpec, Source},
    lock_file,
    sandbox::{
        PrepareError, PreparedServer, context::SandboxContext, error::last_lines, group, requirements::Requirements,
        short_hash, versions,
    },
    subprocess,
};

/// Marks a completed environment. It contains the environment's path: programs in it refer to their interpreter by that path, so an
/// environment that was moved or restored elsewhere is made again.
const COMPLETE: &str = "wsgibench-complete";
/// Time limit for installing the packages of one server.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);
/// Lines of pip's output shown in an error.
const SHOWN_LINES: usize = 20;

/// A Python interpreter that creates environments.
#[derive(Clone, Debug)]
pub(super) struct Python {
    program: String,
    /// Version and prefix, such as `3.11.2 /usr`. Part of an environment's hash.
    identity: String,
}

/// Finds an interpreter of the wanted version (`3.9`), or of any version.
pub(super) async fn python(wanted: Option<&str>) -> Result<Python, String> {
    let program = crate::variables::text("WSGIBENCH_PYTHON").unwrap_or_else(|| "python3".into());
    let named = wanted.map(|version| format!("python{version}"));
    for program in std::iter::once(program).chain(named.clone()) {
        let script = "import sys, platform; print(platform.python_version(), sys.base_prefix)";
        let output = Command::from(subprocess::python(&program))
            .args(["-c", script])
            .output()
            .await;
        let Some(output) = output.ok().filter(|output| output.status.success()) else {
            continue;
        };
        let identity = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if wanted.is_none_or(|wanted| identity.starts_with(&format!("{wanted}."))) {
            return Ok(Python { program, identity });
        }
    }
    Err(match named {
        None => "python3 not found; install Python 3 with its venv module, or set WSGIBENCH_PYTHON".into(),
        Some(named) => format!("{named} not found; install it, or use --sandbox docker"),
    })
}

/// The source of a server's packages.
struct Packages {
    requirements: Requirements,
    source: PackageSource,
}

enum PackageSource {
    /// A file, which pip reads in its place so that relative includes work.
    File(PathBuf),
    Lines(Vec<String>),
}

impl Packages {
    fn of(source: &Source) -> Result<Self, PrepareError> {
        let failed = PrepareError::Failed;
        match source {
            Source::Folder(folder) if !folder.is_dir() => Err(failed(format!(
                "folder {} not found; Server::dockerfile takes a path relative to the crate",
                folder.display()
            ))),
            Source::Folder(folder) => {
                let file = folder.join("requirements.txt");
                Ok(Self {
                    requirements: Requirements::of_file(&file).map_err(failed)?,
                    source: PackageSource::File(file),
                })
            }
            Source::Requirements(lines) => Ok(Self {
                requirements: Requirements::of_lines(lines).map_err(failed)?,
                source: PackageSource::Lines(lines.clone()),
            }),
            Source::Image(_) | Source::Running(_) => Err(PrepareError::NotAvailable(
                "it is an image, which needs the docker sandbox".into(),
            )),
        }
    }
}

/// Returns a server with its virtual environment, made unless one with the same packages exists.
pub(super) async fn prepare(context: &SandboxContext, spec: &ServerSpec) -> Result<PreparedServer, PrepareError> {
    let unavailable = |text: &str| Err(PrepareError::NotAvailable(text.to_owned()));
    let failed = |why: String| PrepareError::Failed(format!("failed to prepare server `{}`: {why}", spec.name));
    let packages = Packages::of(&spec.source).map_err(|error| match error {
        PrepareError::Failed(why) => failed(why),
        PrepareError::NotAvailable(why) => PrepareError::NotAvailable(why),
    })?;
    if let Some(app) = spec.app.as_deref().filter(|app| !app.is_dir()) {
        return Err(failed(format!(
            "application folder {} not found; Server::app takes a path relative to the crate",
            app.display()
        )));
    }
    if spec.command.is_empty() {
        return unavailable("its command is that of its image, which needs the docker sandbox");
    }
    if !spec.companions.is_empty() {
        return unavailable("its companions need the docker sandbox");
    }
    let python = python(spec.python.as_deref())
        .await
        .map_err(PrepareError::NotAvailable)?;
    // Servers of the same folder share one.
    let name = match &spec.source {
        Source::Folder(folder) => folder
            .file_name()
            .map_or(spec.name.as_str().into(), std::ffi::OsStr::to_string_lossy),
        _ => spec.name.as_str().into(),
    };
    let io = |error: std::io::Error| failed(error.to_string());
    let path = std::path::absolute(context.folder("venvs"))
        .map_err(io)?
        .join(folder_name(&name, &packages.requirements, &python));
    // Concurrent runs must not make the same environment; the second finds it complete.
    let lock = lock(&path).await.map_err(io)?;
    if !is_complete(&path) {
        context.report_progress(&spec.name, "making its virtual environment");
        make(&path, &packages, &python).await.map_err(failed)?;
    }
    drop(lock);
    let versions = versions_in(&path).await;
    Ok(PreparedServer {
        spec: spec.clone(),
        image: path.display().to_string(),
        digest: None,
        bytes: None,
        versions,
        companions: Vec::new(),
        environment: Some(path),
        instrument: None,
    })
}

/// Whether the environment at `path` is complete, was made at this path, and still has its interpreter.
fn is_complete(path: &Path) -> bool {
    let made_at = fs::read(path.join(COMPLETE)).unwrap_or_default();
    made_at == path.as_os_str().as_encoded_bytes() && path.join("bin/python").is_file()
}

fn folder_name(name: &str, requirements: &Requirements, python: &Python) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    requirements.add_to(&mut hash);
    hash.update(python.identity.as_bytes());
    hash.update(std::env::consts::ARCH.as_bytes());
    let hash = short_hash(hash);
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .take(100)
        .collect();
    format!("{name}-{hash}")
}

async fn lock(path: &Path) -> std::io::Result<fs::File> {
    let file = path.with_extension("lock");
    let open = || {
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        lock_file::open(&file, 0o644)
    };
    let file = open().map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
}

async fn make(path: &Path, packages: &Packages, python: &Python) -> Result<(), String> {
    let io = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.exists() {
        // Left by an interrupted run, or made at another path.
        fs::remove_dir_all(path).map_err(io)?;
    }
    let log = path.with_extension("log");
    let output = fs::File::create(&log).map_err(io)?;
    let mut make: Command = subprocess::python(&python.program).into();
    make.args(["-m", "venv"])
        .args((!packages.requirements.has_packages).then_some("--without-pip"))
        .arg(path);
    run(make, &output)
        .await
        .map_err(|why| explain("python3 -m venv", &why, &log, "install python3-venv"))?;
    if packages.requirements.has_packages {
        let mut install = subprocess::pip(path)?;
        let remedy = match &packages.source {
            PackageSource::File(file) => {
                install.args(["install", "--requirement"]).arg(file);
                // pip resolves local projects relative to its working folder.
                install.current_dir(file.parent().unwrap_or(Path::new(".")));
                format!("fix {}", file.display())
            }
            PackageSource::Lines(lines) => {
                let file = path.join("requirements.txt");
                fs::write(&file, lines.join("\n") + "\n").map_err(io)?;
                install.args(["install", "--requirement"]).arg(&file);
                "fix the requirements of Server::python".to_owned()
            }
        };
        run(install.into(), &output)
            .await
            .map_err(|why| explain("pip", &why, &log, &remedy))?;
    }
    fs::write(path.join(COMPLETE), path.as_os_str().as_encoded_bytes()).map_err(io)
}

/// Runs a command to its end in a process group of its own, which is killed when this call is cancelled.
async fn run(mut command: Command, output: &fs::File) -> Result<(), String> {
    let clone = || output.try_clone().map_err(|error| error.to_string());
    command.stdin(Stdio::null()).stdout(clone()?).stderr(clone()?);
    match group::run(&mut command, INSTALL_TIMEOUT).await {
        Ok(Some(output)) if output.status.success() => Ok(()),
        Ok(Some(output)) => Err(match output.status.code() {
            Some(code) => format!("exited with status {code}"),
            None => format!("was killed by a signal ({})", output.status),
        }),
        Ok(None) => Err(format!("timed out after {} s", INSTALL_TIMEOUT.as_secs())),
        Err(error) => Err(format!("failed to run: {error}")),
    }
}

/// Returns the error of a failed step, with the relevant lines of its output.
fn explain(program: &str, why: &str, log: &Path, remedy: &str) -> String {
    let output = fs::read(log).unwrap_or_default();
    let reasons = reasons(&String::from_utf8_lossy(&output));
    let quoted = if reasons.is_empty() {
        &output
    } else {
        reasons.as_bytes()
    };
    let quoted = last_lines(quoted, SHOWN_LINES);
    format!("{program} {why} (see {}); {remedy}:\n{quoted}", log.display())
}

/// Returns the lines with the cause. pip wraps a compiler's error in pages of its own output.
fn reasons(output: &str) -> String {
    const TELLING: [&str; 6] = [
        "fatal error:",
        "error: ",
        "Error: ",
        "ERROR: ",
        "command not found",
        "not installed",
    ];
    const IDLE: [&str; 5] = [
        "subprocess-exited-with-error",
        "metadata-generation-failed",
        "returned non-zero exit status",
        "note: ",
        "Failed building wheel",
    ];
    let mut found: Vec<&str> = Vec::new();
    for line in output.lines().map(str::trim) {
        let tells = TELLING.iter().any(|word| line.contains(word)) && !IDLE.iter().any(|word| line.contains(word));
        if tells && !found.contains(&line) {
            found.push(line);
        }
    }
    found.truncate(4);
    found.join("\n")
}

async fn versions_in(path: &Path) -> BTreeMap<String, String> {
    let output = Command::from(subprocess::python(path.join("bin/python")))
        .args(["-c", versions::SCRIPT])
        .output()
        .await;
    output
        .map(|output| versions::parse(&String::from_utf8_lossy(&output.stdout)))
        .unwrap_or_default()
}

/// Returns `PATH` with an environment's programs first.
pub(super) fn search_path(environment: &Path) -> String {
    let mut path = environment.join("bin").display().to_string();
    if let Ok(rest) = std::env::var("PATH") {
        path.push(':');
        path.push_str(&rest);
    }
    path
}

/// Returns `PYTHONPATH` for a server: the folder of its launchers, then its application.
pub(super) fn module_path(spec: &ServerSpec) -> String {
    let launchers = match &spec.source {
        Source::Folder(folder) => Some(folder),
        _ => None,
    };
    let folders: Vec<String> = launchers
        .into_iter()
        .chain(&spec.app)
        .map(|folder: &PathBuf| folder.display().to_string())
        .collect();
    folders.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiler_errors_are_found_in_pips_output() {
        let output = "Collecting bjoern\n  error: subprocess-exited-with-error\n  x.h:6:10: fatal error: ev.h: No such file or directory\n\
            compilation terminated.\n  error: Command '['gcc', '-g']' returned non-zero exit status 1.\n  note: This error is not of pip\n\
            ERROR: Failed building wheel for bjoern\n";
        assert_eq!(
            reasons(output),
            "x.h:6:10: fatal error: ev.h: No such file or directory"
        );
        assert_eq!(reasons("all is well\n"), "");
    }

    #[test]
    fn name_of_an_environment_depends_on_packages_and_python() {
        let python = |identity: &str| Python {
            program: "python3".into(),
            identity: identity.into(),
        };
        let packages = |line: &str| Requirements::of_lines(&[line.to_owned()]).unwrap();
        let name = folder_name("mod wsgi/x", &packages("a==1"), &python("3.11.2 /usr"));
        assert!(name.starts_with("mod_wsgi_x-"), "{name}");
        assert_ne!(
            name,
            folder_name("mod wsgi/x", &packages("a==2"), &python("3.11.2 /usr"))
        );
        assert_ne!(
            name,
            folder_name("mod wsgi/x", &packages("a==1"), &python("3.11.3 /usr"))
        );
    }

    #[test]
    fn moved_environment_is_incomplete() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        fs::create_dir_all(here.join("bin")).unwrap();
        fs::write(here.join("bin/python"), "").unwrap();
        assert!(!is_complete(&here), "interrupted");
        fs::write(here.join(COMPLETE), here.as_os_str().as_encoded_bytes()).unwrap();
        assert!(is_complete(&here));
        fs::rename(&here, &there).unwrap();
        assert!(!is_complete(&there));
        fs::remove_file(there.join("bin/python")).unwrap();
        fs::rename(&there, &here).unwrap();
        assert!(!is_complete(&here), "its interpreter is gone");
    }
}
