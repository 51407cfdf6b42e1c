//! Cargo's target folder of the current project.

use std::path::{Path, PathBuf};

use super::error::ToolError;
use crate::subprocess;

/// Returns the folder for a command on these runs. If all of them are named by path, the command needs no project: outside of one, the
/// folder is `target`, which then is not read.
pub(super) fn folder_for_runs(named: Option<&Path>, runs: &[&str]) -> Result<PathBuf, ToolError> {
    let by_path = !runs.is_empty() && runs.iter().all(|run| Path::new(run).exists());
    folder(named).or_else(|error| if by_path { Ok("target".into()) } else { Err(error) })
}

/// Returns the given folder, else Cargo's, else `target` in the current folder.
pub(super) fn folder(named: Option<&Path>) -> Result<PathBuf, ToolError> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    if let Some(folder) = subprocess::target_of_project(&std::env::current_dir().unwrap_or_default()) {
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
