//! A virtual environment for each server, kept under the target folder for as long as its requirements stay the same.

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
    sandbox::{
        PrepareError, PreparedServer,
        context::SandboxContext,
        error::last_lines,
        owner::{Owner, VARIABLE},
        short_hash, versions,
    },
};

/// Written into an environment once it is whole.
const COMPLETE: &str = "wsgibench-complete";
/// The longest that the packages of one server may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Lines of pip's output that are shown.
const SHOWN_LINES: usize = 8;

/// A Python to make environments from.
#[derive(Clone, Debug)]
pub(super) struct Python {
    program: String,
    /// `3.11.2 /usr`: another one needs another environment.
    identity: String,
}

/// Finds a Python (`3.9`, or any).
pub(super) async fn python(wanted: Option<&str>) -> Result<Python, String> {
    let program = std::env::var("WSGIBENCH_PYTHON").unwrap_or_else(|_| "python3".into());
    let named = wanted.map(|version| format!("python{version}"));
    for program in std::iter::once(program).chain(named.clone()) {
        let script = "import sys, platform; print(platform.python_version(), sys.base_prefix)";
        let output = Command::new(&program)
            .args(["-c", script])
            .stdin(Stdio::null())
            .output()
            .await;
        let Ok(output) = output
            .map_err(|_| ())
            .and_then(|output| if output.status.success() { Ok(output) } else { Err(()) })
        else {
            continue;
        };
        let identity = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if wanted.is_none_or(|wanted| identity.starts_with(&format!("{wanted}."))) {
            return Ok(Python { program, identity });
        }
    }
    Err(match named {
        None => "there is no `python3` here; install Python, or name one with WSGIBENCH_PYTHON".into(),
        Some(named) => format!("it needs {named}, which is not here; install it, or use --sandbox docker"),
    })
}

/// Makes a server's environment, or finds it.
pub(super) async fn prepare(context: &SandboxContext, spec: &ServerSpec) -> Result<PreparedServer, PrepareError> {
    let unavailable = |text: &str| Err(PrepareError::NotAvailable(text.to_owned()));
    let requirements = match &spec.source {
        Source::Folder(folder) => requirements_of(folder).map_err(PrepareError::Failed)?,
        Source::Requirements(lines) => lines.join("\n"),
        Source::Image(_) | Source::Running(_) => return unavailable("it is an image: it needs the docker sandbox"),
    };
    if let Some(app) = spec.app.as_deref().filter(|app| !app.is_dir()) {
        return Err(PrepareError::Failed(format!(
            "`{}`: there is no application folder {}; Server::app names one relative to the crate",
            spec.name,
            app.display()
        )));
    }
    if spec.command.is_empty() {
        return unavailable("it has no command of its own but its image's: it needs the docker sandbox");
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
    let path = context.folder("venvs").join(folder_name(&name, &requirements, &python));
    // Two runs at once must not make the same environment; the one that comes later finds it made.
    let lock = lock(&path)
        .await
        .map_err(|error| PrepareError::Failed(format!("{}: {error}", path.display())))?;
    if !path.join(COMPLETE).is_file() {
        context.say(&spec.name, "makes its virtual environment");
        make(&path, &requirements, &python)
            .await
            .map_err(PrepareError::NotAvailable)?;
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
    })
}

