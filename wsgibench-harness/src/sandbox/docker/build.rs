//! Image builds.
//!
//! Uses the engine's builder through the client of testcontainers: `BuildKit`, or the classic builder of Docker's API where the engine
//! is Podman, which has no other. The builder of testcontainers itself passes on neither the progress nor the output of a step, and a
//! failing step's output is needed to fix the build.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use futures_util::StreamExt;
use testcontainers::bollard::{
    body_full,
    models::BuildInfoAux,
    query_parameters::{BuildImageOptionsBuilder, BuilderVersion},
};

use super::{
    build_steps::Steps,
    engine::{Engine, reason},
    guard::write_log,
};

/// Time limit for the engine's first message.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(600);
/// Proxy variables that a build may need. The engine predefines them and keeps them out of the image.
const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// An image to build.
pub(super) struct Build<'a> {
    pub(super) tag: &'a str,
    pub(super) base: &'a str,
    pub(super) context: Vec<u8>,
    pub(super) labels: HashMap<String, String>,
    /// File for the output of all steps.
    pub(super) log: PathBuf,
}

/// Builds the image; calls `progress` for each step that is not cached.
pub(super) async fn build(engine: &Engine, build: Build<'_>, progress: impl Fn(&str)) -> Result<(), String> {
    let mut arguments: HashMap<String, String> = PROXIES
        .iter()
        .filter_map(|name| {
            Some((
                (*name).to_owned(),
                std::env::var(name).ok().filter(|value| !value.is_empty())?,
            ))
        })
        .collect();
    arguments.insert("BASE_IMAGE".into(), build.base.to_owned());
    let mut options = BuildImageOptionsBuilder::new()
        .dockerfile("Dockerfile")
        .t(build.tag)
        .rm(true)
        .buildargs(&arguments)
        .labels(&build.labels);
    if !engine.is_podman {
        // The engine identifies builds by the session name, so each build has its own.
        let session = format!("{}-{:016x}", build.tag.replace(['/', ':'], "-"), rand::random::<u64>());
        options = options.version(BuilderVersion::BuilderBuildKit).session(&session);
    }
    let options = options.build();
    let mut steps = Steps::default();
    // The first message may have to wait for a slow registry.
    let api = engine.api.clone().with_timeout(MESSAGE_TIMEOUT);
    let mut messages = api.build_image(options, None, Some(body_full(build.context.into())));
    let mut outcome = Ok(());
    while let Some(message) = messages.next().await {
        match message {
            Ok(message) => {
                if let Some(BuildInfoAux::BuildKit(status)) = message.aux {
                    steps.take(status, &progress);
                }
                if let Some(text) = message.stream {
                    steps.take_text(&text, &progress);
                }
            }
            Err(error) => {
                outcome = Err(steps.failure_with(&reason(&error)));
                break;
            }
        }
    }
    // A failure to write the log does not fail a build that succeeded.
    let written = write_log(&build.log, &steps.log());
    outcome.map_err(|why| {
        if written.is_ok() {
            format!("{why}\n(full output: {})", build.log.display())
        } else {
            why
        }
    })
}
