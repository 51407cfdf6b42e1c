//! Versions of Python and its packages in an image.

use std::{collections::BTreeMap, fs, time::Duration};

use testcontainers::{
    GenericImage, ImageExt,
    bollard::models::HostConfig,
    core::{WaitFor, wait::ExitWaitStrategy},
};

use super::{DockerSandbox, container::split_reference, guard::Guarded, labels};
use crate::sandbox::versions::{SCRIPT, parse};

/// Returns the versions in an image, cached by image id under the target folder. An image without Python has none.
pub(super) async fn of_image(sandbox: &DockerSandbox, image: &str, id: &str) -> BTreeMap<String, String> {
    let name: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    let kept = sandbox.context.folder("images").join(format!("{name}.json"));
    if let Some(versions) = fs::read(&kept).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
        return versions;
    }
    let Some(output) = ask(sandbox, image).await else {
        return BTreeMap::new();
    };
    let versions = parse(&output);
    if !versions.is_empty()
        && let Some(folder) = kept.parent()
        && fs::create_dir_all(folder).is_ok()
        && let Ok(text) = serde_json::to_vec_pretty(&versions)
    {
        // The cache is optional: the next run can query the versions again.
        let _ = fs::write(&kept, text);
    }
    versions
}

async fn ask(sandbox: &DockerSandbox, image: &str) -> Option<String> {
    let (name, tag) = split_reference(image);
    let request = GenericImage::new(name, tag)
        .with_entrypoint("python3")
        .with_wait_for(WaitFor::Exit(
            ExitWaitStrategy::new().with_poll_interval(Duration::from_millis(50)),
        ))
        .with_network("none")
        .with_labels(labels(&sandbox.context.options.run_id))
        .with_cmd(["-c", SCRIPT])
        .with_cap_drop("ALL")
        .with_startup_timeout(Duration::from_secs(30))
        .with_host_config_modifier(|host: &mut HostConfig| host.publish_all_ports = Some(false));
    let container = Guarded::start(&sandbox.engine, request).await.ok()?;
    let output = container.output().await;
    container.remove().await;
    Some(String::from_utf8_lossy(&output).into_owned())
}
