//! The steps of an image build, from the messages of the engine's builder.

use std::collections::BTreeMap;

use testcontainers::bollard::moby::buildkit::v1::StatusResponse;

use crate::sandbox::error::last_lines;

/// Lines of a failing step's output shown in an error.
const SHOWN_LINES: usize = 40;

/// State of one build step.
#[derive(Debug, Default)]
struct Step {
    name: String,
    output: Vec<u8>,
    error: String,
    /// Position among the steps that have started.
    begun: Option<usize>,
}

impl Step {
    /// Whether it is of the classic builder, which reports no error of a step.
    fn is_classic(&self) -> bool {
        self.begun.is_some() && self.error.is_empty()
    }
}

/// The steps of a build by digest (`BuildKit`) or number (classic builder), collected from the engine's messages.
#[derive(Debug, Default)]
pub(super) struct Steps(BTreeMap<String, Step>);

impl Steps {
    /// Returns the output of all steps, in the order in which they started.
    pub(super) fn log(&self) -> Vec<u8> {
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

    /// Adds a message of `BuildKit`; calls `progress` for each step of the Dockerfile that starts.
    pub(super) fn take(&mut self, status: StatusResponse, progress: impl Fn(&str)) {
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

    /// Adds text of the classic builder, in which a line such as `Step 2/5 : RUN ...` (Podman: `STEP 2/5: RUN ...`) starts a step;
    /// calls `progress` for each.
    pub(super) fn take_text(&mut self, text: &str, progress: impl Fn(&str)) {
        for line in text.split_inclusive('\n') {
            let number = self.0.len();
            if let Some(name) = classic_step(line.trim_end()) {
                if is_own_step(&name) {
                    progress(&shortened(&name));
                }
                let begun = Some(number);
                let step = Step {
                    name,
                    begun,
                    ..Step::default()
                };
                self.0.insert(format!("{number:06}"), step);
            } else if let Some(mut last) = self.0.last_entry() {
                last.get_mut().output.extend_from_slice(line.as_bytes());
            }
        }
    }

    /// Returns why the build failed: the step that did with the end of its output, or the engine's `reason`.
    pub(super) fn failure_with(&self, reason: &str) -> String {
        self.failure()
            .or_else(|| {
                // The classic builder stops at the step that fails.
                let (_, step) = self.0.last_key_value().filter(|(_, step)| step.is_classic())?;
                Some(Self::describe(step, reason))
            })
            .unwrap_or_else(|| reason.to_owned())
    }

    fn describe(step: &Step, error: &str) -> String {
        let output = last_lines(&step.output, SHOWN_LINES);
        if output.is_empty() {
            format!("step `{}` failed: {error}", step.name)
        } else {
            format!("step `{}` failed; its last output:\n{output}", step.name)
        }
    }

    /// Returns the failed step with the end of its output.
    fn failure(&self) -> Option<String> {
        let failed = |step: &&Step| !step.error.is_empty() && !step.error.contains("context canceled");
        let step = self.0.values().filter(failed).max_by_key(|step| step.output.len())?;
        Some(Self::describe(step, &step.error))
    }
}

/// Whether a step comes from the Dockerfile (`[2/5] RUN ...`) and not from the builder.
fn is_own_step(name: &str) -> bool {
    name.starts_with('[') && !name.starts_with("[internal]") && !name.contains("] FROM ")
}

/// Returns the name of the step that a line of the classic builder starts, in the form of `BuildKit`: `[2/5] RUN ...`.
fn classic_step(line: &str) -> Option<String> {
    let rest = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP "))?;
    let (place, command) = rest.split_once(':')?;
    let (number, of) = place.trim_end().split_once('/')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(number) && is_number(of)).then(|| format!("[{number}/{of}] {}", command.trim_start()))
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
    use std::cell::RefCell;

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
    fn failing_step_of_the_classic_builder_is_the_last_one() {
        let shown = RefCell::new(Vec::new());
        let mut steps = Steps::default();
        // Text may be split at any byte of a line's end.
        for text in [
            "STEP 1/3: FROM base\nSTEP 2/3: RUN pip install x\n",
            "looking\nStep on it\n",
            "no such package\n",
        ] {
            steps.take_text(text, |step| shown.borrow_mut().push(step.to_owned()));
        }
        assert_eq!(*shown.borrow(), ["[2/3] RUN pip install x"]);
        let text = steps.failure_with("exit status 1");
        assert!(text.starts_with("step `[2/3] RUN pip install x` failed"), "{text}");
        assert!(text.ends_with("    Step on it\n    no such package"), "{text}");
        steps.take_text("Step 3/3 : COPY app /app\n", |_| ());
        let text = steps.failure_with("no such file");
        assert_eq!(text, "step `[3/3] COPY app /app` failed: no such file");
        assert_eq!(
            Steps::default().failure_with("the engine stopped"),
            "the engine stopped"
        );
    }

    #[test]
    fn long_steps_are_shortened() {
        assert_eq!(shortened("RUN a \n  b"), "RUN a b");
        assert_eq!(shortened(&"é".repeat(200)).chars().count(), 100);
    }
}
