//! Cargo's target folder of the project that the command is called in.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::error::ToolError;

/// The folder that was named, or Cargo's, or `target` here.
pub(super) fn folder(named: Option<&Path>) -> Result<PathBuf, ToolError> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    if let Some(folder) = of_project() {
        return Ok(folder);
    }
    let here = PathBuf::from("target");
    if here.join("wsgibench").is_dir() {
        return Ok(here);
    }
    Err(ToolError::Usage(
        "there is no Cargo project here, and no target/wsgibench; go to the project's folder, or name its target folder with \
         --target-dir"
            .into(),
    ))
}

/// What Cargo says, which knows its configuration.
fn of_project() -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    metadata["target_directory"].as_str().map(PathBuf::from)
}
