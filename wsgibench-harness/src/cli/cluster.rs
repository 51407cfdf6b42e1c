//! `--sandbox kubernetes` and its options.

use super::{
    Failure,
    args::{Args, SandboxArg},
};

/// Whether servers and load run in a cluster.
pub(super) fn wanted(args: &Args) -> bool {
    args.sandbox == SandboxArg::Kubernetes
}

/// Checks the options before anything is started.
pub(super) fn check_usage(args: &Args) -> Result<(), Failure> {
    if !wanted(args) {
        return match given(args) {
            Some(option) => Err(Failure::usage(format!("{option} needs --sandbox kubernetes"))),
            None => Ok(()),
        };
    }
    if cfg!(not(feature = "kubernetes")) {
        return Err(Failure::usage(
            "--sandbox kubernetes is not in this program: add the feature to its dependency, \
             `cargo add wsgibench-harness --features kubernetes`",
        ));
    }
    let unsupported = [
        ("--count", args.count.is_some()),
        ("--explain", args.explain.is_some()),
        ("--conformance", args.conformance),
        ("--tune", args.tune),
        ("--self-check", args.self_check),
        ("--server-url", !args.server_urls.is_empty()),
        ("--server-cpus", args.server_cpus.is_some()),
        ("--load-cpus", args.load_cpus.is_some()),
    ];
    if let Some((option, _)) = unsupported.into_iter().find(|(_, given)| *given) {
        return Err(Failure::usage(format!(
            "{option} is not supported with --sandbox kubernetes; use --sandbox docker for it"
        )));
    }
    if args.registry.is_none() && args.image_loader.is_none() {
        return Err(Failure::usage(
            "--sandbox kubernetes needs a way for images to reach the nodes: --registry PREFIX, or --image-loader COMMAND (such as \
             `kind load docker-image`, `k3d image import` or `minikube image load`)",
        ));
    }
    Ok(())
}

/// Returns an option of the cluster that was given.
fn given(args: &Args) -> Option<&'static str> {
    let options = [
        ("--kube-context", args.kube_context.is_some()),
        ("--load-pods", args.load_pods.is_some()),
        ("--load-node-selector", !args.load_node_selector.is_empty()),
        ("--server-node-selector", !args.server_node_selector.is_empty()),
        ("--image-loader", args.image_loader.is_some()),
    ];
    options.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
}

/// Returns the options of the sandbox.
#[cfg(feature = "kubernetes")]
pub(super) fn options(args: &Args) -> crate::sandbox::KubernetesOptions {
    use crate::sandbox::{ImageTransport, KubernetesOptions};
    KubernetesOptions {
        context: args.kube_context.clone(),
        namespace: args.namespace.clone(),
        load_pods: args.load_pods,
        load_pod_cpu: args.load_pod_cpu.clone(),
        load_nodes: args.load_node_selector.clone(),
        server_nodes: args.server_node_selector.clone(),
        images: match (&args.registry, &args.image_loader) {
            (Some(prefix), _) => ImageTransport::Registry(prefix.clone()),
            (None, Some(command)) => ImageTransport::Command(command.clone()),
            (None, None) => ImageTransport::None,
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn refused(line: &str) -> Option<String> {
        let args = Args::try_parse_from(["x"].into_iter().chain(line.split_whitespace())).unwrap();
        check_usage(&args).err().map(|failure| failure.text)
    }

    #[test]
    fn options_need_the_sandbox() {
        assert_eq!(refused(""), None);
        assert_eq!(
            refused("--load-pods 2").unwrap(),
            "--load-pods needs --sandbox kubernetes"
        );
        assert_eq!(
            refused("--sandbox docker --kube-context x").unwrap(),
            "--kube-context needs --sandbox kubernetes"
        );
    }

    #[test]
    #[cfg(feature = "kubernetes")]
    fn images_need_a_way_and_other_modes_are_refused() {
        assert!(refused("--sandbox kubernetes").unwrap().contains("--registry PREFIX"));
        assert_eq!(refused("--sandbox kubernetes --registry r"), None);
        let text = refused("--sandbox kubernetes --registry r --count").unwrap();
        assert!(
            text.starts_with("--count is not supported with --sandbox kubernetes"),
            "{text}"
        );
        let args = Args::try_parse_from(["x", "--registry", "r", "--image-loader", "l"]);
        assert!(args.is_err());
    }

    #[test]
    #[cfg(not(feature = "kubernetes"))]
    fn missing_feature_is_named() {
        assert!(
            refused("--sandbox kubernetes")
                .unwrap()
                .contains("--features kubernetes")
        );
    }
}
