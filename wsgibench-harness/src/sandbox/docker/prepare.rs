//! Images of a server and its companions: built, found or pulled.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Mutex as AsyncMutex;

use super::{
    DockerSandbox,
    build::{self, Build},
    context_files::ContextFiles,
    dockerignore::Ignore,
    image_prune, versions,
};
use crate::{
    declare::{ServerSpec, Source},
    sandbox::{PrepareError, PreparedServer, requirements::Requirements},
};

/// Repository prefix of the images built here.
pub(super) const REPOSITORY: &str = "wsgibench";
/// Label of a built image: the folder or server for which it was built.
pub(crate) const IMAGE_LABEL: &str = "wsgibench.image";

/// Tags in use by this run, each with the lock of its build. They are never pruned.
#[derive(Debug, Default)]
pub(super) struct Tags(Mutex<HashMap<String, Arc<AsyncMutex<()>>>>);

impl Tags {
    /// Adds a tag; returns the lock that keeps servers that share a folder from building the same image concurrently.
    fn add(&self, tag: &str) -> Arc<AsyncMutex<()>> {
        let mut tags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tags.entry(tag.to_owned()).or_default())
    }

    pub(super) fn all(&self) -> Vec<String> {
        let tags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tags.keys().cloned().collect()
    }
}

/// Inputs of an image.
struct Recipe<'a> {
    /// Subject of errors and progress messages.
    name: &'a str,
    source: &'a Source,
    app: Option<&'a Path>,
    python: Option<&'a str>,
}

pub(super) async fn prepare(sandbox: &DockerSandbox, spec: &ServerSpec) -> Result<PreparedServer, PrepareError> {
    let recipe = Recipe {
        name: &spec.name,
        source: &spec.source,
        app: spec.app.as_deref(),
        python: spec.python.as_deref(),
    };
    let image = image(sandbox, &recipe).await?;
    let mut companions = Vec::new();
    for companion in &spec.companions {
        let recipe = Recipe {
            name: &companion.name,
            source: &companion.source,
            app: None,
            python: None,
        };
        companions.push(self::image(sandbox, &recipe).await.map_err(|error| {
            let of = |text| format!("companion `{}`: {text}", companion.name);
            match error {
                PrepareError::NotAvailable(text) => PrepareError::NotAvailable(of(text)),
                PrepareError::Failed(text) => PrepareError::Failed(of(text)),
            }
        })?);
    }
    let inspected =
        sandbox.engine.api.inspect_image(&image).await.map_err(|error| {
            PrepareError::Failed(format!("image {image} not found: {}", super::engine::reason(&error)))
        })?;
    let versions = match &inspected.id {
        Some(id) => versions::of_image(sandbox, &image, id).await,
        None => BTreeMap::new(),
    };
    Ok(PreparedServer {
        spec: spec.clone(),
        image,
        digest: inspected.id,
        bytes: inspected.size.and_then(|size| u64::try_from(size).ok()),
        versions,
        companions,
        environment: None,
        instrument: None,
    })
}

async fn image(sandbox: &DockerSandbox, recipe: &Recipe<'_>) -> Result<String, PrepareError> {
    let failed = |text: String| PrepareError::Failed(format!("`{}`: {text}", recipe.name));
    match recipe.source {
        Source::Image(reference) => {
            sandbox
                .bases
                .pulls()
                .find_or_pull(reference)
                .await
                .map_err(PrepareError::NotAvailable)?;
            Ok(reference.clone())
        }
        Source::Running(address) => Err(failed(format!(
            "{address} is an external server, which is not supported as a companion"
        ))),
        Source::Folder(folder) => {
            let files = folder_context(folder, recipe.app).map_err(failed)?;
            let repository = folder
                .file_name()
                .map_or(recipe.name.into(), std::ffi::OsStr::to_string_lossy);
            built(sandbox, recipe, &repository, files).await
        }
        Source::Requirements(lines) => {
            let files = requirements_context(lines, recipe.app).map_err(failed)?;
            built(sandbox, recipe, recipe.name, files).await
        }
    }
}

