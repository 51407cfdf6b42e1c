//! The lease of a run: renewed by the bench, watched by the coordinator, which removes the run when it expires.

use std::time::Duration;

use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{
    error::is_not_found,
    manifest::{LEASE_SECONDS, RUN_LABEL, now},
    role::RunNames,
};

/// Interval between renewals.
const RENEWAL: Duration = Duration::from_secs(5);
/// Interval between the coordinator's checks.
const CHECK: Duration = Duration::from_secs(3);

/// Renews the lease until the task is aborted.
pub(super) async fn renew(client: Client, run: RunNames) {
    let leases: Api<Lease> = Api::namespaced(client, &run.namespace);
    loop {
        tokio::time::sleep(RENEWAL).await;
        let patch = Patch::Merge(json!({ "spec": { "renewTime": now() } }));
        // An API server that is away for a moment is asked again; the lease lasts for several renewals.
        let _ = leases.patch(&run.owner, &PatchParams::default(), &patch).await;
    }
}

/// Whether a lease has not been renewed for its whole duration.
fn has_expired(lease: &Lease, at: jiff::Timestamp) -> bool {
    let spec = lease.spec.clone().unwrap_or_default();
    let duration = i64::from(spec.lease_duration_seconds.unwrap_or(LEASE_SECONDS));
    spec.renew_time.is_none_or(|renewed| {
        let age = at.duration_since(renewed.0);
        age > jiff::SignedDuration::from_secs(duration)
    })
}

/// Waits until the lease of a run has expired or is gone, and removes the run. For the coordinator.
pub(crate) async fn remove_when_expired(client: Client, run: &RunNames) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &run.namespace);
    // The bench's clock may differ from this pod's, so expiry is judged by changes of the lease.
    let mut last = None;
    let mut changed = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(CHECK).await;
        match leases.get(&run.owner).await {
            Ok(lease) => {
                let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
                if renewed != last {
                    last = renewed;
                    changed = tokio::time::Instant::now();
                }
                if changed.elapsed() > Duration::from_secs(LEASE_SECONDS.unsigned_abs().into()) {
                    break;
                }
            }
            Err(error) if is_not_found(&error) => break,
            // The API server is away: nothing is known.
            Err(_) => {}
        }
    }
    loop {
        if remove(&client, run).await.is_ok() {
            return;
        }
        tokio::time::sleep(CHECK).await;
    }
}

/// Removes the object that owns a run; the cluster then removes all its other objects.
pub(super) async fn remove(client: &Client, run: &RunNames) -> Result<(), kube::Error> {
    let owners: Api<ConfigMap> = Api::namespaced(client.clone(), &run.namespace);
    match owners.delete(&run.owner, &DeleteParams::background()).await {
        Err(error) if !is_not_found(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Removes a run and its pods at once, instead of waiting for the cluster's garbage collector.
pub(super) async fn remove_now(client: &Client, run: &RunNames) -> Result<(), kube::Error> {
    let removed = remove(client, run).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &run.namespace);
    let of_run = ListParams::default().labels(&format!("{RUN_LABEL}={}", run.owner));
    let at_once = DeleteParams::default().grace_period(0);
    for pod in pods.list(&of_run).await.map(|list| list.items).unwrap_or_default() {
        if let Some(name) = &pod.metadata.name {
            let _ = pods.delete(name, &at_once).await;
        }
    }
    removed
}

/// Removes runs whose leases have expired; returns their number.
pub(super) async fn remove_expired(client: &Client, namespace: &str) -> Result<usize, kube::Error> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let mut removed = 0;
    for lease in leases.list(&ListParams::default().labels(RUN_LABEL)).await?.items {
        let Some(owner) = lease.metadata.name.clone() else {
            continue;
        };
        if has_expired(&lease, jiff::Timestamp::now()) {
            let run = RunNames {
                namespace: namespace.to_owned(),
                owner,
            };
            remove_now(client, &run).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_expires_after_its_duration() {
        let lease: Lease = serde_json::from_value(json!({
            "spec": { "leaseDurationSeconds": 30, "renewTime": "2026-01-01T00:00:00.000000Z" },
        }))
        .unwrap();
        let at = |text: &str| has_expired(&lease, text.parse().unwrap());
        assert!(!at("2026-01-01T00:00:30Z"));
        assert!(at("2026-01-01T00:00:31Z"));
        assert!(has_expired(&Lease::default(), jiff::Timestamp::now()), "never renewed");
    }
}
