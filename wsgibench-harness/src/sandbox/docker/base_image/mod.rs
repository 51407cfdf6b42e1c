//! Base image of the servers: `WSGIBENCH_BASE_IMAGE`, else a local image, else a pulled one, else one made with debootstrap.

mod choice;
mod debootstrap;
mod host;

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{Mutex, OnceCell};

pub(crate) use self::choice::BASE_REPOSITORY;
use self::choice::Wanted;
use super::{engine::Engine, pull::Pulls};
use crate::sandbox::context::SandboxContext;

/// A base image in the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// Name to build from.
    pub(super) reference: String,
    /// Its id: the hash of its content.
    pub(super) id: String,
}

/// Returns the image names to try where any Python will do: `WSGIBENCH_BASE_IMAGE`, or the official image and the one made here.
pub(crate) fn looked_for() -> Vec<String> {
    let Ok(wanted) = Wanted::new(None) else {
        return Vec::new();
    };
    crate::variables::text(&wanted.variable).map_or_else(|| vec![wanted.official, wanted.own], |named| vec![named])
}

/// The result of a search that runs once.
type Found = OnceCell<Result<Base, String>>;

/// A finder of base images that searches once a run for each Python version.
pub(super) struct BaseImages {
    engine: Engine,
    context: Arc<SandboxContext>,
    pulls: Pulls,
    /// The image, or why none was found, by requested Python.
    known: Mutex<BTreeMap<Option<String>, Arc<Found>>>,
}

impl BaseImages {
    pub(super) fn new(engine: Engine, context: Arc<SandboxContext>) -> Self {
        Self {
            pulls: Pulls::new(engine.clone()),
            engine,
            context,
            known: Mutex::default(),
        }
    }

    pub(super) fn pulls(&self) -> &Pulls {
        &self.pulls
    }

    /// Returns the base image for a Python (`3.9`), or for any version.
    pub(super) async fn get(&self, python: Option<&str>) -> Result<Base, String> {
        let cell = Arc::clone(self.known.lock().await.entry(python.map(str::to_owned)).or_default());
        cell.get_or_init(|| self.find(python)).await.clone()
    }

    async fn find(&self, python: Option<&str>) -> Result<Base, String> {
        let wanted = Wanted::new(python)?;
        let progress = |line: &str| self.context.report_progress("base image", line);
        if let Some(reference) = crate::variables::text(&wanted.variable) {
            self.pulls
                .find_or_pull(&reference)
                .await
                .map_err(|why| format!("{} names it, but {why}", wanted.variable))?;
            progress(&format!("{reference}, as {} says", wanted.variable));
            return self.base(&reference).await;
        }
        for reference in [&wanted.official, &wanted.own] {
            if let Ok(base) = self.base(reference).await {
                progress(&format!("{reference}, a local image"));
                return Ok(base);
            }
        }
        progress(&format!("no local image; pulling {}", wanted.official));
        match self.pulls.pull(&wanted.official).await {
            Ok(()) => {
                progress(&format!("{}, pulled", wanted.official));
                self.base(&wanted.official).await
            }
            Err(why) => {
                progress(&why);
                let Some(release) = wanted.release else {
                    return Err(format!(
                        "{why}; Debian has no release with this Python: name an image with {}",
                        wanted.variable
                    ));
                };
                let temporary = self.context.folder("tmp");
                debootstrap::make(&self.engine, &temporary, release, &wanted.own, progress)
                    .await
                    .map_err(|error| format!("{why}; {error}"))?;
                self.base(&wanted.own).await
            }
        }
    }

    async fn base(&self, reference: &str) -> Result<Base, String> {
        let image = self
            .engine
            .api
            .inspect_image(reference)
            .await
            .map_err(|error| super::engine::reason(&error))?;
        let id = image
            .id
            .ok_or_else(|| format!("the engine reports no id of {reference}"))?;
        Ok(Base {
            reference: reference.to_owned(),
            id,
        })
    }
}
