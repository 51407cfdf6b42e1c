//! Errors of the API server, with their remedies.

use kube::Error;

/// Describes a failed request to the API server. `doing` is what failed, such as `failed to create pod x`.
pub(super) fn explain(error: &Error, doing: &str, namespace: &str) -> String {
    match error {
        Error::Api(status) => format!("{doing}: {}", refusal(status.code, &status.message, namespace)),
        error => format!(
            "{doing}: the API server does not answer: {}; check the address in the kubeconfig, and that the cluster is running",
            chain(error)
        ),
    }
}

/// Returns the reason of a refused request, and what to do.
fn refusal(code: u16, message: &str, namespace: &str) -> String {
    let remedy = if code == 401 {
        "the cluster rejects the credential: it may have expired; log in again".to_owned()
    } else if message.contains("exceeded quota") {
        "the quota of the namespace is reached; use fewer load pods (--load-pods), lower limits, or raise the quota"
            .to_owned()
    } else if message.contains("namespaces \"") && code == 404 {
        format!("create it with `kubectl create namespace {namespace}`, or name another with --namespace")
    } else if message.contains("service account") || message.contains("serviceaccount") {
        "apply examples/kubernetes/role.yaml to the namespace".to_owned()
    } else if message.contains("violates PodSecurity") || message.contains("PodSecurityPolicy") {
        "the namespace's pod security refuses the pod; remove the capability, user or writable root that it names, or use another namespace"
            .to_owned()
    } else if code == 403 {
        "apply examples/kubernetes/role.yaml, and bind its role to your user".to_owned()
    } else {
        return message.to_owned();
    };
    format!("{message}; {remedy}")
}

/// Returns an error with its causes, each once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Whether the object does not exist.
pub(super) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn explained(code: u16, message: &str) -> String {
        let mut status = Status::failure(message, "reason");
        status.code = code;
        explain(&Error::Api(status.boxed()), "failed to create pod x", "ns")
    }

    #[test]
    fn each_refusal_names_its_remedy() {
        for (code, message, remedy) in [
            (401, "Unauthorized", "log in again"),
            (
                403,
                "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1",
                "--load-pods",
            ),
            (404, "namespaces \"ns\" not found", "kubectl create namespace ns"),
            (
                403,
                "error looking up service account ns/wsgibench-coordinator: not found",
                "role.yaml to the namespace",
            ),
            (
                403,
                "pods \"x\" is forbidden: violates PodSecurity \"restricted\"",
                "pod security refuses",
            ),
            (
                403,
                "pods is forbidden: User \"u\" cannot create resource",
                "bind its role to your user",
            ),
        ] {
            let text = explained(code, message);
            assert!(
                text.starts_with("failed to create pod x: ") && text.contains(remedy),
                "{text}"
            );
        }
        assert_eq!(explained(500, "boom"), "failed to create pod x: boom");
    }
}
