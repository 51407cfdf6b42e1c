//! The base commit's bench and its declarations.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};

use super::{AgainstError, Checkout, build};
use crate::{
    declare::{ServerSpec, Source},
    load::Load,
};

/// Asks a bench for its declarations instead of running it: names the file to which it writes them.
///
/// A file, since a `#[server]` function may print.
pub const DECLARATIONS_VARIABLE: &str = "WSGIBENCH_WRITE_DECLARATIONS";

/// The servers and cases of a bench, resolved for this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Declared {
    /// Raised when the form changes.
    pub version: u32,
    /// The crate that the bench was built in.
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
    /// Its load. Of a scripted scenario: the load without its script, which is the working tree's in both arms.
    pub load: Load,
}

impl Declared {
    /// Version of the form that this harness writes and reads.
    pub const VERSION: u32 = 2;
}

/// A bench to ask.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Name of the bench target's crate.
    pub bench: &'a str,
    /// Cargo's target folder for builds of the base.
    pub target: &'a Path,
    /// Arguments that decide how servers are resolved.
    pub arguments: &'a [String],
    /// Variables of the command line that are not passed on.
    pub hidden: &'a [String],
}

/// Builds the bench of the commit and asks it for its declarations. What a reader should know of the build is added to `notes`.
///
/// # Errors
/// When the commit lacks the crate or the bench, when the bench does not build, does not answer in a form that this harness
/// reads, or declares folders of the working tree.
pub fn declarations(
    checkout: &Checkout,
    request: &Request<'_>,
    notes: &mut Vec<String>,
) -> Result<Declared, AgainstError> {
    let executable = build::build(checkout, request.bench, request.target, notes)?;
    let declared = ask(&executable, checkout, request)?;
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
fn ask(executable: &Path, checkout: &Checkout, request: &Request<'_>) -> Result<Declared, AgainstError> {
    let failed = |reason: String| AgainstError::Declarations {
        reference: checkout.reference.clone(),
        reason,
    };
    let file = tempfile::NamedTempFile::new().map_err(|source| AgainstError::Io {
        path: env::temp_dir(),
        source,
    })?;
    let mut command = Command::new(executable);
    command
        .arg("--bench")
        .args(request.arguments)
        .env(DECLARATIONS_VARIABLE, file.path())
        .env("CARGO_MANIFEST_DIR", &checkout.manifest_dir)
        .current_dir(&checkout.manifest_dir)
        .stdin(std::process::Stdio::null());
    for name in request.hidden {
        command.env_remove(name);
    }
    let output = command.output().map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        let printed = last_lines(&String::from_utf8_lossy(&output.stderr), 20);
        return Err(failed(format!("its bench ended with {}:\n{printed}", output.status)));
    }
    let written = fs::read(file.path()).map_err(|e| failed(e.to_string()))?;
    if written.is_empty() {
        return Err(failed("its bench wrote none".to_owned()));
    }
    // The version first: another one has another form.
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

/// A folder of the working tree in the base's declarations would make both arms the same.
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

/// The folders that a server and its companions are made from.
#[must_use]
pub fn folders(spec: &ServerSpec) -> Vec<&Path> {
    let sources = std::iter::once(&spec.source).chain(spec.companions.iter().map(|companion| &companion.source));
    let folders = sources.filter_map(|source| match source {
        Source::Folder(folder) => Some(folder.as_path()),
        _ => None,
    });
    folders.chain(spec.app.as_deref()).collect()
}

pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
