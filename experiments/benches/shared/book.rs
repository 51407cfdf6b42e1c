//! Results of a resumable experiment: a file with one JSON object a line.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};

/// Reads the results so far; none if there is no file.
///
/// # Errors
/// Returns an error if the file cannot be read or has a line that is no result.
pub(crate) fn read<T: DeserializeOwned>(book: &Path) -> Result<Vec<T>> {
    if !book.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(book).with_context(|| book.display().to_string())?;
    // The last line of a killed run may be cut.
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines
        .map(|line| serde_json::from_str(line).with_context(|| book.display().to_string()))
        .collect()
}

/// Appends a result in one write.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub(crate) fn append<T: Serialize>(book: &Path, result: &T) -> Result<()> {
    if let Some(folder) = book.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut text = serde_json::to_string(result)?;
    text.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).open(book)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_data()?)
}
