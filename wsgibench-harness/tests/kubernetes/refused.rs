//! Errors of a bench whose cluster refuses or lacks something.

use std::time::Duration;

use wsgibench_harness::store::record::CaseOutcome;

use crate::bench::{Bench, ended, kubectl};

pub(crate) fn servers_that_do_not_start_are_explained() {
    let bench = Bench::new("starts");
    let ended = bench.run(&[
        "--server", "broken", "--server", "missing", "--server", "greedy", "closed",
    ]);
    assert_eq!(ended.status, Some(1));
    let run = bench.record();
    let failure = |server: &str| {
        let case = run.cases.iter().find(|case| case.server == server).unwrap();
        match &case.outcome {
            CaseOutcome::Failed(text) => text.clone(),
            other => format!("{other:?}"),
        }
    };
    assert!(
        failure("broken").contains("the configuration is broken"),
        "{}",
        failure("broken")
    );
    assert!(
        failure("missing").contains("/no/such/program"),
        "{}",
        failure("missing")
    );
    assert_eq!(failure("greedy"), "Measured", "its limit is clamped");
    assert!(ended.err.contains("memory clamped"), "{}", ended.err);
    bench.assert_empty_within(Duration::from_secs(10));
}

pub(crate) fn missing_namespace_role_and_image_have_remedies() {
    let bench = Bench::new("refused");
    let text = bench.run(&["--namespace", "no-such-namespace", "closed/threads"]).err;
    assert!(text.contains("kubectl create namespace no-such-namespace"), "{text}");
    let text = bench.run(&["--image-loader", "true", "closed/threads"]).err;
    assert!(
        text.contains("ErrImageNeverPull") && text.contains("--image-loader"),
        "{text}"
    );
    let text = bench.run(&["--kube-context", "no-such-context", "closed/threads"]).err;
    assert!(
        text.contains("context `no-such-context` not found") && text.contains("has test"),
        "{text}"
    );
    let text = bench.run(&["--load-pods", "9", "closed/threads"]).err;
    assert!(text.contains("--load-pods 8 or fewer"), "{text}");
    bench.kubectl(&["delete", "serviceaccount", "wsgibench-coordinator"]);
    let text = bench.run(&["closed/threads"]).err;
    assert!(text.contains("role.yaml"), "{text}");
    bench.assert_empty_within(Duration::from_secs(10));
}

pub(crate) fn quota_that_is_reached_is_named() {
    let bench = Bench::new("quota");
    bench.kubectl(&["create", "quota", "few", "--hard=pods=2"]);
    let text = bench.run(&["--load-pods", "2", "closed/threads"]).err;
    assert!(
        text.contains("exceeded quota") && text.contains("--load-pods"),
        "{text}"
    );
    bench.assert_empty_within(Duration::from_secs(10));
}

pub(crate) fn unreachable_cluster_is_named() {
    let bench = Bench::new("away");
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    let run = |text: String| {
        std::fs::write(&kubeconfig, text).unwrap();
        let output = bench
            .command(&["closed/threads"])
            .env("KUBECONFIG", &kubeconfig)
            .output()
            .unwrap();
        ended(&["unreachable"], &output).err
    };
    let there = std::fs::read_to_string(crate::bench::folder().unwrap().join("kubeconfig")).unwrap();
    let port = there.split("127.0.0.1:").nth(1).unwrap().split('"').next().unwrap();
    let text = run(there.replace(port, "1"));
    assert!(text.contains("the API server does not answer"), "{text}");
    let token = there.split("token: \"").nth(1).unwrap().split('"').next().unwrap();
    let text = run(there.replace(token, "expired"));
    assert!(text.contains("log in again"), "{text}");
    // A user who may do nothing.
    kubectl(&["get", "nodes"]);
}
