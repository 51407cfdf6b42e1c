//! Whole files or none.

use std::{fs, io, io::Write, path::Path};

use serde::Serialize;

use super::error::{StoreError, io_error};

/// Writes a value as JSON, for people to read too: see [`write_atomically`].
///
/// # Errors
/// When the disk says no.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|error| io_error("write", path)(error.into()))?;
    json.push(b'\n');
    write_atomically(path, &json).map_err(io_error("write", path))
}

/// Writes a file under a temporary name in the same folder and renames it, so that no reader ever sees half of it.
///
/// # Errors
/// When the folder cannot be made or the file not written (no disk, no permission); the old file is untouched then.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    // A temporary file is private to its owner; a result is as readable as any other file of the target folder.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}
