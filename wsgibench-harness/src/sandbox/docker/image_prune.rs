//! Removal of old server images, except for the newest few.

use std::collections::HashMap;

use testcontainers::bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptions};

use super::engine::Engine;

/// Number of images kept for each server.
const GENERATIONS: usize = 3;

/// Removes all but the newest images of `repository`, and none in `in_use`.
pub(super) async fn remove_unused(engine: &Engine, repository: &str, in_use: &[String]) {
    let filters = HashMap::from([("reference".to_owned(), vec![repository.to_owned()])]);
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    // Without a listing there is nothing to prune; the next build tries again.
    let images = engine.api.list_images(Some(options)).await.unwrap_or_default();
    let tags = images
        .into_iter()
        .map(|image| (image.created, image.repo_tags))
        .collect();
    for tag in superfluous(tags, repository, in_use) {
        // The engine refuses to remove an image that a container of another run uses.
        let _ = engine.api.remove_image(&tag, None::<RemoveImageOptions>, None).await;
    }
}

/// Returns the tags to remove, from images with their creation dates.
fn superfluous(mut images: Vec<(i64, Vec<String>)>, repository: &str, in_use: &[String]) -> Vec<String> {
    images.sort_by_key(|(created, _)| std::cmp::Reverse(*created));
    let ours = |tag: &String| tag.strip_prefix(repository).is_some_and(|rest| rest.starts_with(':'));
    let tags = images.into_iter().flat_map(|(_, tags)| tags).filter(ours);
    tags.skip(GENERATIONS).filter(|tag| !in_use.contains(tag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_three_images_and_those_in_use_are_kept() {
        let image = |created: i64, tag: &str| (created, vec![format!("wsgibench/a:{tag}"), format!("other:{tag}")]);
        let images = vec![
            image(1, "one"),
            image(5, "five"),
            image(3, "three"),
            image(2, "two"),
            image(4, "four"),
        ];
        assert_eq!(
            superfluous(images.clone(), "wsgibench/a", &[]),
            ["wsgibench/a:two", "wsgibench/a:one"]
        );
        assert_eq!(
            superfluous(images, "wsgibench/a", &["wsgibench/a:one".into()]),
            ["wsgibench/a:two"]
        );
    }
}
