//! Image builds.
//!
//! Uses the engine's builder (`BuildKit`) through the client of testcontainers. The builder of testcontainers itself passes on neither the
//! progress nor the output of a step, and a failing step's output is needed to fix the build.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use futures_util::StreamExt;
use testcontainers::bollard::{
    body_full,
    moby::buildkit::v1::StatusResponse,
    models::BuildInfoAux,
    query_parameters::{BuildImageOptionsBuilder, BuilderVersion},
};

use super::{
    engine::{Engine, reason},
    guard::write_log,
};
use crate::sandbox::error::last_lines;

/// Lines of a failing step's output shown in an error.
const SHOWN_LINES: usize = 40;
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

/// State of one build step.
#[derive(Debug, Default)]
struct Step {
    name: String,
    output: Vec<u8>,
    error: String,
    /// Position among the steps that have started.
    begun: Option<usize>,
}

/// The steps of a build by digest, collected from the engine's messages.
#[derive(Debug, Default)]
struct Steps(BTreeMap<String, Step>);

impl Steps {
    /// Returns the output of all steps, in the order in which they started.
    fn log(&self) -> Vec<u8> {
        let mut steps: Vec<&Step> = self
            .0
            .values()
            .filter(|step| !step.output.is_empty() || !step.error.is_empty())
            .collect();
        steps.sort_by_key(|step| step.begun);
        let texts = steps.into_iter().flat_map(|step| {
            let error = if step.error.is_empty() {
                String::new()
            } else {
                format!("{}\n", step.error)
            };
            [
                format!("==> {}\n", step.name).into_bytes(),
                step.output.clone(),
                error.into_bytes(),
                b"\n".to_vec(),
            ]
        });
        texts.flatten().collect()
    }

    /// Adds a message; calls `progress` for each step of the Dockerfile that starts.
    fn take(&mut self, status: StatusResponse, progress: impl Fn(&str)) {
        let mut begun = self.0.values().filter(|step| step.begun.is_some()).count();
        for vertex in status.vertexes {
            let step = self.0.entry(vertex.digest).or_default();
            step.name = vertex.name;
            step.error = vertex.error;
            if step.begun.is_none() && vertex.started.is_some() {
                step.begun = Some(begun);
                begun += 1;
                if !vertex.cached && vertex.completed.is_none() && is_own_step(&step.name) {
                    progress(&shortened(&step.name));
                }
            }
        }
        for log in status.logs {
            self.0.entry(log.vertex).or_default().output.extend_from_slice(&log.msg);
        }
    }

    /// Returns the failed step with the end of its output.
    fn failure(&self) -> Option<String> {
        let failed = |step: &&Step| !step.error.is_empty() && !step.error.contains("context canceled");
        let step = self.0.values().filter(failed).max_by_key(|step| step.output.len())?;
        let output = last_lines(&step.output, SHOWN_LINES);
        Some(if output.is_empty() {
            format!("step `{}` failed: {}", step.name, step.error)
        } else {
            format!("step `{}` failed; its last output:\n{output}", step.name)
        })
    }
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
    // The engine identifies builds by the session name, so each build has its own.
    let session = format!("{}-{:016x}", build.tag.replace(['/', ':'], "-"), rand::random::<u64>());
    let options = BuildImageOptionsBuilder::new()
        .dockerfile("Dockerfile")
        .t(build.tag)
        .rm(true)
        .buildargs(&arguments)
        .labels(&build.labels)
        .version(BuilderVersion::BuilderBuildKit)
        .session(&session)
        .build();
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
            }
            Err(error) => {
                outcome = Err(steps.failure().unwrap_or_else(|| reason(&error)));
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

/// Whether a step comes from the Dockerfile (`[2/5] RUN ...`) and not from the builder.
fn is_own_step(name: &str) -> bool {
    name.starts_with('[') && !name.starts_with("[internal]") && !name.contains("] FROM ")
}

/// Shortens a step's name to one line of at most 100 characters.
fn shortened(name: &str) -> String {
    let line = name.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 100 {
        line
    } else {
        line.chars().take(99).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_step_is_reported_not_the_cancelled_ones() {
        let step = |name: &str, output: &str, error: &str| Step {
            name: name.into(),
            output: output.as_bytes().to_vec(),
            error: error.into(),
            begun: None,
        };
        let steps = Steps(BTreeMap::from([
            ("1".into(), step("[1/2] RUN ok", "much output, but no failure\n", "")),
            (
                "2".into(),
                step("[2/2] RUN pip install x", "looking\nno such package\n", "exit code: 1"),
            ),
            (
                "3".into(),
                step("[b 2/2] RUN sleep", "much output, then stopped\n", "context canceled"),
            ),
        ]));
        let text = steps.failure().unwrap();
        assert!(text.starts_with("step `[2/2] RUN pip install x` failed"), "{text}");
        assert!(text.ends_with("    looking\n    no such package"), "{text}");
        assert_eq!(Steps::default().failure(), None);
    }

    #[test]
    fn long_steps_are_shortened() {
        assert_eq!(shortened("RUN a \n  b"), "RUN a b");
        assert_eq!(shortened(&"é".repeat(200)).chars().count(), 100);
    }
}
