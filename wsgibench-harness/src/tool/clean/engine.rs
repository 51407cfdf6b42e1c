//! Containers, networks and images of wsgibench in the container engine, found by their labels.

use std::collections::HashMap;

use testcontainers::bollard::{
    models::ImageSummary,
    query_parameters::{
        ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder,
        RemoveContainerOptionsBuilder, RemoveImageOptions,
    },
};

use super::item::{Item, Kind, Place};
use crate::sandbox::{BASE_REPOSITORY, Engine, IMAGE_LABEL, OWNER_LABEL, Owner, reason};

/// A connected engine and the runtime for its client.
pub(super) struct Connection {
    runtime: tokio::runtime::Runtime,
    engine: Engine,
}

impl Connection {
    /// Connects within ten seconds.
    pub(super) fn open() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let engine = runtime.block_on(Engine::connect()).map_err(|error| error.to_string())?;
        Ok(Self { runtime, engine })
    }

    /// Returns all of wsgibench's items in the engine.
    pub(super) fn items(&self) -> Result<Vec<Item>, String> {
        self.runtime.block_on(async {
            let mut items = self.containers().await?;
            items.extend(self.networks().await?);
            items.extend(self.images().await?);
            Ok(items)
        })
    }

    /// Removes an item.
    pub(super) fn remove(&self, kind: Kind, name: &str) -> Result<(), String> {
        let api = &self.engine.api;
        let removed = self.runtime.block_on(async {
            match kind {
                Kind::Container => {
                    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
                    api.remove_container(name, Some(options)).await
                }
                Kind::Network => api.remove_network(name).await,
                // Without force: the engine refuses to remove an image that a container uses.
                _ => api
                    .remove_image(name, None::<RemoveImageOptions>, None)
                    .await
                    .map(|_| ()),
            }
        });
        removed.map_err(|error| reason(&error))
    }

    async fn containers(&self) -> Result<Vec<Item>, String> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&label(OWNER_LABEL))
            .build();
        let found = self
            .engine
            .api
            .list_containers(Some(options))
            .await
            .map_err(|error| reason(&error))?;
        let item = |container: testcontainers::bollard::models::ContainerSummary| {
            let id = container.id?;
            let name = container.names.and_then(|names| names.into_iter().next());
            Some(Item {
                kind: Kind::Container,
                name: name.map_or_else(|| short(&id), |name| name.trim_start_matches('/').to_owned()),
                place: Place::Engine(id),
                bytes: None,
                stays: stays(container.labels.as_ref()),
            })
        };
        Ok(found.into_iter().filter_map(item).collect())
    }

    async fn networks(&self) -> Result<Vec<Item>, String> {
        let options = ListNetworksOptionsBuilder::new().filters(&label(OWNER_LABEL)).build();
        let found = self
            .engine
            .api
            .list_networks(Some(options))
            .await
            .map_err(|error| reason(&error))?;
        let item = |network: testcontainers::bollard::models::Network| {
            Some(Item {
                kind: Kind::Network,
                name: network.name?,
                place: Place::Engine(network.id?),
                bytes: None,
                stays: stays(network.labels.as_ref()),
            })
        };
        Ok(found.into_iter().filter_map(item).collect())
    }

    async fn images(&self) -> Result<Vec<Item>, String> {
        let built = self.list_images(label(IMAGE_LABEL)).await?;
        let bases = HashMap::from([("reference".to_owned(), vec![BASE_REPOSITORY.to_owned()])]);
        let bases = self.list_images(bases).await?;
        Ok(built.into_iter().chain(bases).flat_map(|image| named(&image)).collect())
    }

    async fn list_images(&self, filters: HashMap<String, Vec<String>>) -> Result<Vec<ImageSummary>, String> {
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        self.engine
            .api
            .list_images(Some(options))
            .await
            .map_err(|error| reason(&error))
    }
}

/// Returns one item per name of an image: names are removed one at a time, and the image with the last.
fn named(image: &ImageSummary) -> Vec<Item> {
    let item = |name: String, place: String| Item {
        kind: Kind::Image,
        name,
        place: Place::Engine(place),
        bytes: u64::try_from(image.size).ok(),
        stays: None,
    };
    let tags: Vec<&String> = image.repo_tags.iter().filter(|tag| *tag != "<none>:<none>").collect();
    if tags.is_empty() {
        return vec![item(short(&image.id), image.id.clone())];
    }
    tags.into_iter().map(|tag| item(tag.clone(), tag.clone())).collect()
}

fn label(name: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![name.to_owned()])])
}

/// Returns why an item with these labels must be kept: its owner may still be running.
fn stays(labels: Option<&HashMap<String, String>>) -> Option<String> {
    let label = labels.and_then(|labels| labels.get(OWNER_LABEL))?;
    match Owner::parse(label) {
        Some(owner) if owner.is_proven_dead() => None,
        Some(owner) => Some(format!("its run may be active (pid {})", owner.pid())),
        None => Some("its owner is unknown".into()),
    }
}

fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_possibly_active_runs_are_kept() {
        let labels = |owner: String| HashMap::from([(OWNER_LABEL.to_owned(), owner)]);
        let mine = stays(Some(&labels(Owner::this().to_string())));
        assert!(mine.is_some_and(|why| why.contains(&std::process::id().to_string())));
        assert!(stays(Some(&labels("foreign".into()))).is_some());
        // Same machine, another boot: its processes are gone.
        let this = Owner::this().to_string();
        let mut parts: Vec<&str> = this.split('/').collect();
        parts[2] = "another-boot";
        assert_eq!(stays(Some(&labels(parts.join("/")))), None);
    }

    #[test]
    fn images_are_removed_by_name() {
        let image = |tags: &[&str]| ImageSummary {
            id: "sha256:0123456789abcdef".into(),
            repo_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            size: 10,
            ..ImageSummary::default()
        };
        let names = |tags: &[&str]| {
            named(&image(tags))
                .into_iter()
                .map(|item| item.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&["a:1", "a:2"]), ["a:1", "a:2"]);
        assert_eq!(names(&[]), ["0123456789ab"]);
        assert_eq!(names(&["<none>:<none>"]), ["0123456789ab"]);
    }
}
