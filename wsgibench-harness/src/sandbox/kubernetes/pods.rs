//! Waits for pods, and says why one does not start.

use std::{future::Future, time::Duration};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{
    Api,
    api::{DeleteParams, LogParams, PostParams},
};
use tokio::time::{Instant, sleep};

use super::error::{explain, is_not_found};
use crate::sandbox::error::{SHOWN_LINES, last_lines, output_text};

/// Interval between looks at a pod that starts.
const LOOK: Duration = Duration::from_millis(150);
/// Time for the scheduler to find a node.
const SCHEDULING: Duration = Duration::from_secs(20);

/// The pods of a namespace.
#[derive(Clone)]
pub(super) struct Pods {
    pub(super) api: Api<Pod>,
    pub(super) namespace: String,
}

/// End of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) exit: i64,
    pub(super) oom_killed: bool,
}

impl Pods {
    pub(super) async fn create(&self, pod: &Pod) -> Result<(), String> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        match self.api.create(&PostParams::default(), pod).await {
            Ok(_) => Ok(()),
            Err(error) => Err(explain(
                &error,
                &format!("failed to create pod {name}"),
                &self.namespace,
            )),
        }
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<Pod>, String> {
        match self.api.get(name).await {
            Ok(pod) => Ok(Some(pod)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(explain(&error, &format!("failed to read pod {name}"), &self.namespace)),
        }
    }

    /// Waits until a pod runs and has an address.
    ///
    /// # Errors
    /// It cannot start, has ended, or does not run in time; with the reason, the remedy and its output.
    pub(super) async fn running(&self, name: &str, within: Duration) -> Result<Pod, String> {
        self.until(name, within, async |pod| {
            let ready = pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
            (ready && containers(&pod).iter().all(is_running)).then_some(pod)
        })
        .await
    }

    /// Waits until `wanted` returns a value for a pod.
    pub(super) async fn until<T, F: Future<Output = Option<T>>>(
        &self,
        name: &str,
        within: Duration,
        wanted: impl Fn(Pod) -> F,
    ) -> Result<T, String> {
        let begun = Instant::now();
        loop {
            let Some(pod) = self.get(name).await? else {
                return Err(format!("pod {name} was deleted while it started"));
            };
            if let Some(why) = cannot_start(&pod, begun.elapsed() > SCHEDULING) {
                return Err(format!("pod {name} cannot start: {why}"));
            }
            if let Some(status) = containers(&pod).iter().find(|status| ended(status).is_some()) {
                let how = ended(status).unwrap_or_default();
                let log = self.log(name, &status.name).await;
                return Err(format!(
                    "container {} of pod {name} ended with status {}; {}",
                    status.name,
                    how.exit,
                    output_text(&last_lines(&log, SHOWN_LINES))
                ));
            }
            if let Some(value) = wanted(pod).await {
                return Ok(value);
            }
            if begun.elapsed() > within {
                return Err(format!("pod {name} did not start within {} s", within.as_secs()));
            }
            sleep(LOOK).await;
        }
    }

    /// Returns the output of a container; empty if there is none.
    pub(super) async fn log(&self, pod: &str, container: &str) -> Vec<u8> {
        let parameters = LogParams {
            container: Some(container.to_owned()),
            ..LogParams::default()
        };
        self.api.logs(pod, &parameters).await.unwrap_or_default().into_bytes()
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), String> {
        match self.api.delete(name, &DeleteParams::default().grace_period(0)).await {
            Err(error) if !is_not_found(&error) => Err(explain(
                &error,
                &format!("failed to delete pod {name}"),
                &self.namespace,
            )),
            _ => Ok(()),
        }
    }
}

pub(super) fn containers(pod: &Pod) -> Vec<ContainerStatus> {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.container_statuses.clone())
        .unwrap_or_default()
}

pub(super) fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Returns how a container has ended.
pub(super) fn ended(status: &ContainerStatus) -> Option<Ended> {
    let ended = status.state.as_ref()?.terminated.as_ref()?;
    Some(Ended {
        exit: ended.exit_code.into(),
        oom_killed: ended.reason.as_deref() == Some("OOMKilled"),
    })
}

/// Returns why a container could not be started at all: its program is missing, for example.
pub(super) fn start_error(status: &ContainerStatus) -> Option<String> {
    let ended = status.state.as_ref()?.terminated.as_ref()?;
    let reasons = ["StartError", "ContainerCannotRun"];
    reasons.contains(&ended.reason.as_deref()?).then(|| {
        format!(
            "{}; correct the server's command",
            ended.message.clone().unwrap_or_default()
        )
    })
}

/// Returns why a pod will never run.
fn cannot_start(pod: &Pod, waited: bool) -> Option<String> {
    let status = pod.status.as_ref()?;
    for container in containers(pod) {
        let Some(waiting) = container.state.and_then(|state| state.waiting) else {
            continue;
        };
        let reason = waiting.reason.unwrap_or_default();
        let message = waiting.message.unwrap_or_default();
        let remedy = match reason.as_str() {
            "ErrImageNeverPull" => "the image is not on the node: correct the command of --image-loader",
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" => {
                "the node cannot pull the image: check --registry, and that nodes may pull from it"
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "CrashLoopBackOff" => {
                "correct the server's command, user or limits"
            }
            _ => continue,
        };
        return Some(format!("{reason}: {message}; {remedy}"));
    }
    if status.phase.as_deref() == Some("Failed") && containers(pod).iter().all(|status| ended(status).is_none()) {
        let (reason, message) = (status.reason.as_deref(), status.message.as_deref());
        return Some(format!(
            "{}: {}",
            reason.unwrap_or("failed"),
            message.unwrap_or("no reason given")
        ));
    }
    let unscheduled = status
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False" && waited)?;
    Some(format!(
        "no node fits: {}; lower the limits or --load-pod-cpu, use fewer load pods, or correct the node selectors",
        unscheduled.message.clone().unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({ "status": status })).unwrap()
    }

    fn waiting(reason: &str) -> Pod {
        let container = json!({
            "name": "server", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": "told" } },
        });
        pod(&json!({ "phase": "Pending", "containerStatuses": [container] }))
    }

    #[test]
    fn reasons_have_remedies() {
        let text = |pod: &Pod| cannot_start(pod, true).unwrap_or_default();
        assert!(text(&waiting("ErrImageNeverPull")).contains("--image-loader"));
        assert!(text(&waiting("ImagePullBackOff")).contains("--registry"));
        assert!(text(&waiting("RunContainerError")).contains("command"));
        assert_eq!(text(&waiting("ContainerCreating")), "");
        let unscheduled = pod(&json!({
            "phase": "Pending",
            "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/2 nodes are available" }],
        }));
        assert!(text(&unscheduled).starts_with("no node fits: 0/2 nodes"));
        assert_eq!(cannot_start(&unscheduled, false), None, "the scheduler has time");
        let evicted = pod(&json!({ "phase": "Failed", "reason": "Evicted", "message": "low on memory" }));
        assert_eq!(text(&evicted), "Evicted: low on memory");
    }
}
