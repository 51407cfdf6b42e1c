//! `wsgibench export`: exports a stored run in another format.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use super::{arguments::Export, error::ToolError};
use crate::{
    report::export::{render, write},
    store::Store,
};

/// Writes the export to a file or to standard output.
pub(super) fn run(options: &Export, store: &Store) -> Result<ExitCode, ToolError> {
    options
        .format
        .check_built()
        .map_err(|error| ToolError::Usage(error.to_string()))?;
    let run = store.read(&options.run)?;
    let failed = |error: crate::report::export::ExportError| ToolError::Failed(error.to_string());
    if options.path == Path::new("-") && !options.format.is_folder() {
        let bytes = render(options.format, &run).map_err(failed)?;
        // A closed reader such as `head` is not a failure.
        return match io::stdout().write_all(&bytes) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(ToolError::io("write", "standard output")(error))
            }
            _ => Ok(ExitCode::SUCCESS),
        };
    }
    write(options.format, &run, &options.path).map_err(failed)?;
    outln!("{} of {} is in {}", options.format, run.id, options.path.display());
    Ok(ExitCode::SUCCESS)
}
