//! Base images from Debian packages, for machines without access to an image registry.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use testcontainers::bollard::{body_try_stream, query_parameters::CreateImageOptionsBuilder};
use tokio::{
    io::AsyncReadExt,
    process::{ChildStdout, Command},
    sync::Mutex,
};

use super::host;
use crate::sandbox::{
    docker::engine::{Engine, reason},
    error::last_lines,
    group,
    temp::TempFolder,
};

/// Time limit of a step.
const STEP_TIMEOUT: Duration = Duration::from_secs(900);
/// Held while debootstrap is installed: base images of two releases may be made concurrently, and apt has one lock.
static INSTALLATION: Mutex<()> = Mutex::const_new(());
/// Folders of administrative programs, which are not on every user's `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Documentation and caches that an image does not need.
const UNNEEDED: [&str; 6] = [
    "var/cache/apt/archives",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/lib/apt/lists",
];
/// Files specific to this machine or to the installation.
const MACHINE_FILES: [&str; 6] = [
    "etc/resolv.conf",
    "etc/hostname",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
];

/// Makes the image `reference` (`name:tag`) of a Debian release.
///
/// # Errors
/// A sentence with the remedy.
pub(super) async fn make(
    engine: &Engine,
    temporary: &Path,
    release: &str,
    reference: &str,
    progress: impl Fn(&str),
) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err(
            "making one with debootstrap is supported on Linux only; name an image with WSGIBENCH_BASE_IMAGE".into(),
        );
    }
    if !rustix::process::geteuid().is_root() {
        return Err(
            "debootstrap can make one (`apt-get install debootstrap`), but that needs root: run this once as root, or name an image \
             with WSGIBENCH_BASE_IMAGE"
                .into(),
        );
    }
    let installing = INSTALLATION.lock().await;
    if find("debootstrap").is_none() {
        progress("installing debootstrap with apt");
        run(&["apt-get", "update"]).await?;
        run(&[
            "apt-get",
            "install",
            "--yes",
            "--no-install-recommends",
            "debootstrap",
            "debian-archive-keyring",
        ])
        .await?;
    }
    drop(installing);
    let folder = TempFolder::create(temporary, "base").map_err(|error| format!("temporary folder: {error}"))?;
    let root = folder.root();
    progress(&format!(
        "making {reference} from Debian {release} with debootstrap: about a minute"
    ));
    let root_text = root.display().to_string();
    let mirror = host::mirror(&read("/etc/os-release"), &apt_sources());
    let mut words = vec![
        "debootstrap",
        "--variant=minbase",
        "--include=ca-certificates,python3,python3-venv",
        release,
        &root_text,
    ];
    words.extend(mirror.as_deref());
    run(&words).await?;
    configure(&root).await?;
    progress(&format!("imports {reference}"));
    import(engine, &root, reference).await?;
    // Half a gigabyte of small files: not on the runtime's own thread.
    let _ = tokio::task::spawn_blocking(move || drop(folder)).await;
    Ok(())
}

/// Copies this machine's certificates and package sources into the root, and removes files that an image does not need.
async fn configure(root: &Path) -> Result<(), String> {
    let io = |error: io::Error| format!("the new root: {error}");
    let own = root.join("usr/local/share/ca-certificates");
    fs::create_dir_all(&own).map_err(io)?;
    for file in fs::read_dir("/usr/local/share/ca-certificates")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
    {
        if file.path().extension().is_some_and(|extension| extension == "crt") {
            fs::copy(file.path(), own.join(file.file_name())).map_err(io)?;
        }
    }
    // Both are needed: the single files survive an update of the bundle, and the bundle has certificates that are in no single file.
    run(&["chroot", &root.display().to_string(), "update-ca-certificates"]).await?;
    if let Some(bundle) = bundle() {
        fs::copy(bundle, root.join(host::BUNDLE.trim_start_matches('/'))).map_err(io)?;
    }
    let put = |path: &str, text: &str| fs::write(root.join(path), text).map_err(io);
    put(
        "etc/apt/apt.conf.d/99host",
        &host::apt_configuration(&output(&["apt-config", "dump"]).await),
    )?;
    put(
        "etc/pip.conf",
        &host::pip_configuration(&output(&["python3", "-m", "pip", "config", "list"]).await),
    )?;
    // Installing a server's package must not start the server; the official images have the same file.
    put("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(root.join("usr/sbin/policy-rc.d"), executable).map_err(io)?;
    }
    put("etc/machine-id", "")?;
    for folder in UNNEEDED {
        for entry in fs::read_dir(root.join(folder))
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
        {
            let path = entry.path();
            let _ = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
        }
    }
    for file in MACHINE_FILES {
        let _ = fs::remove_file(root.join(file));
    }
    Ok(())
}

