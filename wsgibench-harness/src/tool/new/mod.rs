//! `wsgibench new`: creates a benchmark project.

mod name;
mod template;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use self::template::{FILES, Harness};
use super::{arguments::New, error::ToolError};

/// Writes the project and prints the next steps.
pub(super) fn run(options: &New) -> Result<ExitCode, ToolError> {
    let package = package_name(&options.name)?;
    let checkout = options.path.as_deref().map(checkout).transpose()?;
    let harness = match &checkout {
        Some(checkout) => Harness::Checkout(checkout),
        None => Harness::Published(env!("CARGO_PKG_VERSION")),
    };
    write(&options.name, &package, &harness)?;
    let folder = options.name.display();
    outln!("Created project {folder} with {} files.\n", FILES.len());
    outln!("    cd {folder}");
    outln!("    cargo bench -- --quick       # quick run: build the image, measure, write a report");
    outln!("    cargo bench                  # the measurement\n");
    outln!("Put your application into app/ and its packages into server/requirements.txt,");
    outln!("then declare in benches/server.rs how to start it and which requests to send.");
    Ok(ExitCode::SUCCESS)
}

fn package_name(folder: &Path) -> Result<String, ToolError> {
    let name = folder
        .file_name()
        .ok_or_else(|| ToolError::Usage(format!("`{}` has no name; try `wsgibench new demo`", folder.display())))?
        .to_string_lossy();
    name::check(&name).map_err(ToolError::Usage)?;
    Ok(name.into_owned())
}

/// Returns the absolute path of a checkout of wsgibench.
fn checkout(path: &Path) -> Result<PathBuf, ToolError> {
    let manifest = path.join("wsgibench-harness/Cargo.toml");
    if !manifest.is_file() {
        return Err(ToolError::Usage(format!(
            "{} is not a checkout of wsgibench: it has no {}",
            path.display(),
            manifest.display()
        )));
    }
    fs::canonicalize(path).map_err(ToolError::io("find", path))
}

/// Writes the project atomically: as a draft in the same folder, which is then renamed.
fn write(folder: &Path, package: &str, harness: &Harness<'_>) -> Result<(), ToolError> {
    refuse_unless_empty(folder)?;
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(ToolError::io("make", parent))?;
    let draft = tempfile::Builder::new()
        .prefix(".wsgibench-new-")
        .tempdir_in(parent)
        .map_err(ToolError::io("write into", parent))?;
    let project = draft.path().join("project");
    for (path, content) in FILES {
        let file = project.join(path);
        let inside = file.parent().unwrap_or(&project);
        fs::create_dir_all(inside).map_err(ToolError::io("make", inside))?;
        fs::write(&file, template::render(content, package, harness)).map_err(ToolError::io("write", &file))?;
    }
    // A folder can only be renamed onto an empty folder.
    fs::rename(&project, folder).map_err(ToolError::io("make", folder))
}

fn refuse_unless_empty(folder: &Path) -> Result<(), ToolError> {
    let metadata = match fs::symlink_metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ToolError::io("look at", folder)(error)),
    };
    let refuse = |what: &str| {
        Err(ToolError::Failed(format!(
            "{} {what}; nothing was written: choose another name, or move it",
            folder.display()
        )))
    };
    if !metadata.is_dir() {
        return refuse("already exists and is not a folder");
    }
    let mut entries = fs::read_dir(folder).map_err(ToolError::io("read", folder))?;
    match entries.next() {
        None => Ok(()),
        Some(entry) => {
            let first = entry.map_or_else(
                |_| "something".into(),
                |entry| entry.file_name().to_string_lossy().into_owned(),
            );
            refuse(&format!("is not empty (it holds `{first}`)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_project_is_written_without_a_draft() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("sub/demo");
        write(&project, "demo", &Harness::Published("0.1.0")).unwrap();
        for (path, _) in FILES {
            assert!(project.join(path).is_file(), "{path}");
        }
        let left: Vec<_> = fs::read_dir(folder.path().join("sub")).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn empty_folder_is_accepted_and_full_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("demo");
        fs::create_dir(&project).unwrap();
        write(&project, "demo", &Harness::Published("0.1.0")).unwrap();
        let error = write(&project, "demo", &Harness::Published("0.1.0")).unwrap_err();
        assert!(error.to_string().contains("is not empty"), "{error}");
        let file = folder.path().join("file");
        fs::write(&file, "mine").unwrap();
        let error = write(&file, "file", &Harness::Published("0.1.0")).unwrap_err();
        assert!(error.to_string().contains("is not a folder"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }

    #[test]
    fn checkout_is_validated() {
        let folder = tempfile::tempdir().unwrap();
        let error = checkout(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is not a checkout of wsgibench"), "{error}");
    }
}
