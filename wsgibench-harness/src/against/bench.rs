//! What that commit's own bench declares.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

use super::{AgainstError, Checkout};
use crate::{declare::ServerSpec, load::Load};

/// Asks a bench for its declarations instead of running it.
pub const DECLARATIONS_VARIABLE: &str = "WSGIBENCH_TELL_DECLARATIONS";

/// What a bench declares, resolved for this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Declared {
    /// Raised when the form changes.
    pub version: u32,
    /// Servers.
    pub servers: Vec<ServerSpec>,
    /// Cases whose load is a value, by id.
    pub cases: Vec<DeclaredCase>,
}

/// A case of the other arm.
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
    pub const VERSION: u32 = 1;
}

/// Builds the bench `name` of the commit and asks it, with `arguments` that bear on how servers are resolved.
///
/// # Errors
/// When it does not build, or does not answer in a form that this harness reads.
pub fn declarations(
    checkout: &Checkout,
    name: &str,
    target: &std::path::Path,
    arguments: &[String],
) -> Result<Declared, AgainstError> {
    let executable = build(checkout, name, target)?;
    let reason = |reason: String| AgainstError::Declarations {
        reference: checkout.reference.clone(),
        reason,
    };
    let output = Command::new(executable)
        .arg("--bench")
        .args(arguments)
        .env(DECLARATIONS_VARIABLE, "1")
        .current_dir(&checkout.manifest_dir)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| reason(e.to_string()))?;
    if !output.status.success() {
        return Err(reason(format!(
            "it ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    let declared: Declared = serde_json::from_slice(&output.stdout).map_err(|e| reason(e.to_string()))?;
    if declared.version != Declared::VERSION {
        return Err(reason(format!(
            "it speaks version {}, this harness {}",
            declared.version,
            Declared::VERSION
        )));
    }
    Ok(declared)
}

fn build(checkout: &Checkout, name: &str, target: &std::path::Path) -> Result<PathBuf, AgainstError> {
    let failed = |output: String| AgainstError::Build {
        reference: checkout.reference.clone(),
        output,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "bench",
            "--no-run",
            "--message-format=json-render-diagnostics",
            "--bench",
            // What is known of it is its crate's name, which has underscores where the target may have hyphens.
            &name.replace('_', "[-_]"),
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(&checkout.manifest_dir)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(last_lines(&String::from_utf8_lossy(&output.stderr), 30)));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && is_target(message, name))
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| failed(format!("there is no bench target `{name}` at that commit")))
}

fn is_target(message: &serde_json::Value, crate_name: &str) -> bool {
    let target = message["target"]["name"].as_str();
    target.is_some_and(|target| target.replace('-', "_") == crate_name)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
