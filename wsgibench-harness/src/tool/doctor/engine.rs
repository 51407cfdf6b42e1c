//! Checks of the container engine and its base image.

use super::facts::Engine;

/// Queries the engine for at most ten seconds, without pulling images.
#[cfg(feature = "docker")]
pub(super) fn look() -> Engine {
    use crate::sandbox;

    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Engine::Missing(error.to_string()),
    };
    runtime.block_on(async {
        match sandbox::Engine::connect().await {
            Err(error) => Engine::Missing(error.to_string()),
            Ok(engine) => {
                let mut base = None;
                for name in sandbox::base_images() {
                    if base.is_none() && engine.api.inspect_image(&name).await.is_ok() {
                        base = Some(name);
                    }
                }
                Engine::Answers {
                    version: engine.version,
                    cgroup: engine.cgroup,
                    base,
                }
            }
        }
    })
}

/// Reports that this build lacks engine support.
#[cfg(not(feature = "docker"))]
pub(super) fn look() -> Engine {
    Engine::Missing("this program was built without the feature `docker`".into())
}
