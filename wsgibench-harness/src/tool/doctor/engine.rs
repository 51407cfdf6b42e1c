//! The container engine: does it answer, and has it a base image?

use super::facts::Engine;

/// Asks the engine; waits for an answer for at most ten seconds, and pulls nothing.
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

/// This program has no part that could ask.
#[cfg(not(feature = "docker"))]
pub(super) fn look() -> Engine {
    Engine::Missing("this program was built without its feature `docker`".into())
}
