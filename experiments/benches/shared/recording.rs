//! The recording of a resumable experiment: a file with one JSON object per result.
//!
//! Recordings lie in `experiments/recordings`, so that an experiment of hours continues in another checkout or on another day.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};

/// Returns the file of an experiment: `given`, or the one of this name in `experiments/recordings`.
pub(crate) fn path(name: &str, given: Option<&PathBuf>) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    given.map_or_else(|| folder.join(name).with_extension("jsonl"), Clone::clone)
}

/// Reads the results so far; none if there is no file. A last line that a kill cut off is removed from the file.
///
/// # Errors
/// Returns an error if the file cannot be read or has a line that is no result.
pub(crate) fn read<T: DeserializeOwned>(recording: &Path) -> Result<Vec<T>> {
    let text = match fs::read_to_string(recording) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| recording.display().to_string()),
    };
    let complete = text.rfind('\n').map_or(0, |end| end + 1);
    if complete < text.len() {
        OpenOptions::new()
            .write(true)
            .open(recording)?
            .set_len(u64::try_from(complete)?)?;
    }
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| {
            format!(
                "{}, line {}: not a result of this experiment; delete the line",
                recording.display(),
                number + 1
            )
        })
    };
    text[..complete].lines().enumerate().map(parse).collect()
}

/// Appends a result in one write.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub(crate) fn append<T: Serialize>(recording: &Path, result: &T) -> Result<()> {
    if let Some(folder) = recording.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut text = serde_json::to_string(result)?;
    text.push('\n');
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(recording)
        .with_context(|| recording.display().to_string())?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_data()?)
}
