//! The base commit's bench and its declarations.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};

use super::{AgainstError, BuildInputs, Checkout, build};
use crate::{
    declare::{self, ServerSpec},
    load::Load,
    subprocess::{Metadata, Toolchain, last_lines, remove_local_variables},
};

/// Environment variable with the file to which a bench writes its declarations in place of running.
///
/// A file and not standard output, since a `#[server]` function may print.
pub const DECLARATIONS_VARIABLE: &str = "WSGIBENCH_WRITE_DECLARATIONS";

/// Environment variable with the crate in a checkout for which a bench writes declarations, if it was built elsewhere from the same
/// files.
pub const CHECKOUT_VARIABLE: &str = "WSGIBENCH_DECLARATIONS_OF";

/// The servers and cases of a bench, resolved for this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Declared {
    /// Version of the form, raised when it changes.
    pub version: u32,
    /// Folder of the crate in which the bench was built.
    pub manifest_dir: PathBuf,
    /// Servers.
    pub servers: Vec<ServerSpec>,
    /// Cases.
    pub cases: Vec<DeclaredCase>,
}

/// A case of the base.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeclaredCase {
    /// Id.
    pub id: String,
    /// Its server's name.
    pub server: String,
    /// Its load. For a scripted scenario, the load without its script: both arms run the working tree's script.
    pub load: Load,
}

impl Declared {
    /// The version that this harness writes and reads.
    pub const VERSION: u32 = 2;
}

/// A bench that can write its declarations.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Name of the bench target's crate.
    pub bench: &'a str,
    /// Cargo's target folder for builds of the base.
    pub target: &'a Path,
    /// Arguments that affect how servers are resolved.
    pub arguments: &'a [String],
    /// Environment variables of the command line that are not passed on.
    pub hidden: &'a [String],
}

/// The bench that writes the base's declarations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The running bench, started in the checkout: it was built from the same files.
    Running,
    /// A bench built from the commit, with the reason.
    Built(String),
}

/// Decides whether the commit's bench has to be built. It has to be if any file from which the running bench was built differs between the
/// commit and the working tree of the crate `manifest_dir`.
///
/// # Errors
/// If git cannot compare the two.
pub fn source(checkout: &Checkout, manifest_dir: &Path) -> Result<Source, AgainstError> {
    let workspace = Metadata::read(manifest_dir, Toolchain::Current).map(|metadata| metadata.workspace_root);
    let inputs = workspace.and_then(|workspace| {
        let executable = env::current_exe().map_err(|e| e.to_string())?;
        BuildInputs::read(&executable, &workspace, manifest_dir, &[&checkout.top])
    });
    let inputs = match inputs {
        Ok(inputs) => inputs,
        Err(unknown) => {
            return Ok(Source::Built(format!(
                "the inputs of the running bench are unknown: {unknown}"
            )));
        }
    };
    let changed = checkout.changed_files(&[])?;
    Ok(inputs
        .difference(&checkout.top, &checkout.root, &changed)
        .map_or(Source::Running, Source::Built))
}

/// Reads the declarations of the commit's bench. Adds remarks on its build to `notes`.
///
/// # Errors
/// If the commit lacks the crate or the bench, or if the bench fails to build, writes declarations in another version,
/// or declares folders of the working tree.
pub fn declarations(
    checkout: &Checkout,
    source: &Source,
    request: &Request<'_>,
    notes: &mut Vec<String>,
) -> Result<Declared, AgainstError> {
    let executable = match source {
        Source::Built(_) => build::build(checkout, request.bench, request.target, notes)?,
        Source::Running => env::current_exe().map_err(|source| AgainstError::Io {
            path: checkout.manifest_dir.clone(),
            source,
        })?,
    };
    let declared = ask(&executable, checkout, source, request)?;
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if real(&declared.manifest_dir) != real(&checkout.manifest_dir) {
        return Err(AgainstError::SameTree {
            what: format!(
                "the bench that cargo gave for {} was built in {}",
                checkout.reference,
                declared.manifest_dir.display()
            ),
            remedy: "delete target/wsgibench/against and try again",
        });
    }
    refuse_working_tree(&declared, checkout)?;
    Ok(declared)
}

/// Runs a bench in the checkout and reads the declarations that it writes.
fn ask(
    executable: &Path,
    checkout: &Checkout,
    source: &Source,
    request: &Request<'_>,
) -> Result<Declared, AgainstError> {
    let failed = |reason: String| AgainstError::Declarations {
        reference: checkout.reference.clone(),
        reason,
    };
    // A folder to which this run writes anyway: the folder for temporary files may be read-only.
    let file = fs::create_dir_all(request.target)
        .and_then(|()| tempfile::NamedTempFile::new_in(request.target))
        .map_err(|source| AgainstError::Io {
            path: request.target.to_owned(),
            source,
        })?;
    let mut command = Command::new(executable);
    command
        .arg("--bench")
        .args(request.arguments)
        .env(DECLARATIONS_VARIABLE, file.path())
        .env("CARGO_MANIFEST_DIR", &checkout.manifest_dir)
        .env_remove("CARGO_PKG_NAME")
        .current_dir(&checkout.manifest_dir)
        .stdin(std::process::Stdio::null());
    remove_local_variables(&mut command);
    for name in request.hidden {
        command.env_remove(name);
    }
    if *source == Source::Running {
        command.env(CHECKOUT_VARIABLE, &checkout.manifest_dir);
    }
    let output = command.output().map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        let printed = last_lines(&String::from_utf8_lossy(&output.stderr), 20);
        let block = if printed.is_empty() {
            String::new()
        } else {
            format!("; it printed:\n{printed}")
        };
        return Err(failed(format!("its bench ended with {}{block}", output.status)));
    }
    let written = fs::read(file.path()).map_err(|e| failed(e.to_string()))?;
    if written.is_empty() {
        return Err(failed("its bench wrote none".to_owned()));
    }
    // The version is checked first, since another version has another form.
    let value: serde_json::Value = serde_json::from_slice(&written).map_err(|e| failed(e.to_string()))?;
    if value["version"] != Declared::VERSION {
        return Err(failed(format!(
            "they have version {}, this harness reads {}",
            value["version"],
            Declared::VERSION
        )));
    }
    serde_json::from_value(value).map_err(|e| failed(e.to_string()))
}

/// Rejects folders of the working tree in the base's declarations, which would make both arms the same.
fn refuse_working_tree(declared: &Declared, checkout: &Checkout) -> Result<(), AgainstError> {
    for spec in &declared.servers {
        let found = folders(spec)
            .into_iter()
            .find(|folder| folder.starts_with(&checkout.top) && !folder.starts_with(&checkout.root));
        if let Some(folder) = found {
            return Err(AgainstError::SameTree {
                what: format!(
                    "server `{}` of {} is made from {}, a folder of the working tree",
                    spec.name,
                    checkout.reference,
                    folder.display()
                ),
                remedy: "declare folders relative to the crate",
            });
        }
    }
    Ok(())
}

/// Returns the folders from which a server and its companions are built.
#[must_use]
pub fn folders(spec: &ServerSpec) -> Vec<&Path> {
    let sources = std::iter::once(&spec.source).chain(spec.companions.iter().map(|companion| &companion.source));
    let folders = sources.filter_map(|source| match source {
        declare::Source::Folder(folder) => Some(folder.as_path()),
        _ => None,
    });
    folders.chain(spec.app.as_deref()).collect()
}
