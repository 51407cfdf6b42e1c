//! Brings images of the local engine to the nodes.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::StreamExt;
use testcontainers::bollard::query_parameters::{PushImageOptionsBuilder, TagImageOptionsBuilder};
use tokio::{process::Command, sync::Mutex};

use super::options::ImageTransport;
use crate::sandbox::{
    context::SandboxContext,
    docker::{Engine, credentials, reason, split_reference},
    error::{SHOWN_LINES, last_lines, output_text},
};

/// The error where no transport was chosen.
const UNSTATED: &str = "images of the local engine do not reach the nodes by themselves: push them with --registry PREFIX, or load them with \
    --image-loader COMMAND (such as `kind load docker-image`, `k3d image import` or `minikube image load`)";

/// Images that were brought to the nodes, by local name.
pub(super) struct Images {
    transport: ImageTransport,
    engine: Engine,
    known: Mutex<BTreeMap<String, String>>,
}

impl Images {
    pub(super) fn new(transport: ImageTransport, engine: Engine) -> Result<Self, String> {
        if transport == ImageTransport::None {
            return Err(UNSTATED.to_owned());
        }
        Ok(Self {
            transport,
            engine,
            known: Mutex::default(),
        })
    }

    /// Images of a registry are pulled by their digests; others must be there.
    pub(super) fn pull_policy(&self) -> &'static str {
        match self.transport {
            ImageTransport::Registry(_) => "IfNotPresent",
            ImageTransport::None | ImageTransport::Command(_) => "Never",
        }
    }

    /// Brings an image to the nodes, once; returns the name by which pods refer to it.
    pub(super) async fn publish(&self, image: &str, context: &Arc<SandboxContext>) -> Result<String, String> {
        let mut known = self.known.lock().await;
        if let Some(name) = known.get(image) {
            return Ok(name.clone());
        }
        context.report_progress("image", &format!("bringing {image} to the cluster"));
        let name = match &self.transport {
            ImageTransport::None => return Err(UNSTATED.to_owned()),
            ImageTransport::Command(command) => {
                run_loader(command, image).await?;
                image.to_owned()
            }
            ImageTransport::Registry(prefix) => self.push(prefix, image).await?,
        };
        known.insert(image.to_owned(), name.clone());
        Ok(name)
    }

    async fn push(&self, prefix: &str, image: &str) -> Result<String, String> {
        let failed = |text: String| {
            format!("failed to push {image} to {prefix}: {text}; log in with `docker login`, or correct --registry")
        };
        let (local, tag) = split_reference(image);
        let repository = pushed_name(prefix, &local);
        let tagging = TagImageOptionsBuilder::new().repo(&repository).tag(&tag).build();
        self.engine
            .api
            .tag_image(image, Some(tagging))
            .await
            .map_err(|error| failed(reason(&error)))?;
        let host = repository.split('/').next().unwrap_or_default().to_owned();
        let credentials = credentials(host).await;
        let options = PushImageOptionsBuilder::new().tag(&tag).build();
        let mut messages = self.engine.api.push_image(&repository, Some(options), credentials);
        while let Some(message) = messages.next().await {
            message.map_err(|error| failed(reason(&error)))?;
        }
        let inspected = self.engine.api.inspect_image(&format!("{repository}:{tag}")).await;
        let digests = inspected
            .map_err(|error| failed(reason(&error)))?
            .repo_digests
            .unwrap_or_default();
        digests
            .into_iter()
            .find(|digest| digest.starts_with(&format!("{repository}@")))
            .ok_or_else(|| failed("the registry reported no digest".to_owned()))
    }
}

/// Returns the repository below a prefix.
fn pushed_name(prefix: &str, local: &str) -> String {
    let last = local.rsplit('/').next().unwrap_or(local);
    format!("{}/{last}", prefix.trim_end_matches('/'))
}

async fn run_loader(command: &str, image: &str) -> Result<(), String> {
    let output = Command::new("sh")
        .args(["-c", &format!("{command} \"$@\""), "sh", image])
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("failed to run `{command}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(format!(
        "`{command} {image}` failed ({}); correct --image-loader; {}",
        output.status,
        output_text(&last_lines(&text, SHOWN_LINES))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_pushed_below_the_prefix() {
        assert_eq!(
            pushed_name("registry:5000/team/", "wsgibench/api"),
            "registry:5000/team/api"
        );
        assert_eq!(pushed_name("registry:5000", "redis"), "registry:5000/redis");
    }

    #[tokio::test]
    async fn loader_gets_the_image_and_its_failure_is_shown() {
        assert_eq!(run_loader("test x/y:1 =", "x/y:1").await, Ok(()));
        let error = run_loader("echo no such cluster; false", "x/y:1").await.unwrap_err();
        assert!(
            error.contains("no such cluster") && error.contains("--image-loader"),
            "{error}"
        );
    }
}
