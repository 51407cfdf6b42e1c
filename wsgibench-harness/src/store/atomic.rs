//! Atomic file writes.

use std::{fs, io, io::Write, path::Path};

use serde::Serialize;

use super::error::{StoreError, io_error};

/// Writes a value as indented JSON with [`write_atomically`].
///
/// # Errors
/// If the file cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|error| io_error("write", path)(error.into()))?;
    json.push(b'\n');
    write_atomically(path, &json).map_err(io_error("write", path))
}

/// Writes a temporary file in the same folder and renames it, so that readers never see a partial file.
///
/// # Errors
/// If the folder cannot be created or the file cannot be written; an existing file is then unchanged.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    // Temporary files are private to their owner; give the result the usual permissions.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}
