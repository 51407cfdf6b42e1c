//! Removal of objects left by dead runs, and of this run's objects in an emergency.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};

use super::{
    blocking,
    engine::{Engine, reason},
};
use crate::sandbox::{
    context::SandboxContext,
    owner::{LABEL, Owner},
};

/// Whether this process has used the engine.
static USED: AtomicBool = AtomicBool::new(false);
/// Set by an emergency cleanup: no container may be started afterwards.
static CLOSING: AtomicBool = AtomicBool::new(false);

pub(super) fn mark_used() {
    USED.store(true, Ordering::SeqCst);
}

pub(super) fn is_closing() -> bool {
    CLOSING.load(Ordering::SeqCst)
}

/// Removes containers and networks whose owner is proven dead.
pub(super) async fn reap_dead(engine: &Engine, context: &SandboxContext) {
    let removed = sweep(engine, LABEL, |label| {
        Owner::parse(label).is_some_and(|owner| owner.is_proven_dead())
    })
    .await
    .unwrap_or(0);
    if removed > 0 {
        context.report_progress(
            "sandbox",
            &format!("removed {removed} containers and networks of killed runs"),
        );
    }
}

/// Does the same for runs that do not use an engine; does nothing if none responds.
pub(crate) async fn reap_quietly(context: &SandboxContext, timeout: Duration) {
    if let Ok(Ok(engine)) = tokio::time::timeout(timeout, Engine::connect()).await {
        reap_dead(&engine, context).await;
    }
}

/// Removes containers and networks whose label `name` has a value that satisfies `belongs`; returns their number.
///
/// # Errors
/// If the engine could not list them; some may be left.
pub(super) async fn sweep(engine: &Engine, name: &str, belongs: impl Fn(&str) -> bool) -> Result<usize, String> {
    let filters = HashMap::from([("label".to_owned(), vec![name.to_owned()])]);
    let belongs = |labels: Option<HashMap<String, String>>| {
        labels
            .and_then(|labels| labels.get(name).map(|value| belongs(value)))
            .unwrap_or(false)
    };
    let mut removed = 0;
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    for container in engine
        .api
        .list_containers(Some(options))
        .await
        .map_err(|error| reason(&error))?
    {
        if let (true, Some(id)) = (belongs(container.labels), container.id) {
            removed += usize::from(remove(engine, &id).await);
        }
    }
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    for network in engine
        .api
        .list_networks(Some(options))
        .await
        .map_err(|error| reason(&error))?
    {
        if let (true, Some(id)) = (belongs(network.labels), network.id) {
            removed += usize::from(engine.api.remove_network(&id).await.is_ok());
        }
    }
    Ok(removed)
}

/// Kills and removes a container with its volumes; returns whether that succeeded.
pub(super) async fn remove(engine: &Engine, id: &str) -> bool {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    engine.api.remove_container(id, Some(options)).await.is_ok()
}

/// Removes all containers and networks of this process. A start in progress may still create one, so it repeats until nothing is
/// left.
pub(crate) fn emergency_cleanup() {
    CLOSING.store(true, Ordering::SeqCst);
    if !USED.load(Ordering::SeqCst) {
        return;
    }
    blocking::run(async {
        let Ok(engine) = Engine::connect().await else { return };
        let mine = Owner::this().to_string();
        let mut quiet = 0;
        while quiet < 2 {
            let removed = sweep(&engine, LABEL, |label| label == mine).await;
            // A failed listing does not prove that nothing is left.
            quiet = if removed == Ok(0) { quiet + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    });
}