/// Returns the image of a context, built unless one with the same content exists.
async fn built(
    sandbox: &DockerSandbox,
    recipe: &Recipe<'_>,
    name: &str,
    files: ContextFiles,
) -> Result<String, PrepareError> {
    let base = sandbox
        .bases
        .get(recipe.python)
        .await
        .map_err(PrepareError::NotAvailable)?;
    // One repository for each Python, or the images of one would push those of another out of the newest that are kept.
    let name = match recipe.python {
        Some(python) => repository_name(&format!("{name}-python{python}")),
        None => repository_name(name),
    };
    let repository = format!("{REPOSITORY}/{name}");
    let tag = format!("{repository}:{}", files.hash(&[&base.id]));
    let build_lock = sandbox.tags.add(&tag);
    let _building = build_lock.lock().await;
    if sandbox.engine.api.inspect_image(&tag).await.is_ok() {
        return Ok(tag);
    }
    sandbox.context.report_progress(
        recipe.name,
        &format!("building its image {tag} from {}", base.reference),
    );
    let failed = |text: String| PrepareError::Failed(format!("failed to build the image of `{}`: {text}", recipe.name));
    let build = Build {
        tag: &tag,
        base: &base.reference,
        context: files.tar().map_err(|error| failed(error.to_string()))?,
        labels: HashMap::from([(IMAGE_LABEL.to_owned(), name.clone())]),
        log: sandbox
            .context
            .options
            .run_dir
            .join("logs")
            .join(format!("build-{name}.log")),
    };
    build::build(&sandbox.engine, build, |step| {
        sandbox.context.report_progress(recipe.name, step);
    })
    .await
    .map_err(failed)?;
    image_prune::remove_unused(&sandbox.engine, &repository, &sandbox.tags.all()).await;
    Ok(tag)
}

/// Returns the context of a folder with a Dockerfile and the application.
fn folder_context(folder: &Path, app: Option<&Path>) -> Result<ContextFiles, String> {
    if !folder.is_dir() {
        return Err(format!(
            "folder {} not found; Server::dockerfile takes a path relative to the crate",
            folder.display()
        ));
    }
    let mut files = ContextFiles::default();
    files.add_folder(folder, "")?;
    if !files.contains("Dockerfile") {
        return Err(format!(
            "{} has no Dockerfile; write one, or use Server::python",
            folder.display()
        ));
    }
    add_app(&mut files, app, folder)?;
    // The application is part of the context to which this file applies.
    files.exclude(&Ignore::of_folder(folder)?);
    if app.is_some() && !files.has_folder("app") {
        return Err(format!(
            "the .dockerignore of {} excludes the whole application; add the line `!app`",
            folder.display()
        ));
    }
    Ok(files)
}

/// Returns the context of a generated Dockerfile for requirement lines.
fn requirements_context(lines: &[String], app: Option<&Path>) -> Result<ContextFiles, String> {
    Requirements::of_lines(lines)?;
    let mut files = ContextFiles::default();
    let copy = if app.is_some() {
        "COPY app /app\n"
    } else {
        "RUN mkdir /app\n"
    };
    files.add(
        "Dockerfile",
        format!(
            "ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\n\
             ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONHASHSEED=0\n\
             RUN python3 -m venv /opt/venv\n\
             COPY requirements.txt /opt/\n\
             RUN pip install --no-cache-dir -r /opt/requirements.txt\n\
             {copy}WORKDIR /app\nUSER 65534:65534\n"
        ),
    );
    files.add("requirements.txt", lines.join("\n") + "\n");
    add_app(&mut files, app, Path::new("the generated context"))?;
    Ok(files)
}

fn add_app(files: &mut ContextFiles, app: Option<&Path>, folder: &Path) -> Result<(), String> {
    let Some(app) = app else { return Ok(()) };
    if !app.is_dir() {
        return Err(format!(
            "application folder {} not found; Server::app takes a path relative to the crate",
            app.display()
        ));
    }
    if files.has_folder("app") {
        return Err(format!(
            "{} has a folder `app`, which conflicts with Server::app; rename it",
            folder.display()
        ));
    }
    files.add_folder(app, "app/")
}

/// Converts a name to one that is valid in a repository.
fn repository_name(name: &str) -> String {
    let name: String = name
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .collect();
    let name = name
        .split('-')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-");
    if name.is_empty() { "server".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_converted_to_valid_repository_names() {
        assert_eq!(repository_name("mod_wsgi"), "mod-wsgi");
        assert_eq!(repository_name("--A..B--"), "a-b");
        assert_eq!(repository_name("é"), "server");
    }

    #[test]
    fn invalid_server_folders_are_reported_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = folder_context(&folder.path().join("none"), None).unwrap_err();
        assert!(
            error.contains("not found; Server::dockerfile") && error.contains("none"),
            "{error}"
        );
        let error = folder_context(folder.path(), None).unwrap_err();
        assert!(error.contains("has no Dockerfile"), "{error}");
        std::fs::write(folder.path().join("Dockerfile"), "FROM x").unwrap();
        let error = folder_context(folder.path(), Some(&folder.path().join("app"))).unwrap_err();
        assert!(error.contains("application folder"), "{error}");
        std::fs::create_dir(folder.path().join("app")).unwrap();
        std::fs::write(folder.path().join("app/a.py"), "").unwrap();
        let error = folder_context(folder.path(), Some(&folder.path().join("app"))).unwrap_err();
        assert!(error.contains("conflicts with Server::app"), "{error}");
    }
}