/// Imports the root into the engine as an image.
async fn import(engine: &Engine, root: &Path, reference: &str) -> Result<(), String> {
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(root).args([
        "--numeric-owner",
        "--one-file-system",
        "--sort=name",
        "--mtime=@0",
        "-c",
        ".",
    ]);
    tar.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut tar = tar.spawn().map_err(|error| format!("tar: {error}"))?;
    let bytes = tar.stdout.take().ok_or("tar has no output")?;
    // An imported image has no environment variables. The API accepts a single instruction, so all variables are set by one `ENV`.
    let environment = format!("ENV PATH={PATH} LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive");
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        // With its tag: Podman ignores a tag of its own for imports.
        .repo(reference)
        .changes(vec![environment])
        .build();
    let mut messages = engine
        .api
        .create_image(Some(options), Some(body_try_stream(pieces(bytes))), None);
    while let Some(message) = messages.next().await {
        message.map_err(|error| format!("the engine failed to import {reference}: {}", reason(&error)))?;
    }
    let status = tar.wait().await.map_err(|error| format!("tar: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("tar failed ({status}): {reference} is incomplete"))
    }
}

fn pieces(output: ChildStdout) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(output, |mut output| async move {
        let mut piece = vec![0; 256 * 1024];
        match output.read(&mut piece).await {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(Bytes::from(piece)), output))
            }
            Err(error) => Some((Err(error), output)),
        }
    })
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .env("PATH", PATH)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C");
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end in a process group that is killed with this call.
async fn run(words: &[&str]) -> Result<(), String> {
    let failure = |why: String| format!("`{}` {why}", words[..words.len().min(3)].join(" "));
    let mut command = command(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = group::run(&mut command, STEP_TIMEOUT)
        .await
        .map_err(|error| failure(format!("failed: {error}")))?;
    let output = output.ok_or_else(|| failure(format!("timed out after {} s", STEP_TIMEOUT.as_secs())))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(failure(format!(
        "failed ({}):\n{}",
        output.status,
        last_lines(&printed, 10)
    )))
}

/// Returns a program's output, empty if the program is not installed.
async fn output(words: &[&str]) -> String {
    let mut command = Command::new(words[0]);
    let output = command.args(&words[1..]).stdin(Stdio::null()).output().await;
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

fn find(program: &str) -> Option<PathBuf> {
    PATH.split(':')
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn apt_sources() -> Vec<String> {
    let folder = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let files = folder.map(|file| file.path()).filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "list" || extension == "sources")
    });
    std::iter::once(PathBuf::from("/etc/apt/sources.list"))
        .chain(files)
        .map(read)
        .collect()
}

/// Returns this machine's certificates in one file.
fn bundle() -> Option<PathBuf> {
    let named = ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "PIP_CERT"]
        .into_iter()
        .filter_map(std::env::var_os);
    let usual = [
        host::BUNDLE,
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
    ];
    named
        .map(PathBuf::from)
        .chain(usual.map(PathBuf::from))
        .find(|path| path.is_file())
}