/// The requirements of an image's folder; none where it has no such file.
fn requirements_of(folder: &Path) -> Result<String, String> {
    if !folder.is_dir() {
        return Err(format!(
            "there is no folder {}; Server::dockerfile names one relative to the crate",
            folder.display()
        ));
    }
    let file = folder.join("requirements.txt");
    match fs::read_to_string(&file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// Lines that ask for something.
fn asks_for_packages(requirements: &str) -> bool {
    requirements
        .lines()
        .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
}

fn folder_name(name: &str, requirements: &str, python: &Python) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(requirements.as_bytes());
    hash.update(python.identity.as_bytes());
    hash.update(std::env::consts::ARCH.as_bytes());
    let hash = short_hash(hash);
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .collect();
    format!("{name}-{hash}")
}

async fn lock(path: &Path) -> std::io::Result<fs::File> {
    let file = path.with_extension("lock");
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = fs::File::create(file)?;
    loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn make(path: &Path, requirements: &str, python: &Python) -> Result<(), String> {
    let io = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.exists() {
        // One that was broken off.
        fs::remove_dir_all(path).map_err(io)?;
    }
    let log = path.with_extension("log");
    let output = fs::File::create(&log).map_err(io)?;
    let packages = asks_for_packages(requirements);
    let mut make = Command::new(&python.program);
    make.args(["-m", "venv"])
        .args((!packages).then_some("--without-pip"))
        .arg(path);
    run(make, &output)
        .await
        .map_err(|why| tell("python3 -m venv", &why, &log))?;
    if packages {
        let file = path.join("requirements.txt");
        fs::write(&file, requirements).map_err(io)?;
        let mut install = Command::new(path.join("bin/python"));
        install
            .args([
                "-m",
                "pip",
                "install",
                "--no-input",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(&file);
        // Set, it would replace Python's own flags, -DNDEBUG among them: assertions would be measured.
        install.env_remove("CFLAGS");
        run(install, &output).await.map_err(|why| tell("pip", &why, &log))?;
    }
    fs::write(path.join(COMPLETE), "").map_err(io)
}

/// Runs to the end, in a process group that does not outlive this call.
async fn run(mut command: Command, output: &fs::File) -> Result<(), String> {
    let clone = || output.try_clone().map_err(|error| error.to_string());
    command.stdin(Stdio::null()).stdout(clone()?).stderr(clone()?);
    command.env(VARIABLE, Owner::this().to_string());
    #[cfg(unix)]
    command.process_group(0);
    command.kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| format!("could not be started: {error}"))?;
    let _group = child.id().map(crate::sandbox::group::Group::new);
    match tokio::time::timeout(PATIENCE, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("failed ({status})")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("was not done after {} s", PATIENCE.as_secs())),
    }
}

fn tell(what: &str, why: &str, log: &Path) -> String {
    let output = fs::read(log).unwrap_or_default();
    let reasons = reasons(&String::from_utf8_lossy(&output));
    let said = if reasons.is_empty() {
        last_lines(&output, SHOWN_LINES)
    } else {
        last_lines(reasons.as_bytes(), SHOWN_LINES)
    };
    format!("{what} {why} (all of it in {}):\n{said}", log.display())
}

/// The lines of an output that tell why: pip wraps a compiler's error in pages of its own.
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
    let output = Command::new(path.join("bin/python"))
        .args(["-c", versions::SCRIPT])
        .stdin(Stdio::null())
        .output()
        .await;
    output
        .map(|output| versions::parse(&String::from_utf8_lossy(&output.stdout)))
        .unwrap_or_default()
}

/// `PATH` with an environment's programs first.
pub(super) fn search_path(environment: &Path) -> String {
    let mut path = environment.join("bin").display().to_string();
    if let Ok(rest) = std::env::var("PATH") {
        path.push(':');
        path.push_str(&rest);
    }
    path
}

/// Folders that Python looks in for a server's modules: its launchers, and the application.
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
    fn comments_ask_for_nothing() {
        assert!(!asks_for_packages("# wsgiref is part of Python\n\n  # nothing\n"));
        assert!(asks_for_packages("# pinned\ngunicorn==27.0.1\n"));
    }

    #[test]
    fn the_reason_is_found_in_pips_pages() {
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
    fn an_environment_is_told_by_what_makes_it() {
        let python = |identity: &str| Python {
            program: "python3".into(),
            identity: identity.into(),
        };
        let name = folder_name("mod wsgi/x", "a==1", &python("3.11.2 /usr"));
        assert!(name.starts_with("mod_wsgi_x-"), "{name}");
        assert_ne!(name, folder_name("mod wsgi/x", "a==2", &python("3.11.2 /usr")));
        assert_ne!(name, folder_name("mod wsgi/x", "a==1", &python("3.11.3 /usr")));
    }
}
